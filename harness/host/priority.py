"""Has the thread that follows triggers wake at once, also on a host whose cores are all taken."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_LOWEST: Final = 1
"""Of the real-time priorities: before every ordinary thread, and behind all that others have set up."""

_GIVES_WAY: Final = 0.0005
"""Seconds after which a worker thread that computes, as one that reads dumps does, leaves the interpreter to this one;
5 ms without it.
"""


@contextmanager
def waking_at_once() -> Iterator[None]:
    """Have the calling thread run as soon as it is woken; an ordinary one may wait for tens of milliseconds.

    Neither daemons nor clients nor worker threads that it starts meanwhile have that of it (`SCHED_RESET_ON_FORK`). The
    kernel leaves ordinary threads a twentieth of each second, whatever this one does (`sched_rt_runtime_us`). Where the
    host does not allow it, that does not change.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_GIVES_WAY)
    try:
        with _first_in_line():
            yield
    finally:
        sys.setswitchinterval(interval)


@contextmanager
def _first_in_line() -> Iterator[None]:
    before, settings = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(_LOWEST))
    except OSError:  # without CAP_SYS_NICE, or in a cgroup without real-time
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, before, settings)
