"""What the page of one run shows, as plain data: gathered anew when the run has moved on, but never without pause."""

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any, Final

from harness.core.errors import StoreError
from harness.core.outcome import Outcome
from harness.core.records import Finding
from harness.report.charts.columns import columns_of, no_columns, shades
from harness.report.redact import Redactor, redact
from harness.report.words import facts, facts_so_far, finding_line, leak_line
from harness.store import aggregate
from harness.store.folder import RunFolder
from harness.store.salvage import Salvage
from harness.web.found import FindingView, plain
from harness.web.runs import Standing, redactor_for, standing

_TOLD_WHOLE: Final = 3
"""Findings of which all is told; later ones show the same daemon in the same state."""
_LINES: Final = 100
_KEPT: Final = 16
"""Runs whose view is kept in memory, some 100 kB each."""
_SHARE: Final = 10
"""A run that goes on is looked at again after so many times as long as the last look took: a tenth of one core."""


@dataclass(frozen=True)
class View:
    """A run's data as JSON."""

    body: bytes
    etag: str


@dataclass
class _Kept:
    """The last view of a run, and what it was made from."""

    lock: Lock
    found: FindingView = field(default_factory=FindingView)
    view: View | None = None
    seen: object = None
    not_before: float = 0.0


class Views:
    """The views of runs; several who look at one share it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Path, _Kept] = OrderedDict()
        self._lock = Lock()

    def of(self, folder: RunFolder) -> View:
        """Return the view of a run: as it is now where it has ended, else as of a moment ago."""
        with self._lock:
            kept = self._kept.setdefault(folder.path, _Kept(Lock()))
            self._kept.move_to_end(folder.path)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        with kept.lock:
            seen, over = _traces(folder), (folder.path / "summary.json").exists()
            began = time.monotonic()
            if kept.view is None or (seen != kept.seen and (over or began >= kept.not_before)):
                body = json.dumps(view_of(folder, kept.found), allow_nan=False).encode()
                kept.view = View(body, f'"{hashlib.sha256(body).hexdigest()[:24]}"')
                kept.seen = seen
                kept.not_before = time.monotonic() + _SHARE * (time.monotonic() - began)
            return kept.view


def view_of(folder: RunFolder, found: FindingView) -> dict[str, Any]:
    """Return a run's data; of one that is damaged, what is wrong with it."""
    stands = standing(folder)
    told = _told(stands.verdict, stands.because, stands.state or "damaged")
    try:
        clean = Salvage()(lambda: redactor_for(folder), Redactor()).clean
        told["diagnosis"] = plain(stands.summary.diagnosis if stands.summary else None, clean)
        if (folder.path / "run.db").exists():
            told |= _recorded(folder, stands, found, clean)
        elif stands.state == "goes on":
            told["problem"] = "Nothing is recorded yet: the daemon is being prepared."
        else:
            told["problem"] = "The run died before its first iteration."
    except StoreError as error:
        told["problem"] = redact(str(error))
    return told


def _told(verdict: str, because: str, state: str) -> dict[str, Any]:
    """Return what is said of a run of which no records are known."""
    return {
        "verdict": verdict,
        "because": because,
        "state": state,
        "problem": "",
        "diagnosis": None,
        "facts": {},
        "outcomes": {},
        "leak": "",
        "shades": {},
        "findings": [],
        "more": [],
        "untold": 0,
        "columns": no_columns(),
    }


def _recorded(folder: RunFolder, stands: Standing, found: FindingView, clean: Callable[[str], str]) -> dict[str, Any]:
    summary, manifest = stands.summary, stands.manifest
    tails = aggregate.tails(folder)
    columns = columns_of(folder, tails=tails)
    lines = {}
    if summary:
        lines = facts(folder, summary, manifest)
    elif manifest:
        lines = facts_so_far(folder, manifest, tails)
    first = list(islice(folder.each(Finding), _LINES))
    return {
        "facts": {name: clean(value) for name, value in lines.items()},
        "outcomes": {name: count for name in map(str, Outcome) if (count := sum(columns["outcomes"][name]))},
        "leak": leak_line(summary.leak) if summary and summary.leak else "",
        "shades": shades(columns["acts"]),
        "findings": [
            found.told(folder, finding, manifest.subject if manifest else {}, clean) for finding in first[:_TOLD_WHOLE]
        ],
        "more": [clean(finding_line(finding)) for finding in first[_TOLD_WHOLE:]],
        "untold": max(0, len(columns["findings"]["at"]) - _LINES),
        "columns": columns,
    }


def _traces(folder: RunFolder) -> object:
    """Return what changes with whatever there is to see."""
    files = [folder.path / name for name in ("run.json", "summary.json", "run.db", "run.db-wal")]
    files += folder.path.glob("findings/*/captured.json")
    stats = {file: file.stat() for file in files if file.exists()}
    return folder.is_locked, {str(file): (stat.st_mtime_ns, stat.st_size) for file, stat in stats.items()}
