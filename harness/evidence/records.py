"""What a daemon lists through its client: the records of its builds, and of its cache."""

from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import CaptureError
from harness.core.files import write_whole
from harness.daemons.base import ListsRecords
from harness.evidence.base import Subject


@dataclass(frozen=True)
class BuildList:
    """``histories.txt``: all of them; ``histories-running.txt``: those that the daemon holds to be running."""

    name: str = "build records"
    deadline: float = 12.0

    async def capture(self, daemon: Subject, folder: Path) -> None:
        """Have them listed."""
        records = await _lister(daemon).build_records()
        write_whole(folder / "histories.txt", records.text)
        write_whole(folder / "histories-running.txt", "".join(f"{line}\n" for line in records.running))


@dataclass(frozen=True)
class CacheList:
    """``du.txt``: each record with what it is, whether it is in use, and whether it can be reclaimed."""

    name: str = "cache records"
    deadline: float = 12.0

    async def capture(self, daemon: Subject, folder: Path) -> None:
        """Have them listed."""
        write_whole(folder / "du.txt", await _lister(daemon).cache_records())


def _lister(daemon: Subject) -> ListsRecords:
    if not isinstance(daemon, ListsRecords):
        raise CaptureError(f"no client of a {daemon.facts.kind} lists its records")
    return daemon
