"""Has the thread that follows triggers wake at once, also on a host whose cores are all taken."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_LOWEST: Final = 1
"""Of the real-time priorities: before every ordinary thread, and behind all that others have set up."""


@contextmanager
def waking_at_once() -> Iterator[None]:
    """Have the calling thread run as soon as it is woken; an ordinary one may wait for tens of milliseconds.

    Neither daemons nor clients nor worker threads that it starts meanwhile have that of it (`SCHED_RESET_ON_FORK`). The
    kernel leaves ordinary threads a twentieth of each second, whatever this one does (`sched_rt_runtime_us`). Where the
    host does not allow it, nothing changes.
    """
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
