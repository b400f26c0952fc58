"""Why a fleet does not make a run: what is told to a person, and what only sends it to another host."""

from collections.abc import Mapping

from harness import __version__
from harness.core.errors import InfraError, UsageError
from harness.core.units import counted


class NoWorkers(InfraError):
    """A cluster without a worker for us."""

    def __init__(self, address: str, seconds: float, whys: Mapping[str, str]) -> None:
        reasons = "".join(f"; {worker}: {why}" for worker, why in whys.items())
        super().__init__(
            f"{address} has no worker that makes runs, for {seconds:g} s{reasons}; start one, as root, with `dask "
            f"worker {address} --resources repro=1` where repro-harness[fleet] {__version__} is installed"
        )


class SchedulerGone(InfraError):
    """A scheduler that does not answer any more."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"the scheduler at {address} is gone: what came back is kept; once it is there again, go on with --resume"
        )


class NeverMade(InfraError):
    """A run that no worker made."""

    def __init__(self, whys: Mapping[str, str]) -> None:
        listed = "; ".join(f"{worker}: {why}" for worker, why in whys.items())
        super().__init__(f"a run was given to {counted(len(whys), 'worker')}, and none made it: {listed}")


class NotMade(Exception):
    """One host did not make a run: the reason, to a person."""


class CutOff(Exception):
    """This host has lost the scheduler for a while, and with it the run."""


class Refused(UsageError):
    """What no host will run."""

    def __init__(self, host: str, why: str) -> None:
        super().__init__(f"{host} says: {why}")
