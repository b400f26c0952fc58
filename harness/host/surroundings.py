"""What a run needs of where it was started: the shell's limits, room for temporary files, the system's own programs."""

import errno
import os
import resource
import shutil
import tempfile
from typing import Final

from harness.core.errors import CommandMissing, InfraError
from harness.core.units import format_size
from harness.host.hostinfo import DISK_FLOOR

_ROOM: Final = 2**24
"""Free bytes for temporary files: what the commands of a run print goes through them."""
_LIMITS: Final = (
    (resource.RLIMIT_NOFILE, "-n", 256, "open files"),  # a build has some 10 descriptors, a daemon's client 20
    (resource.RLIMIT_FSIZE, "-f", DISK_FLOOR, "bytes a file"),  # a layer, or the file that a daemon's disk lives in
    (resource.RLIMIT_AS, "-v", 2**32, "bytes of addresses"),  # Go and numpy reserve far more than they use
    (resource.RLIMIT_DATA, "-d", 2**30, "bytes of data"),
    (resource.RLIMIT_CPU, "-t", 3600, "seconds of CPU"),  # beyond them the kernel kills the harness
)
"""Each limit, the option of the shell's `ulimit` that sets it, what a run needs, and of what."""
NEEDED: Final = {"setpriv": "util-linux"}
"""Programs that every run needs, and the package that has each: it binds the life of what we start to ours."""
USEFUL: Final = {"mount": "util-linux", "umount": "util-linux", "mkfs.ext4": "e2fsprogs", "taskset": "util-linux"}
"""Programs that only some runs need: those with a disk limit, or with shards."""


class NoTemporaryFiles(InfraError):
    """No place for temporary files."""

    def __init__(self, folder: str, why: str) -> None:
        super().__init__(f"temporary files cannot be written to {folder}: {why}; set TMPDIR to a folder with room")


class LimitTooLow(InfraError):
    """A limit of this shell, or of what started it, that a run would break on."""

    def __init__(self, option: str, has: int, needs: int, what: str) -> None:
        super().__init__(
            f"this process may have {has} {what} and a run needs {needs}: say `ulimit {option} unlimited`, or what you "
            "may, and start it from there"
        )


def require_temporary_files() -> None:
    """Check that temporary files can be written where they go.

    Raises:
        NoTemporaryFiles: they cannot.
    """
    asked = next((os.environ[name] for name in ("TMPDIR", "TEMP", "TMP") if os.environ.get(name)), None)
    try:  # Python would pass over a TMPDIR that is no good, and the programs that we start would not
        folder = asked or tempfile.gettempdir()
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, _ROOM)
    except OSError as error:
        if error.errno == errno.EFBIG:  # which is said of the shell's limits
            return
        why = error.strerror or str(error)
        if error.errno == errno.ENOSPC:
            why = f"less than {format_size(_ROOM)} are free"
        raise NoTemporaryFiles(asked or "/tmp", why) from error  # noqa: S108 — where they go without TMPDIR


def require_high_limits() -> None:
    """Check that this process and those that it starts may have what they need.

    Raises:
        LimitTooLow: they may not.
    """
    for limit, option, needs, what in _LIMITS:
        has, _ = resource.getrlimit(limit)
        if has != resource.RLIM_INFINITY and has < needs:
            raise LimitTooLow(option, has, needs, what)


def require_programs() -> None:
    """Check that this host has the programs that every run needs.

    Raises:
        CommandMissing: it has not.
    """
    for program, package in NEEDED.items():
        if shutil.which(program) is None:
            raise CommandMissing(program, f"no {program} is on PATH; install {package}")


def lacking() -> list[str]:
    """Return the programs that some runs need, and this host has not."""
    return [program for program in USEFUL if shutil.which(program) is None]
