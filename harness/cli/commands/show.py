"""`repro show`: a run, from its folder."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.ci import hand_to_ci, judged_by, tell_thresholds, thresholds_of
from harness.cli.console import Console
from harness.cli.display.against import hold_against, require_rate
from harness.cli.display.summary import tell
from harness.cli.options import RESULTS, AgainstOption, FailIf, JUnit, Results, RunName
from harness.core.outcome import ExitCode, gravest
from harness.store.export import export_csv, export_json
from harness.store.find import find_run
from harness.store.folder import RunFolder
from harness.store.salvage import Salvage


def show(
    run: RunName = "last",
    results: Results = RESULTS,
    against: AgainstOption = None,
    fail_if: FailIf = None,
    junit: JUnit = None,
    to_json: Annotated[
        Path | None, typer.Option("--export-json", metavar="FILE", help="Write all that was recorded as one object.")
    ] = None,
    to_csv: Annotated[
        Path | None,
        typer.Option("--export-csv", metavar="DIR", help="The same as tables: iterations.csv, actions.csv …"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as one JSON object.")] = False,
) -> int:
    """Show a run, and hand it to other programs.

    Exits with 0, whatever its verdict was; with --fail-if: 1 where that holds, 125 where it cannot be told; with 255
    where a file of it cannot be read or written.
    """
    against, thresholds = require_rate(against), thresholds_of(fail_if)
    folder = find_run(run, results)
    if to_json:
        export_json(folder, to_json)
    if to_csv:
        export_csv(folder, to_csv)
    code = _shown(folder, against, as_json=as_json)
    summary = folder.summary() if thresholds or junit else None
    if summary is None:
        return ExitCode.INCONCLUSIVE if thresholds or junit else code
    judged = judged_by(thresholds, [summary])
    tell_thresholds(judged, as_json=as_json)
    hand_to_ci([(folder, summary)], judged, junit, summarize=False)
    return gravest([code, *(each.code for each in judged)])


def _shown(folder: RunFolder, against: str | None, *, as_json: bool) -> ExitCode:
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
