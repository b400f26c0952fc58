"""The owner of a ledger: host, boot and pid namespace, and the lock that a living harness holds.

The kernel frees a lock with the last process that has it open, however that dies, and tells of it across pid
namespaces; across hosts it may not.
"""

import fcntl
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from harness.host.proc import Identity

State = Literal["held", "free", "missing"]

_INITIAL_NAMESPACE: Final = 0xEFFFFFFC
"""The pid namespace that sees all others: PROC_PID_INIT_INO in the kernel's include/linux/proc_ns.h."""
_PATIENCE_SECONDS: Final = 0.25
"""For those who only look at a lock and so hold it for a moment."""


@dataclass
class FileLock:
    """A lock file that we hold; no program that we start inherits it."""

    file: Path
    _descriptor: int

    @classmethod
    def take(cls, file: Path) -> "FileLock | None":
        """Take the lock of a file, made where it is not there; None where another has it.

        Raises:
            OSError: it cannot be made here.
        """
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while True:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                if time.monotonic() > give_up:
                    return None
                time.sleep(0.01)
                continue
            except BaseException:
                os.close(descriptor)
                raise
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), file.lstat()):
                    return cls(file, descriptor)
            os.close(descriptor)  # who had it has removed the file meanwhile

    @property
    def inode(self) -> int:
        """Of its file: a copy of it has another."""
        return os.fstat(self._descriptor).st_ino

    def release(self, *, remove: bool) -> None:
        """Release the lock; `remove` its file where nothing is left to lock."""
        try:
            if remove:
                self.file.unlink(missing_ok=True)
        finally:
            os.close(self._descriptor)


def state_of(file: Path) -> State:
    """Return whether anybody holds the lock of a file; one that cannot be looked at counts as held."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "held"
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return "held"
    finally:
        os.close(descriptor)
    return "free"


def host() -> str:
    """Return what tells this host from others: its name, and its machine id where it has one (machine-id(5))."""
    machine = ""
    with suppress(OSError):
        machine = Path("/etc/machine-id").read_text().strip()
    return f"{os.uname().nodename} {machine}".strip()


def pid_namespace() -> int | None:
    """Return the namespace that our process ids are of; None where ``/proc`` has those of another."""
    if Path("/proc/self").readlink().name != str(os.getpid()):
        return None
    return Path("/proc/self/ns/pid").stat().st_ino


def has_ended(namespace: int | None) -> bool:
    """Whether a pid namespace has no process any more, for sure: only the initial one sees all others."""
    if namespace is None or pid_namespace() != _INITIAL_NAMESPACE:
        return False
    for folder in Path("/proc").glob("[0-9]*"):
        if folder.name == "1":  # our own namespace's first, which need not let itself be looked at
            continue
        try:
            Identity.of(int(folder.name))  # a zombie that nobody reaps has its namespace still, and does nothing in it
            if (folder / "ns" / "pid").stat().st_ino == namespace:
                return False
        except (FileNotFoundError, ProcessLookupError):
            continue
        except PermissionError:
            return False
    return True
