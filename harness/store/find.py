"""Runs by name, and those that were made as shards of one."""

from collections.abc import Sequence
from pathlib import Path

from harness.core.errors import UsageError
from harness.store.folder import RunFolder
from harness.store.folders import require_no_way_out, the_one


class NoSuchRun(UsageError):
    """A run that is not there."""

    def __init__(self, run: str, results: Path, matching: Sequence[Path]) -> None:
        self.is_ambiguous = bool(matching)
        several = f"it ends the names of {', '.join(path.name for path in matching)}; say more of it"
        none = f"it is no run folder, nor the end of the name of one below {results}"
        if run == "last":
            none = f"there is none below {results}; `repro run` makes one, and `--results` names another folder"
        super().__init__(f"no run {run!r}: {several if matching else none}")


def runs_at(place: Path, way: str) -> list[RunFolder]:
    """Return the runs that a pattern leads to from a folder, in the order of their paths.

    Folders whose names begin with a dot are left out: what comes from another host is laid out in one first.
    """
    found = (file.parent for file in sorted(place.glob(f"{way}/run.json")))
    return [RunFolder(path) for path in found if not path.name.startswith(".")]


def runs_below(results: Path) -> list[RunFolder]:
    """Return all runs below a results folder, newest first: also those that searches have in their own folders."""
    ways = ("*/*", "bisect/*/*/*", "*/minimize-*/runs/*/*", "*/explore-*/*/*")
    found = {run.path: run for way in ways for run in runs_at(results, way)}
    return sorted(found.values(), key=lambda run: run.name, reverse=True)


def find_run(run: str, results: Path) -> RunFolder:
    """Return the run that `run` names: a folder, the end of a folder's name, or ``last``.

    Raises:
        NoSuchRun: none, or several.
        LeadsOut: a link in it leads out of it.
    """
    folders = (folder.path for folder in runs_at(results, "*/*"))
    found = the_one(run, "run.json", folders, lambda matching: NoSuchRun(run, results, matching))
    require_no_way_out(found)
    return RunFolder(found)


def shards_in(folder: Path) -> list[RunFolder]:
    """Return the runs beside the folder of some shards that were made as one of them, the earliest first.

    Raises:
        StoreError: one cannot be read.
    """
    return [run for run in runs_at(folder.parent, "*") if run.manifest().part_of == folder.name]
