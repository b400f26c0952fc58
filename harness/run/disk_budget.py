"""What a run will take of the disk, by what an earlier run of the same scenario took."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.core.errors import StoreError, UsageError
from harness.core.units import format_size
from harness.host.hostinfo import DISK_RESERVE, free_bytes
from harness.scenario import Scenario
from harness.store.aggregate import DiskUse, disk_use
from harness.store.folder import RunFolder

_LEAST_ITERATIONS: Final = 200
"""A shorter run is mostly what a daemon takes once, for its toolchain's images and its first layers."""


@dataclass(frozen=True)
class DiskBudget:
    """How much a run is going to take, and what that rests on."""

    iterations: int
    """Of the run to come, on one daemon."""
    bytes: int
    free: int
    earlier: RunFolder
    """The run that it is reckoned by."""
    earlier_iterations: int
    earlier_bytes: int

    @property
    def fits(self) -> bool:
        """Whether the disk has room for it."""
        return self.bytes <= self.free - DISK_RESERVE


class TooLittleDisk(UsageError):
    """A run that would fill the disk before its end."""

    def __init__(self, reckoned: DiskBudget) -> None:
        earlier = f"{format_size(reckoned.earlier_bytes)} for {reckoned.earlier_iterations:,}"
        super().__init__(
            f"{reckoned.iterations:,} iterations need about {format_size(reckoned.bytes)} of disk, for run "
            f"{reckoned.earlier.name} took {earlier}; {format_size(reckoned.free)} are free: free some, set REPRO_CACHE"
            " to a folder on a larger disk, lower --iterations or --time, or say --anyway: the run then ends while "
            f"{format_size(DISK_RESERVE)} are left, and `repro resume` goes on with it"
        )


def require_budget(scenario: Scenario, results: Path, cache: Path) -> None:
    """Check that the disk has room for a run, as far as an earlier run of the scenario tells.

    Raises:
        TooLittleDisk: it has not; the message has the figures.
    """
    reckoned = budget(scenario, results, cache)
    if reckoned and not reckoned.fits:
        raise TooLittleDisk(reckoned)


def budget(scenario: Scenario, results: Path, cache: Path) -> DiskBudget | None:
    """Reckon what a run will take; None where no earlier run says anything.

    What is free changes by what others write, too; a run that got smaller on the whole tells nothing.

    Args:
        scenario: what is to be run.
        results: where earlier runs are.
        cache: where daemons' roots live.
    """
    for folder in sorted((results / scenario.name).glob("*/run.db"), reverse=True):
        run = RunFolder(folder.parent)
        try:
            taken = disk_use(run)
        except StoreError:
            continue
        if taken and taken.iterations >= _LEAST_ITERATIONS and taken.bytes > 0:
            count = _iterations(scenario, taken)
            free = free_bytes(path for path in (results, cache) if path.exists())
            if count and free is not None:
                needed = round(taken.bytes / taken.iterations * count)
                return DiskBudget(
                    iterations=count,
                    bytes=needed,
                    free=free,
                    earlier=run,
                    earlier_iterations=taken.iterations,
                    earlier_bytes=taken.bytes,
                )
    return None


def _iterations(scenario: Scenario, taken: DiskUse) -> int | None:
    """Return how many iterations one daemon of the run will have."""
    stop, renew = scenario.stop, scenario.daemon.renew
    by_time = round(stop.time * taken.iterations / taken.seconds) if stop.time is not None else None
    return min((n for n in (stop.iterations, by_time, renew.every if renew else None) if n is not None), default=None)
