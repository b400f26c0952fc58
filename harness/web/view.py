"""What the page of one run shows, as plain data: gathered anew when the run has moved on, but never without pause."""

import gzip
import hashlib
import json
from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from harness.analysis.hazard import hazard_maps
from harness.core.errors import StoreError
from harness.core.outcome import Outcome
from harness.core.records import Finding
from harness.report.charts.columns import columns_of, no_columns, shades, titles
from harness.report.found import diagnosis_html
from harness.report.hazard_figure import hazard_figure
from harness.report.progress import progress_of
from harness.report.redact import Redactor, redact
from harness.report.standing import Standing, Traces, redactor_for, standing, traces
from harness.report.words import facts, facts_so_far, finding_line, leak_line
from harness.store import aggregate
from harness.store.folder import RunFolder
from harness.store.hazards import hazards
from harness.store.salvage import Salvage
from harness.web.cached_answer import CachedAnswer, CacheSource
from harness.web.found import FindingView

_TOLD_WHOLE: Final = 3
"""Findings of which all is told; later ones show the same daemon in the same state."""
_LINES: Final = 100
_KEPT: Final = 16
"""Runs whose view is kept in memory, some 100 kB each."""
_GZIP_LEVEL: Final = 4


@dataclass(frozen=True)
class View:
    """A run's data as JSON, packed by gzip once for all requests."""

    packed: bytes
    etag: str


class Views:
    """The views of runs; visitors of one run share its view."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Path, tuple[CachedAnswer[View], FindingView]] = OrderedDict()

    async def of(self, folder: RunFolder) -> View:
        """Return the view of a run: as it is now where it has ended, else as of a moment ago."""
        kept, found = self._kept.setdefault(folder.path, (CachedAnswer(), FindingView()))
        self._kept.move_to_end(folder.path)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return await kept.get(
            CacheSource(
                traces=lambda: _traces(folder),
                make=lambda: _view(folder, found),
            )
        )


def _traces(folder: RunFolder) -> tuple[Traces, object]:
    seen = traces(folder)
    return seen, seen.turn


def _view(folder: RunFolder, found: FindingView) -> View:
    body = json.dumps(view_of(folder, found), allow_nan=False).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    return View(gzip.compress(body, _GZIP_LEVEL, mtime=0), etag)


def view_of(folder: RunFolder, found: FindingView) -> dict[str, Any]:
    """Return a run's data; of one that is damaged, what is wrong with it."""
    stands = standing(folder)
    data = _damaged(stands.verdict, stands.because, stands.state or "damaged")
    data["report"] = (folder.path / "report.html").is_file()
    try:
        redactor = Salvage()(lambda: redactor_for(folder), Redactor())
        if stands.summary and stands.summary.diagnosis:  # without secrets already, as the whole summary
            data["diagnosis"] = diagnosis_html(stands.summary.diagnosis)
        if stands.state != "ended" and (progress := progress_of(folder)):
            data["so_far"] = progress.parts
        if (folder.path / "run.db").exists():
            data |= _recorded(folder, stands, found, redactor)
        elif stands.state == "goes on":
            data["problem"] = "Nothing is recorded yet: the daemon is being prepared."
        else:
            data["problem"] = "The run died before its first iteration."
    except StoreError as error:
        data["problem"] = redact(str(error))
    return data


def _damaged(verdict: str, because: str, state: str) -> dict[str, Any]:
    """Return the data of a run whose records are not known."""
    return {
        "verdict": verdict,
        "because": because,
        "state": state,
        "problem": "",
        "diagnosis": "",
        "so_far": [],
        "report": False,
        "facts": {},
        "outcomes": {},
        "leak": "",
        "shades": {},
        "hazard": "",
        "findings": [],
        "more": [],
        "untold": 0,
        "columns": no_columns(),
        "titles": {},
    }


def _recorded(folder: RunFolder, stands: Standing, found: FindingView, redactor: Redactor) -> dict[str, Any]:
    clean = redactor.clean
    above = stands.summary.diagnosis.sentence if stands.summary and stands.summary.diagnosis else ""
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
        "hazard": hazard_figure(hazard_maps(hazards(folder)), clean),
        "findings": [
            found.html(
                folder,
                finding,
                manifest.subject if manifest else {},
                redactor,
                above=above,
                goes_on=stands.state == "goes on",
            )
            for finding in first[:_TOLD_WHOLE]
        ],
        "more": [clean(finding_line(finding)) for finding in first[_TOLD_WHOLE:]],
        "untold": max(0, len(columns["findings"]["at"]) - _LINES),
        "columns": columns,
        "titles": titles(columns),
    }
