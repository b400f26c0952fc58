"""The runs below results folders: found by name, each digested once, and again when something in it has changed."""

import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final, Generic, TypeVar
from urllib.parse import quote

from harness.report.overview.digest import Digest, digest_of
from harness.report.standing import Traces, traces
from harness.store.find import runs_below
from harness.store.folder import RunFolder
from harness.store.searches import ListedSearch, search_folders, search_of

V = TypeVar("V")

_NAME: Final = re.compile(r"(?!\.)[^/\0]+")
"""A scenario's or a run's: no way to elsewhere."""


class Runs:
    """The runs below some folders; one is found by its name in the list, never by a path."""

    def __init__(self, *results: Path) -> None:
        self.results = results
        self._digests = _Memory[Digest]()
        self._searches = _Memory[ListedSearch]()
        self._lock = Lock()

    def folders(self) -> list[RunFolder]:
        """Return them, newest first."""
        found = [run for results in self.results for run in runs_below(results)]
        return sorted(found, key=lambda run: run.name, reverse=True)

    def find(self, scenario: str, name: str) -> RunFolder | None:
        """Return the run of that name."""
        if not all(_NAME.fullmatch(part) for part in (scenario, name)):
            return None
        paths = (results / scenario / name for results in self.results)
        with suppress(OSError):  # of a name that is too long for any
            if path := next((path for path in paths if (path / "run.json").is_file()), None):
                return RunFolder(path)
        return next((run for run in self.folders() if (run.path.parent.name, run.name) == (scenario, name)), None)

    def traces(self) -> tuple[list[Traces | None], list[Traces | None]]:
        """Return what changes with whatever there is to see of each run, and of each search."""
        return [_traces(folder.path) for folder in self.folders()], [_traces(path) for path in self._search_folders()]

    def digests(self) -> list[Digest]:
        """Return each in a line, newest first; those that have not changed are not read again."""
        with self._lock:
            return self._digests.all((run.path for run in self.folders()), lambda path: digest_of(RunFolder(path)))

    def searches(self) -> list[ListedSearch]:
        """Return the searches and comparisons, newest first."""
        with self._lock:
            found = self._searches.all(self._search_folders(), search_of)
        return sorted(found, key=lambda search: search.name[-21:], reverse=True)

    def _search_folders(self) -> list[Path]:
        return [path for results in self.results for path in search_folders(results)]


class _Memory(Generic[V]):
    """What was read of folders, until something in them changes."""

    def __init__(self) -> None:
        self._kept: dict[Path, tuple[object, V]] = {}

    def all(self, paths: Iterable[Path], read: Callable[[Path], V]) -> list[V]:
        """Return what is known of each, or read it; folders that are gone are forgotten."""
        before, self._kept = self._kept, {}
        for path in paths:
            now = _traces(path)
            if now is not None:
                seen, value = before.get(path, (None, None))
                self._kept[path] = now, read(path) if value is None or seen != now else value
        return [value for _, value in self._kept.values()]


def _traces(path: Path) -> Traces | None:
    """Return what changes with whatever there is to see of a folder; None where it is gone."""
    try:
        return traces(RunFolder(path))
    except OSError:
        return None


def address_of_run(folder: RunFolder) -> str:
    """Return where a run's page is."""
    return f"/runs/{quote(folder.path.parent.name, safe='')}/{quote(folder.name, safe='')}/"


def last_record(folder: RunFolder) -> float:
    """Return the seconds since something was last recorded; infinite where nothing was."""
    times = [file.stat().st_mtime for name in ("run.db", "run.db-wal") if (file := folder.path / name).exists()]
    return max(0.0, time.time() - max(times)) if times else float("inf")
