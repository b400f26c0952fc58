"""`repro show`: a run, from its folder."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from harness.cli.display.against import AgainstOption, hold_against, require_rate
from harness.cli.display.summary import tell
from harness.cli.options import RESULTS, Results, RunName
from harness.core.outcome import ExitCode
from harness.store.find import find_run


def show(
    run: RunName = "last",
    results: Results = RESULTS,
    against: AgainstOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as one JSON object.")] = False,
) -> int:
    """Show a run; exits with 0, whatever its verdict was."""
    against = require_rate(against)
    folder = find_run(run, results)
    summary = folder.summary()
    if as_json:
        held = {"against": asdict(hold_against(summary, against))} if summary and against else {}
        print(json.dumps(asdict(summary) | held if summary else None))  # noqa: T201 — machine lines
        return ExitCode.CLEAN
    tell(Console(), folder, summary, against)
    return ExitCode.CLEAN
