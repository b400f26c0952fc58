"""What a prune costs, asked of the daemon itself and by its client, in turn, on an idle private daemon.

Run as a module, with a toolchain: ``python -m tests.benchmarks.control debian:forky``. It prints CPU (ours, and that of
the clients that we start), prunes a second one after the other, and the time from the request to the answer.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import anyio

from harness.buildkit import messages
from harness.daemons.base import Daemon, PruneRequest, Slot
from harness.daemons.control import Controlled
from harness.daemons.table import DAEMONS
from harness.host.ledger import Ledger
from harness.host.proc import run
from harness.scenario import DaemonSpec
from harness.toolchain import resolve

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
    async with daemon.control.pruning(messages.Prune(all=True)) as removed:
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


async def main(spec: str) -> None:
    """Start the daemon, take turns, and print the table."""
    toolchain = await resolve(spec)
    ledger = Ledger.open(f"benchmark-{os.getpid()}")
    try:
        with tempfile.TemporaryDirectory() as folder:
            opened = DAEMONS[toolchain.kinds[0]](toolchain, DaemonSpec(), Slot(ledger.name, Path(folder), ledger))
            async with opened as daemon:
                await by_client(daemon)
                pairs = [(await cost(by_client, daemon), await cost(by_api, daemon)) for _ in range(ROUNDS)]
    finally:
        await ledger.reclaim()
    for name, costs in (("client", [pair[0] for pair in pairs]), ("api", [pair[1] for pair in pairs])):
        times = [each for cost in costs for each in cost.times]
        spread = quantiles(times, n=100)
        print(
            f"{name:<7} {len(times)} prunes  CPU {1e3 * sum(c.cpu for c in costs) / len(costs):.2f} ms each  "
            f"{len(times) / sum(times):.0f} a second  p50 {1e3 * spread[49]:.1f} ms  p99 {1e3 * spread[98]:.1f} ms"
        )
    for name, ratios in (
        ("CPU", [api.cpu / client.cpu for client, api in pairs]),
        ("time", [sum(api.times) / sum(client.times) for client, api in pairs]),
    ):
        ordered = sorted(ratios)
        print(f"{name} by the API, of the client's: {median(ratios):.3f} ({ordered[0]:.3f} to {ordered[-1]:.3f})")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1])
