"""What of the host each of several daemons side by side has."""

import os
from dataclasses import dataclass
from typing import Final

import psutil

from harness.host.hostinfo import MEMORY_FLOOR


@dataclass(frozen=True)
class Allocation:
    """One daemon's share."""

    shard: int = 1
    """Which of the daemons side by side it is, from 1."""
    cores: tuple[int, ...] = ()
    """Those that it and its clients run on, by the kernel's numbers; without any, on all."""
    memory: int | None = None
    """Bytes that it and its steps may use; None where nothing limits them."""


ALL: Final = Allocation()


def allocations(count: int) -> tuple[Allocation, ...]:
    """Divide the usable cores and free memory among several daemons; a single daemon gets all of both.

    With more daemons than cores, some have the same one.
    """
    if count == 1:
        return (ALL,)
    cores = sorted(os.sched_getaffinity(0))
    memory = (psutil.virtual_memory().available - MEMORY_FLOOR) // count
    each, more = divmod(len(cores), count)
    if not each:
        return tuple(Allocation(n + 1, (cores[n % len(cores)],), memory) for n in range(count))
    starts = [n * each + min(n, more) for n in range(count + 1)]
    return tuple(Allocation(n + 1, tuple(cores[starts[n] : starts[n + 1]]), memory) for n in range(count))
