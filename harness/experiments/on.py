"""Chooses what makes a command's short runs: this host, or the fleet that `--on` names. Only `--on` loads Dask."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Final

from harness.core.errors import UsageError
from harness.experiments.runner import LocalRunner, Runner
from harness.experiments.successor import succeed
from harness.host.interrupt import unheard

_EXTRA: Final = "fleet"


class NotInstalled(UsageError):
    """A part of the harness that was left out when it was installed."""

    def __init__(self, option: str, extra: str) -> None:
        super().__init__(f"{option} needs what was not installed: pip install 'repro-harness[{extra}]'")


@asynccontextmanager
async def runner_on(
    on: str | None,
    *,
    search: Path | None,
    insecure: bool,
    say: Callable[[str], None],
    interrupted: Callable[[int], None] = unheard,
) -> AsyncIterator[Runner]:
    """Yield what makes the runs.

    Args:
        on: what `--on` says; this host where it is None.
        search: the folder of what they are for; what an earlier process of it left here is given back.
        insecure: whether a scheduler elsewhere may be spoken to in the clear.
        say: is told of the hosts.
        interrupted: hears of each signal while runs are made, and which one it is, from 1.

    Raises:
        NotInstalled: Dask is not.
        NotGivenBack: what an earlier process left cannot be.
        UsageError, InfraError: the cluster cannot be obtained.
    """
    if search:
        await succeed(search)
    if on is None:
        yield LocalRunner(interrupted)
        return
    try:
        cluster = import_module("harness.experiments.fleet.cluster")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "distributed":
            raise
        raise NotInstalled("--on", _EXTRA) from error
    async with cluster.fleet(on, insecure=insecure, say=say, interrupted=interrupted) as runner:
        yield runner
