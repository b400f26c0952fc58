"""What shows that a thing is ours that a ledger names: a ledger is a file, and may say anything.

Outside the cache a thing shows it itself, by the mark of its harness, which nobody can guess: in a process's
environment, below a cgroup, in a folder. Each function returns why a thing is not to be touched, None where it is ours.
"""

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from harness.core.errors import InfraError
from harness.host.cache import cache_folder
from harness.host.cgroup import folders_of, is_made_by
from harness.host.proc import STARTED_BY, Identity

_PLACES: Final = ("daemons", "visits", "registries", "staging", "builds")
"""The folders of the cache that runs have folders in; below ``builds`` what is hidden, for the others are results."""
_CGROUP: Final = re.compile(r"repro-[\w.-]{1,200}")
MOST_BYTES: Final = 2**22
"""What a file of ours is read to; a ledger has some 200 bytes for each thing."""
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH

Made = tuple[int, int]
"""The device and the inode of a folder as it was made."""


class Disbelieved(InfraError):
    """A file that another may have written."""

    def __init__(self, file: Path, why: str) -> None:
        super().__init__(f"{file}: not believed, for {why}")


def read_ours(file: Path) -> str:
    """Return what is in a file that nobody but us, or root, can have written.

    Raises:
        Disbelieved: somebody else can.
        OSError: it is not there, or cannot be read.
    """
    if file.is_symlink():
        raise Disbelieved(file, "it is a symbolic link")
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Disbelieved(file, "it is a folder")
    with os.fdopen(descriptor) as opened:
        facts = os.fstat(opened.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise Disbelieved(file, "it is not a file")
        if facts.st_uid not in {0, os.geteuid()}:
            raise Disbelieved(file, f"it is of user {facts.st_uid}")
        if facts.st_mode & _WRITABLE_BY_OTHERS:
            raise Disbelieved(file, "others can write to it")
        if facts.st_size > MOST_BYTES:
            raise Disbelieved(file, f"it has {facts.st_size:,} bytes")
        return opened.read()


def in_place(folder: Path) -> bool:
    """Whether a folder, resolved, is where runs have theirs: below the cache, or ``repro-…`` in /run or for temporary
    files.
    """
    if (below := _in_cache(folder)) is not None:
        return len(below) > 1 and below[0] in _PLACES and (below[0] != "builds" or below[1].startswith("."))
    tops = {Path("/run").resolve(), Path(tempfile.gettempdir()).resolve()}
    return folder.parent in tops and folder.name.startswith("repro-")


def _in_cache(folder: Path) -> tuple[str, ...] | None:
    cache = cache_folder("ledgers").parent.resolve()
    return folder.relative_to(cache).parts if folder.is_relative_to(cache) else None


def make(folder: Path, mark: str) -> Made:
    """Make a folder; one outside the cache, in which nobody else has any, comes to its name with our mark in it."""
    draft = folder if _in_cache(folder) is not None else _draft_of(folder, mark)
    draft.mkdir(parents=True, mode=0o700)
    if draft != folder:
        _mark_in(draft, mark).touch(0o600)
        draft.rename(folder)
    facts = folder.lstat()
    return facts.st_dev, facts.st_ino


def remove_draft(folder: Path, mark: str | None) -> None:
    """Remove an empty folder that has not come to its name, or has lost it: the mark is in the name that it has."""
    if mark and in_place(folder):
        with suppress(OSError, ValueError):  # a mark that somebody else wrote may be no name
            draft = _draft_of(folder, mark)
            _mark_in(draft, mark).unlink(missing_ok=True)
            draft.rmdir()


def remove(folder: Path, mark: str | None) -> None:
    """Remove a folder with all in it, as far as that goes; whose it is it shows until it has lost its name."""
    if not is_signed(folder, mark):
        shutil.rmtree(folder, ignore_errors=True)
        return
    with suppress(OSError):
        sign = _mark_in(folder, str(mark))
        for each in [each for each in folder.iterdir() if each != sign]:
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each, ignore_errors=True)
            else:
                each.unlink()
        if [*folder.iterdir()] == [sign]:
            folder.rename(_draft_of(folder, str(mark)))
            remove_draft(folder, mark)


def is_signed(folder: Path, mark: str | None) -> bool:
    """Whether a folder shows by the mark of its harness who made it."""
    return bool(mark) and _mark_in(folder, str(mark)).is_file()


def _draft_of(folder: Path, mark: str) -> Path:
    return folder.with_name(f"{folder.name}.by-{mark}")


def _mark_in(folder: Path, mark: str) -> Path:
    return folder / f".by-{mark}"


def no_folder_of_ours(folder: Path, made: Made | None, mark: str | None, *, this_boot: bool) -> str | None:
    """Judge a folder that is there.

    Args:
        folder: its path.
        made: what it was as it was made; None where that was not noted.
        mark: of the harness that made it; None where that was not noted.
        this_boot: whether it was made in this boot, for devices are numbered anew in each.
    """
    if folder != folder.resolve() or not in_place(folder):
        return "is not where runs have theirs"
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode):
        return "is no folder"
    if facts.st_uid != os.geteuid():
        return f"is of user {facts.st_uid}"
    if made and (facts.st_ino != made[1] or (this_boot and facts.st_dev != made[0])):
        return "is not the folder that the run made there"
    if _in_cache(folder) is None and not is_signed(folder, mark):
        return "does not show that the run made it"
    return None


def no_process_of_ours(process: Identity, mark: str | None, cgroups: Iterable[str]) -> str | None:
    """Judge a process that runs: those that we start have the mark of their harness, or live in a cgroup of its run."""
    try:
        known = psutil.Process(process.pid)
        if process.pid in {1, os.getpid(), *(above.pid for above in psutil.Process().parents())}:
            return "runs this very program"
        user = known.uids().effective
        if user != os.geteuid():
            return f"is of user {user}"
        environment = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
        lives_in = [line.split(":", 2)[2] for line in Path(f"/proc/{process.pid}/cgroup").read_text().splitlines()]
    except (OSError, psutil.Error):
        return "cannot be looked at" if process.alive() else None
    if mark and f"{STARTED_BY[0]}={mark}".encode() in environment:
        return None
    ours = [f"/{name}" for name in cgroups if no_cgroup_of_ours(name, mark) is None]
    if any(path == top or path.startswith(f"{top}/") for path in lives_in for top in ours):
        return None
    return "was not started by the run's harness"


def remove_empty_cgroup(name: str) -> None:
    """Remove a cgroup that has no process and none below it, as a harness leaves it that is killed as it makes one."""
    with suppress(OSError):  # the kernel refuses for one that is in use
        folders = [*folders_of(name)] if _CGROUP.fullmatch(name) else []
        if not any((each / "cgroup.procs").read_text() or [*each.glob("*/")] for each in folders):
            for folder in folders:
                folder.rmdir()


def no_cgroup_of_ours(name: str, mark: str | None) -> str | None:
    """Judge a cgroup by its name, and by the mark of the harness that made it; one that is not there is nobody's."""
    if not _CGROUP.fullmatch(name):
        return "is not named as those of runs are"
    if not any(folders_of(name)) or (mark is not None and is_made_by(name, mark)):
        return None
    return "does not show that the run made it"
