"""`repro show`: a run, from its folder."""

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from harness.cli.display.against import AgainstOption, hold_against, require_rate
from harness.cli.display.summary import tell
from harness.cli.options import RESULTS, Results, RunName
from harness.core.outcome import ExitCode
from harness.store.find import find_run
from harness.store.salvage import Salvage


def show(
    run: RunName = "last",
    results: Results = RESULTS,
    against: AgainstOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as one JSON object.")] = False,
) -> int:
    """Show a run; exits with 0, whatever its verdict was, and with 255 where a file of it cannot be read."""
    against = require_rate(against)
    folder = find_run(run, results)
    if as_json:
        summary = folder.summary()
        held = {"against": asdict(hold_against(summary, against))} if summary and against else {}
        print(json.dumps(asdict(summary) | held if summary else None))  # noqa: T201 — machine lines
        return ExitCode.CLEAN
    salvage = Salvage()
    tell(Console(), folder, salvage(folder.summary, None), against, salvage)
    for problem in salvage.problems:
        print(f"repro: {problem}", file=sys.stderr)  # noqa: T201 — the user's screen
    return ExitCode.BROKEN if salvage.problems else ExitCode.CLEAN
