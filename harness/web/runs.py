"""The runs below a results folder, as they stand: also those that go on, died, or cannot be read."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from harness.core.errors import StoreError
from harness.core.manifest import RunManifest
from harness.core.records import Summary
from harness.report.door import redactor_of
from harness.report.redact import Redactor, redact
from harness.report.words import headline
from harness.store import aggregate
from harness.store.folder import RunFolder
from harness.store.salvage import Salvage

State = Literal["ended", "goes on", "died"]
DAMAGED: Final = "DAMAGED"
_NAME: Final = re.compile(r"(?!\.)[^/\0]+")
"""A scenario's or a run's: no way to elsewhere."""
_KEPT: Final = 1000
"""Runs of which it is kept in memory what is secret in them."""


@dataclass(frozen=True)
class Standing:
    """How a run stands."""

    state: State | None
    """None where a file is damaged, so that nobody can tell."""
    verdict: str
    because: str
    manifest: RunManifest | None
    summary: Summary | None


@dataclass(frozen=True)
class ListedRun:
    """A run in one line."""

    scenario: str
    name: str
    started: str
    state: State | None
    """None where that cannot be told."""
    verdict: str
    because: str
    iterations: int | None
    first_hang: int | None


class Runs:
    """The runs below some folders; one is found by its name in the list, never by a path."""

    def __init__(self, *results: Path) -> None:
        self.results = results

    def folders(self) -> list[RunFolder]:
        """Return them, newest first."""
        found = (file.parent for results in self.results for file in results.glob("*/*/run.json"))
        return [RunFolder(path) for path in sorted(found, key=lambda path: path.name, reverse=True)]

    def find(self, scenario: str, name: str) -> RunFolder | None:
        """Return the run of that name."""
        if not all(_NAME.fullmatch(part) for part in (scenario, name)):
            return None
        paths = (results / scenario / name for results in self.results)
        return next((RunFolder(path) for path in paths if (path / "run.json").is_file()), None)

    def listed(self) -> Iterator[ListedRun]:
        """Yield each in one line, newest first."""
        for folder in self.folders():
            yield _listed(folder)


def standing(folder: RunFolder) -> Standing:
    """Return how a run stands; of one that is damaged, what is wrong, and what can be read."""
    salvage = Salvage()
    redactor = salvage(lambda: redactor_for(folder), Redactor())
    manifest = redactor.tree(salvage(folder.manifest, None))
    summary = redactor.tree(salvage(folder.summary, None))
    if manifest is None or salvage.problems:
        return Standing(None, DAMAGED, redactor.clean("; ".join(salvage.problems)), manifest, summary)
    verdict, because = headline(folder, summary, manifest)
    because = redactor.clean(because)
    if summary:
        return Standing("ended", verdict, because, manifest, summary)
    return Standing("goes on" if folder.is_locked else "died", verdict, because, manifest, None)


def redactor_for(folder: RunFolder) -> Redactor:
    """Return the run's redactor; what it knows is read anew when the files that say it have changed.

    Raises:
        StoreError: they cannot be read.
    """
    files = (folder.path / name for name in ("scenario.yaml", "run.json"))
    return _redactor(folder.path, tuple(file.stat().st_mtime_ns for file in files if file.exists()))


@lru_cache(_KEPT)
def _redactor(path: Path, _: tuple[int, ...]) -> Redactor:
    return redactor_of(path)


def traces(folder: RunFolder) -> object:
    """Return what changes with whatever there is to see of a run."""
    files = [folder.path / name for name in ("run.json", "summary.json", "run.db", "run.db-wal")]
    files += folder.path.glob("findings/*/captured.json")
    stats = {file: file.stat() for file in files if file.exists()}
    return folder.is_locked, {str(file): (stat.st_mtime_ns, stat.st_size) for file, stat in stats.items()}


def last_record(folder: RunFolder) -> float:
    """Return the seconds since something was last recorded; infinite where nothing was."""
    times = [file.stat().st_mtime for name in ("run.db", "run.db-wal") if (file := folder.path / name).exists()]
    return max(0.0, time.time() - max(times)) if times else float("inf")


def _listed(folder: RunFolder) -> ListedRun:
    scenario = folder.path.parent.name
    try:
        stands = standing(folder)
        summary = stands.summary
        if summary:
            iterations, hang = summary.iterations, summary.first_hang.iteration if summary.first_hang else None
        elif (folder.path / "run.db").exists():
            iterations, hang = aggregate.iterations(folder), aggregate.first_hang(folder)
        else:
            iterations, hang = 0, None
    except StoreError as error:
        return ListedRun(scenario, folder.name, "", None, DAMAGED, redact(str(error)), None, None)
    started = stands.manifest.started if stands.manifest else ""
    return ListedRun(scenario, folder.name, started, stands.state, stands.verdict, stands.because, iterations, hang)
