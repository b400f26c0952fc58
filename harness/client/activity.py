"""Whether a daemon is at work for a build that says nothing: a step's process lives, or the daemon reads and writes.

The progress stream is silent while a step prints nothing and while a layer is compressed. The kernel knows better:
``/proc/PID/stat`` and ``/proc/PID/io`` (proc(5)). A daemon that is stopped is at no work, whatever lives below it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import anyio
import psutil

from harness.core.manifest import DaemonFacts

_APART: Final = 1.0
"""Seconds between two looks: what moves is seen from one to the next."""
_AT_WORK: Final = 262_144
"""Bytes a second from which on a daemon reads and writes for a build, and not only for its log and its clients."""
_RUN: Final = re.compile(r"(?:^|\] )RUN ")
RUNTIMES: Final = re.compile(r"^(?:runc|buildkit-runc|crun|youki|containerd-shim.*)$")
"""What starts the first process of a step."""
_GONE: Final = frozenset({psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD})
_STOPPED: Final = frozenset({psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP})


class Work(StrEnum):
    """What a daemon is seen to do for a build."""

    NONE = "none"
    UNKNOWN = "not known yet"
    """Nobody has looked before, so that there is nothing to compare with."""
    DATA = "data"
    """It reads or writes, for this build or for another beside it."""
    PROCESS = "process"
    """A step of the build is running, and its process lives."""


@dataclass(frozen=True)
class ProcessSnapshot:
    """A daemon's processes at one time."""

    at: float
    moved: int
    """Bytes that the daemon has read and written since it started, through files, pipes and sockets."""
    steps: Sequence[str]
    """The commands of steps whose first process lives, as a shell is given them."""
    stopped: bool
    """Whether the daemon is in state T."""


class Activity:
    """What a daemon does, from one look to the next; it is looked at when somebody asks, once a second at most.

    Args:
        read: how to look.
    """

    def __init__(self, read: Callable[[], ProcessSnapshot]) -> None:
        self._read = read
        self._looks: tuple[ProcessSnapshot, ...] = ()

    def of(self, running: Sequence[str], beside: Sequence[str] = ()) -> Work:
        """Return what is done for a build.

        Args:
            running: the names of its steps that have started and not completed, as its progress tells them.
            beside: those of the other builds on the daemon.
        """
        before, now = self._two_looks()
        if now.stopped:
            return Work.NONE
        own = [name for name in running if _RUN.search(name)]
        if own and _is_alive(own, [name for name in beside if _RUN.search(name)], now.steps):
            return Work.PROCESS
        seconds = now.at - before.at
        if not seconds:
            return Work.UNKNOWN
        if (now.moved - before.moved) / seconds >= _AT_WORK and len(own) < len(running):
            return Work.DATA
        return Work.NONE

    def _two_looks(self) -> tuple[ProcessSnapshot, ProcessSnapshot]:
        if not self._looks:
            self._looks = (self._read(),) * 2
        elif anyio.current_time() - self._looks[-1].at >= _APART:
            self._looks = (self._looks[-1], self._read())
        return self._looks[0], self._looks[-1]


def _is_alive(own: Sequence[str], others: Sequence[str], steps: Sequence[str]) -> bool:
    """Whether a process is a build's own by its command, or at least no other's: a name has its variables expanded."""
    return any(_is_of(step, own) or not _is_of(step, others) for step in steps)


def _is_of(step: str, names: Sequence[str]) -> bool:
    return any(step and step in name for name in names)


def look_at(facts: DaemonFacts, now: float) -> ProcessSnapshot:
    """Look at a daemon's processes, and at all below them, at monotonic time `now`."""
    moved, steps, stopped = 0, list[str](), False
    for pid in facts.pids:
        with suppress(psutil.Error):
            daemon = psutil.Process(pid)
            stopped |= daemon.status() in _STOPPED
            moved += bytes_moved(pid)
            below = {child.pid: child for child in daemon.children(recursive=True)}
            steps += [command for child in below.values() if (command := _command(child, below)) is not None]
    return ProcessSnapshot(now, moved, steps, stopped)


def _command(child: psutil.Process, below: Mapping[int, psutil.Process]) -> str | None:
    """Return the last argument of a step's first process; None for any other process, and for one that has ended."""
    with suppress(psutil.Error):
        parent = below.get(child.ppid())
        if parent and RUNTIMES.match(parent.name()) and not RUNTIMES.match(child.name()):
            return None if child.status() in _GONE else " ".join(child.cmdline()[-1:])
    return None


def bytes_moved(pid: int) -> int:
    """Return the bytes that a process has read and written; 0 where the kernel does not say."""
    try:
        lines = (Path("/proc") / str(pid) / "io").read_text().splitlines()
    except OSError:
        return 0
    counters: Mapping[str, str] = dict(line.split(": ", 1) for line in lines)
    return int(counters.get("rchar", 0)) + int(counters.get("wchar", 0))
