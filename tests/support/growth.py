"""How the time of some work grows with its input, whatever machine it runs on."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

LINEAR: Final = 8.0
"""Four times the input takes linear work four times the time, and quadratic work sixteen times."""
_TRIES: Final = 3


def growth(made: Callable[[int], T], work: Callable[[T], object], size: int) -> float:
    """Return how many times as much CPU `work` takes on four times the input; the least of three tries each."""
    return _seconds(made, work, 4 * size) / max(_seconds(made, work, size), 1e-4)


def _seconds(made: Callable[[int], T], work: Callable[[T], object], size: int) -> float:
    times = []
    for _ in range(_TRIES):
        given = made(size)
        began = time.process_time()
        work(given)
        times.append(time.process_time() - began)
    return min(times)
