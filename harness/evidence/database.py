"""Copies of BuildKit's databases: the cache graph, the build records, what is known of each cache record."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import anyio.to_thread

from harness.buildkit.bbolt_copy import copy_whole
from harness.core.errors import CaptureError
from harness.core.manifest import DaemonFacts
from harness.evidence.base import Subject

_IN_CONTAINER: Final = ("volumes/*/_data", "volumes/*/_data/*")
"""Below dockerd's root, of BuildKit in a container of it; another's dockerd may have some that are not on trial."""
_PLACES: Final = ("", "*", "buildkit/*")
"""Below a daemon's root: in buildkitd's root and in its worker's folder; in dockerd's ``buildkit`` and its worker's.
Not all of the tree: its snapshots may be millions of files.
"""


@dataclass(frozen=True)
class DatabaseCopy:
    """One database, whole: a copy of a file that is being written to is checked, and made again."""

    name: str
    """The file's, in the evidence and in the daemon's root, where dockerd says ``history_c8d.db``."""
    deadline: float = 10.0

    async def capture(self, daemon: Subject, folder: Path) -> None:
        """Find it, and copy it."""
        copy = partial(copy_whole, find_database(daemon.facts, self.name), folder / self.name)
        await anyio.to_thread.run_sync(copy, abandon_on_cancel=True)


def find_database(facts: DaemonFacts, name: str) -> Path:
    """Return where a daemon keeps one of its databases.

    Raises:
        CaptureError: it has none, or its root is not known.
    """
    if facts.root is None:
        raise CaptureError("the daemon's root is not known")
    places = (*(_IN_CONTAINER if facts.private else ()), *_PLACES)
    source = next(_found(facts.root, name, places), None)
    if source is None:
        raise CaptureError(f"there is none below {facts.root}")
    return source


def _found(root: Path, name: str, places: Iterable[str]) -> Iterator[Path]:
    for place in places:
        yield from sorted(root.glob(str(Path(place) / f"{Path(name).stem}*.db")))
