"""`repro doctor`: whether this host can run scenarios, with everything fetched that a run would fetch."""

from dataclasses import asdict
from typing import Annotated, Final

import anyio
import typer
from rich.text import Text

from harness.cli.console import Console
from harness.cli.display.json_lines import machine_line
from harness.cli.output import on_the_way
from harness.core.outcome import ExitCode
from harness.run.doctor import examine
from harness.run.preflight import Check

_STYLES: Final = {"ok": "green", "limited": "yellow", "missing": "bold red"}
_NAME: Final = 15
_STATE: Final = 7


def doctor(as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False) -> int:
    """Look whether this host can run scenarios, and fetch what a run would.

    Exits with 0, also where something is limited; with 255 where a run cannot be.
    """
    checks = anyio.run(_doctor, as_json)
    return ExitCode.BROKEN if any(check.state == "missing" for check in checks) else ExitCode.CLEAN


async def _doctor(as_json: bool) -> list[Check]:
    console = Console(highlight=False)
    checks = []

    def preparing(what: str) -> None:
        if not as_json:
            on_the_way(f"preparing {what}")

    async for check in examine(preparing):
        checks.append(check)
        if as_json:
            machine_line("check", **asdict(check))
            continue
        first, *more = check.detail.splitlines()
        line = Text.assemble(
            f"{check.name:<{_NAME}} ", (f"{check.state:<{_STATE}}", _STYLES[check.state]), f"  {first}"
        )
        console.print(line, soft_wrap=True)
        for rest in more:
            console.print(f"{'':<{_NAME + _STATE + 3}}{rest.strip()}", soft_wrap=True, markup=False)
    return checks
