"""`repro resume`: a run that died or was interrupted, from where it stood."""

import sys
from typing import Annotated

import anyio
import typer

from harness.cli.ci import hand_to_ci, judged_by, tell_thresholds, thresholds_of
from harness.cli.commands.report import report_at_the_end
from harness.cli.display.run import on_signal, screen
from harness.cli.options import RESULTS, AtTheEnd, FailIf, JUnit, Results, RunName, Trust
from harness.cli.overrides import ends
from harness.cli.trust import load_trusted
from harness.core.outcome import gravest
from harness.run.engine import resume_run
from harness.store.find import find_run


def resume(
    run: RunName = "last",
    iterations: Annotated[
        int | None, typer.Option(metavar="N", help="End after N iterations in all, instead of what it had.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(metavar="T", help="End after a time in all, such as 48h, instead of what it had.")
    ] = None,
    results: Results = RESULTS,
    trust: Trust = False,
    fail_if: FailIf = None,
    junit: JUnit = None,
    with_report: AtTheEnd = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> int:
    """Go on with a run after a kill, a reboot, a full disk or Ctrl-C: no iteration is lost or counted twice."""
    thresholds = thresholds_of(fail_if)
    folder = find_run(run, results)
    scenario = load_trusted(folder.path / "scenario.yaml", ends(iterations, time), trust=trust)
    with screen(as_json=as_json, several=False, resumed=folder.name) as audience_of:
        audience = audience_of("")
        summary = anyio.run(resume_run, folder, scenario, tuple(sys.argv), audience, on_signal(audience))
        if with_report:
            audience.doing("writing the report")
            report_at_the_end([folder])
        audience.finished(summary, folder)
    judged = judged_by(thresholds, [summary])
    tell_thresholds(judged, as_json=as_json)
    hand_to_ci([(folder, summary)], judged, junit, summarize=True)
    return gravest([summary.exit_code, *(each.code for each in judged)])
