"""How the time of some work grows with its input, whatever machine it runs on."""

import math
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

LINEAR: Final = 8.0
"""Four times the input takes linear work four times the time, and quadratic work sixteen times."""
_TRIES: Final = 3, 12


def growth(made: Callable[[int], T], work: Callable[[T], object], size: int) -> float:
    """Return how many times as much CPU `work` takes on four times the input, by the quickest try of each size.

    Three tries say it where it is linear; on a busy host, whose caches others use too, it may take a dozen.
    """
    once, four = math.inf, math.inf
    fewest, most = _TRIES
    for tried in range(1, most + 1):
        once = min(once, _seconds(work, made(size)))
        four = min(four, _seconds(work, made(4 * size)))
        if tried >= fewest and four < LINEAR * once:
            break
    return four / max(once, 1e-4)


def _seconds(work: Callable[[T], object], given: T) -> float:
    began = time.process_time()
    work(given)
    return time.process_time() - began
