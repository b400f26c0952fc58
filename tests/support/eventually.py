"""Waiting for what another process or the kernel does, with a bound."""

import subprocess
import time
from collections.abc import Callable

import psutil


def eventually(question: Callable[[], bool], seconds: float = 120, pause: float = 0.02) -> bool:
    """Ask until the answer is yes; return whether it came.

    Args:
        question: what is asked.
        seconds: how long; a second or two is enough, but where others have the cores.
        pause: seconds between two questions.
    """
    give_up = time.monotonic() + seconds
    while not question():
        if time.monotonic() > give_up:
            return False
        time.sleep(pause)
    return True


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait for something that is to come.

    Raises:
        AssertionError: it did not come in time.
    """
    assert eventually(condition, seconds), f"not within {seconds:g} s: {condition}"


def reached(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Wait for what a program comes to, however long its host takes; the test's own time is the bound.

    Raises:
        AssertionError: it has ended, and so comes to nothing any more; with what it printed.
    """
    ended = False
    while not condition():
        assert not ended, process.communicate()[0]
        ended = process.poll() is not None
        time.sleep(0.02)


def has_ended(pid: int) -> bool:
    """Whether there is no such process any more; one that its parent has not asked for has ended too."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
