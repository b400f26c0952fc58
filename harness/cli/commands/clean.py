"""`repro clean`: ends and removes what runs have left on this host, by their ledgers."""

import anyio
from rich.console import Console

from harness.core.outcome import ExitCode
from harness.host.ledger import ledgers


def clean() -> int:
    """End and remove what killed or kept runs left: daemons, mounts, cgroups, folders. Running runs are not touched."""
    return anyio.run(_clean)


async def _clean() -> int:
    console = Console(highlight=False)
    code = ExitCode.CLEAN
    settled = 0
    for ledger in [*ledgers()]:
        if ledger.in_use:
            console.print(f"{ledger.name}: still running (pid {ledger.harness.pid}), left alone")
            continue
        problems = await ledger.settle()
        for problem in problems:
            console.print(f"{ledger.name}: {problem}", style="red")
            code = ExitCode.BROKEN
        if not problems:
            settled += 1
            console.print(f"{ledger.name}: ended and removed")
    if not settled and code is ExitCode.CLEAN:
        console.print("nothing was left behind")
    return code
