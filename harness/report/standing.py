"""How a run stands: ended, going on, dead, or damaged; what was read of it has no secrets in it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from harness.core.manifest import RunManifest
from harness.core.records import Summary
from harness.report.door import redactor_of
from harness.report.redact import Redactor
from harness.report.words import headline
from harness.store.folder import RunFolder
from harness.store.salvage import Salvage

State = Literal["ended", "goes on", "died"]
DAMAGED: Final = "DAMAGED"
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


@dataclass(frozen=True)
class Traces:
    """What changes with whatever there is to see of a run."""

    goes_on: bool
    files: Mapping[str, tuple[int, int]]
    """Each file's time, in nanoseconds, and its size in bytes."""
    findings: Mapping[str, int]
    """When the evidence of each finding was captured, in nanoseconds."""

    @property
    def turn(self) -> object:
        """What differs when something has come that nobody should wait for: a finding, the end, all that follows it."""
        return self.findings if self.goes_on else self


def traces(folder: RunFolder) -> Traces:
    """Return what changes with whatever there is to see of a run.

    Raises:
        OSError: its folder is gone.
    """
    with os.scandir(folder.path) as entries:  # its files are replaced, or grow; whoever reads makes SQLite's others
        stats = {each.name: each.stat(follow_symlinks=False) for each in entries if each.name != "run.db-shm"}
    seen = {name: (stat.st_mtime_ns, stat.st_size) for name, stat in stats.items() if stat.st_size}
    captured = folder.path.glob("findings/*/captured.json") if "findings" in stats else ()
    return Traces(folder.is_locked, seen, {file.parent.name: file.lstat().st_mtime_ns for file in captured})
