"""Waiting for what another process or the kernel does, with a bound."""

import time
from collections.abc import Callable


def eventually(question: Callable[[], bool], seconds: float = 60, pause: float = 0.02) -> bool:
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


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something that is to come.

    Raises:
        AssertionError: it did not come in time.
    """
    assert eventually(condition, seconds), f"not within {seconds:g} s: {condition}"
