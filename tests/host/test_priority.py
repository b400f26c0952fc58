"""The thread that follows triggers: first in line while it is to be, and what it starts never."""

import os
import subprocess
import sys
from threading import Thread

import pytest

from harness.host.priority import waking_at_once

ASK = "import os; print(os.sched_getscheduler(0))"


def allowed() -> bool:
    """Whether this host lets a thread be first in line."""
    with waking_at_once():
        return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR


def test_only_this_thread_and_only_meanwhile() -> None:
    """Programs and threads that are started meanwhile are ordinary, and so is this one afterwards."""
    if not allowed():
        pytest.skip("this host allows no real-time thread")
    before, seen = os.sched_getscheduler(0), list[int]()
    with waking_at_once():
        told = subprocess.run([sys.executable, "-Sc", ASK], capture_output=True, text=True, check=True).stdout
        thread = Thread(target=lambda: seen.append(os.sched_getscheduler(0)))
        thread.start()
        thread.join()
    assert (int(told), seen, os.sched_getscheduler(0)) == (os.SCHED_OTHER, [os.SCHED_OTHER], before)


def test_threads_that_compute_give_way_sooner() -> None:
    """While it is to wake at once, and no longer."""
    usual = sys.getswitchinterval()
    with waking_at_once():
        assert sys.getswitchinterval() < usual / 5
    assert sys.getswitchinterval() == usual


def test_where_it_is_not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread stays an ordinary one, and nothing breaks."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    before = os.sched_getscheduler(0)
    with waking_at_once():
        assert os.sched_getscheduler(0) == before
