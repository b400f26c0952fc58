"""`repro explain`: why a build of a run hangs, from all that was recorded of it."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from harness.cli.console import Console
from harness.cli.options import RESULTS, Results
from harness.core.outcome import ExitCode
from harness.report.explain.explanation import Explanation, explain
from harness.report.explain.timeline import lanes
from harness.store.find import find_run


def explain_(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run folder, the end of its name, or `last`.")] = "last",
    iteration: Annotated[
        int | None, typer.Argument(metavar="ITERATION", help="Which finding; without it the first.")
    ] = None,
    results: Results = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> int:
    """Say why a build hangs: the record it looks for, whose it was, the merge and the act behind it; and a timeline."""
    found = explain(find_run(run, results), iteration)
    if as_json:
        print(json.dumps(as_object(found), indent=1))  # noqa: T201 — for machines
        return ExitCode.CLEAN
    console = Console(highlight=False)
    for index, line in enumerate(found.text):
        style = "yellow" if index >= len(found.lines) else "" if index else "bold"
        console.print(line, style=style, markup=False, soft_wrap=True)
    console.print()
    for line in lanes(found.timeline):
        console.print(line, markup=False, soft_wrap=True)
    return ExitCode.CLEAN


def as_object(found: Explanation) -> dict[str, Any]:
    """Return an explanation for machines."""
    return {
        "iteration": found.finding.iteration,
        "evidence": str(found.folder),
        "lines": found.lines,
        "unknown": found.unknown,
        "cause": asdict(found.cause) if found.cause else None,
        "timeline": [asdict(moment) for moment in found.timeline],
    }
