"""Folders of the cache in which something is being fetched: locked as long as that goes on, so who dies leaves none."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = ".scratch-"


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """Make a folder that goes with the context; those that killed processes left beside it go first.

    Args:
        parent: where it is made.
    """
    remove_dead(parent)
    folder, lock = _locked(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_dead(parent: Path) -> None:
    """Remove the folders in `parent` whose processes have died."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # it is another's, or has just gone
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _locked(parent: Path) -> tuple[Path, int]:
    """Return a new folder with its lock; one that was taken for a dead one before it was locked is made anew."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)
