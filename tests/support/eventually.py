"""Waiting for what another process does, with a bound that says what did not come."""

import time
from collections.abc import Callable


def until(condition: Callable[[], bool], seconds: float = 60, pause: float = 0.02) -> None:
    """Ask again and again until the answer is yes.

    Args:
        condition: the question.
        seconds: how long; a second or two is enough, but where others have the cores.
        pause: seconds between two questions.

    Raises:
        AssertionError: the answer was no to the end.
    """
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"not within {seconds:g} s: {condition}"
        time.sleep(pause)
