"""`repro clean`: ends and removes what runs have left on this host, by their ledgers."""

from pathlib import Path

import anyio

from harness.cli.console import Console
from harness.core.errors import InfraError
from harness.core.outcome import ExitCode
from harness.daemons.visit import leave
from harness.host.cache import cache_top
from harness.host.ledger import WAS_LEFT, LeftAlone, disbelieved, ledgers, remove_remnants
from harness.host.scratch import remove_dead


def clean() -> int:
    """End and remove what killed or kept runs left: daemons, mounts, cgroups, folders.

    What a killed run made on the host's own daemon is given back too, as far as it can be nobody else's.
    What runs still, or may run on another host or in another pid namespace, is left alone, and named.
    """
    return anyio.run(_clean)


def _what_to_do(ledgers_left: list[Path]) -> str:
    """Return what the user can do about what runs are not shown to have made."""
    files = ", ".join(map(str, ledgers_left))
    return (
        "what was left may be somebody else's: look at it (ps -fp PID, ls -la FOLDER); if it is a run's, end or remove "
        f"it and say repro clean again; if it is not, remove the ledger that names it: {files}"
    )


async def _clean() -> int:
    console = Console(highlight=False, soft_wrap=True)
    code = ExitCode.CLEAN
    doubted: list[Path] = []
    remove_remnants()
    for folder in cache_top().glob("*/"):  # of fetches
        remove_dead(folder)
    found = [*ledgers()]
    refused = [*disbelieved()]
    for why in refused:
        console.print(f"{why}; left alone", markup=False)
    for ledger in found:
        try:
            problems = await ledger.reclaim(leave)
        except LeftAlone as error:
            console.print(f"{error}; left alone", markup=False)
            continue
        except InfraError as error:
            problems = [str(error)]
        for problem in problems:
            console.print(f"{ledger.name}: {problem}", style="red", markup=False)
            code = ExitCode.BROKEN
        if any(problem.endswith(WAS_LEFT) for problem in problems):
            doubted.append(ledger.file)
        for left in ledger.told:
            console.print(f"{ledger.name}: {left}", style="yellow", markup=False)
        if not problems:
            console.print(f"{ledger.name}: ended and removed", markup=False)
    if doubted:
        console.print(_what_to_do(doubted), markup=False)
    if not found and not refused:
        console.print("nothing was left behind")
    return code
