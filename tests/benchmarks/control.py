"""What a prune costs, asked of the daemon itself and by its client, in turn, on an idle private daemon.

Run as a module, with a toolchain: ``python -m tests.benchmarks.control debian:forky``. It prints CPU (ours, and that of
the clients that we start), prunes a second one after the other, and the time from the request to the answer.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import anyio

from harness.buildkit import messages
from harness.daemons.base import Daemon, PruneRequest, Slot
from harness.daemons.control import Controlled
from harness.daemons.table import DAEMONS
from harness.host.ledger import Ledger
from harness.host.proc import run
from harness.scenario import DaemonSpec
from harness.toolchain import resolve
from tests.benchmarks.ratio import Ratio

ROUNDS, PRUNES = 5, 40


@dataclass(frozen=True)
class Cost:
    """What some prunes took, in seconds each."""

    cpu: float
    times: tuple[float, ...]


async def by_client(daemon: Daemon) -> None:
    """Prune as a user does."""
    command = daemon.prune(PruneRequest(all=True))
    assert command
    await run(command.argv, deadline=60, env=command.env)


async def by_api(daemon: Daemon) -> None:
    """Prune by the control API."""
    assert isinstance(daemon, Controlled)
    async with daemon.control.pruning(messages.PruneMessage(all=True)) as removed:
        async for _ in removed:
            pass


def cpu() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


async def cost(prune: Callable[[Daemon], Awaitable[None]], daemon: Daemon) -> Cost:
    """Prune some times, one after the other."""
    before, times = cpu(), []
    for _ in range(PRUNES):
        began = time.perf_counter()
        await prune(daemon)
        times.append(time.perf_counter() - began)
    return Cost((cpu() - before) / PRUNES, tuple(times))


async def turns(spec: str, rounds: int) -> list[tuple[Cost, Cost]]:
    """Start the daemon, and let the API and the client take turns."""
    toolchain = await resolve(spec)
    ledger = Ledger.open(f"benchmark-{os.getpid()}")
    try:
        with tempfile.TemporaryDirectory() as folder:
            opened = DAEMONS[toolchain.kinds[0]](toolchain, DaemonSpec(), Slot(ledger.name, Path(folder), ledger))
            async with opened as daemon:
                await by_client(daemon)
                return [(await cost(by_api, daemon), await cost(by_client, daemon)) for _ in range(rounds)]
    finally:
        await ledger.reclaim()


def ratios(spec: str, rounds: int = ROUNDS) -> Iterator[Ratio]:
    """Measure them, and print what the ratios leave out."""
    pairs = anyio.run(turns, spec, rounds)
    for name, costs in (("api", [api for api, _ in pairs]), ("client", [client for _, client in pairs])):
        times = [each for cost in costs for each in cost.times]
        spread = quantiles(times, n=100)
        print(f"{name:<7} {len(times)} prunes  p50 {1e3 * spread[49]:.1f} ms  p99 {1e3 * spread[98]:.1f} ms")
    costs_of_cpu = [(1e3 * api.cpu, 1e3 * client.cpu) for api, client in pairs]
    yield Ratio.of(f"{PRUNES} prunes by the API, CPU milliseconds each", "its client", costs_of_cpu)
    rates = [(PRUNES / sum(api.times), PRUNES / sum(client.times)) for api, client in pairs]
    yield Ratio.of(f"{PRUNES} prunes by the API, a second", "its client", rates, digits=0)


if __name__ == "__main__":
    for each in ratios(sys.argv[1]):
        print(each)
