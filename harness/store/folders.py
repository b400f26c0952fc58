"""Folders that this project keeps: each made for one run, search or series, with a lock and JSON files of its own."""

import fcntl
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from harness.core.errors import StoreError, UsageError
from harness.core.files import read_json, write_json

_OF_A_HOST: Final = re.compile(r"\d{8}T\d{6}Z-(.+)-[0-9a-f]{4}")
_LOCK_TRIES: Final = 5
_LOCK_PAUSE: Final = 0.02


class RunGoesOn(UsageError):
    """A run that another process is in the middle of."""

    def __init__(self, run: Path) -> None:
        super().__init__(f"{run} still goes on: wait for its end, or end it with Ctrl-C")


class Folder:
    """A folder on disk that one process writes at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """Name of the run, unique on this host."""
        return self.path.name

    def write_json(self, name: str, content: object) -> None:
        """Write `content` to the file `name`, whole or not at all."""
        write_json(self.path / name, content)

    def read_json(self, name: str) -> dict[str, Any]:
        """Return the content of the file `name`.

        Raises:
            StoreError: it cannot be read, or is no JSON object.
        """
        return read_json(self.path / name, dict[str, Any])

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the run for this process; the lock ends with the process, however that ends.

        Raises:
            RunGoesOn: another process has it.
        """
        folder = os.open(self.path, os.O_RDONLY)
        try:
            for tries_left in reversed(range(_LOCK_TRIES)):
                try:
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if not tries_left:
                        raise RunGoesOn(self.path) from error
                    time.sleep(_LOCK_PAUSE)  # one who only asks whether it goes on has it for a moment
            yield
        finally:
            os.close(folder)

    @property
    def is_locked(self) -> bool:
        """Whether a process has it locked."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)  # many may look at once
        except BlockingIOError:
            return True
        finally:
            os.close(folder)
        return False


def host_in(name: str) -> str:
    """Return the host that the name of a run's folder has, of one that came from another; empty of one made here."""
    named = _OF_A_HOST.fullmatch(name)
    return named[1] if named else ""


def new_folder(parent: Path, *parts: str, kind: str = "", option: str = "--results") -> Path:
    """Make a folder of its own for something that begins now: ``<parent>/[<kind>-]<UTC time>-<4 hex>/``.

    Args:
        parent: made where it is not there.
        parts: names of folders in it.
        kind: stands before the time.
        option: by which the user can say another place.

    Raises:
        StoreError: it cannot be made.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = parent / f"{f'{kind}-' if kind else ''}{stamp}-{secrets.token_hex(2)}"
    try:
        path.mkdir(mode=0o700, parents=True)  # what is built may print secrets; logs of it are the owner's alone
        _hand_to_caller(path)
        for part in parts:
            (path / part).mkdir()
    except OSError as error:
        raise StoreError(path, f"{error.strerror}; give another folder with {option}") from error
    return path


def _hand_to_caller(folder: Path) -> None:
    """Make the caller of ``sudo`` the owner of a folder that only its owner may enter."""
    user, group = (os.environ.get(name, "") for name in ("SUDO_UID", "SUDO_GID"))
    if os.geteuid() == 0 and user.isdecimal() and group.isdecimal():
        os.chown(folder, int(user), int(group))


class LeadsOut(StoreError):
    """A symbolic link in a folder of ours that leads out of it: a received folder could hand out any file so."""

    def __init__(self, link: Path) -> None:
        super().__init__(link, "is a symbolic link out of its folder, and is not read: remove it, or put a copy there")


class NoPlainFile(StoreError):
    """Something in a folder of ours that is neither a file nor a folder: who reads it may wait for ever."""

    def __init__(self, place: Path) -> None:
        super().__init__(place, "is a pipe, a socket or a device, which no run's folder has: remove it")


def lies_in(folder: Path, file: Path) -> bool:
    """Whether a file, links resolved, lies in a folder or below it."""
    try:
        return file.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # links that lead in a circle lead nowhere
        return False


def require_no_way_out(folder: Path, *, below: bool = True) -> None:
    """Make sure that a folder, and those below it, have files and folders alone, and links to what lies in it.

    Args:
        folder: that is looked at.
        below: whether those below it are, too.

    Raises:
        LeadsOut: a symbolic link leads out of it.
        NoPlainFile: a pipe, a socket or a device is in it.
    """
    waiting = [folder]
    while waiting:
        entries = list[os.DirEntry[str]]()
        with suppress(OSError), os.scandir(waiting.pop()) as found:  # what cannot be listed cannot be read either
            entries = [*found]
        for entry in entries:  # the list says of most what they are, so nothing else is asked
            if entry.is_symlink():
                if not lies_in(folder, Path(entry.path)):
                    raise LeadsOut(Path(entry.path))
            elif entry.is_dir(follow_symlinks=False):
                waiting += [Path(entry.path)] if below else []
            elif not entry.is_file(follow_symlinks=False) and os.path.lexists(entry.path):  # it has not just gone
                raise NoPlainFile(Path(entry.path))


def named(name: str, folders: Iterable[Path]) -> list[Path]:
    """Return the folders with names that end so; for ``last``, the newest (names begin with the time of the start)."""
    ordered = sorted(folders, key=lambda path: path.name)
    return ordered[-1:] if name == "last" else [path for path in ordered if path.name.endswith(name)]


def the_one(name: str, mark: str, folders: Iterable[Path], refusal: Callable[[list[Path]], UsageError]) -> Path:
    """Return the folder that `name` names: itself, if `mark` lies in it, or the one of `folders` that `named` finds.

    Raises:
        UsageError: none, or several: what `refusal` makes of those that match.
    """
    if (Path(name) / mark).is_file():
        return Path(name)
    matching = named(name, folders)
    if len(matching) != 1:
        raise refusal(matching)
    return matching[0]
