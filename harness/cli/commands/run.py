"""`repro run`: a scenario against a daemon."""

import sys
from dataclasses import asdict
from typing import Annotated, Final

import anyio
import typer
from rich.console import Console

from harness.analysis.merge import merge
from harness.cli.ci import FailIf, JUnit, hand_to_ci, judged_by, tell_thresholds, thresholds_of
from harness.cli.commands.merge import SUM_WIDTH, tell_sum
from harness.cli.commands.report import AtTheEnd, report_at_the_end
from harness.cli.display.against import AgainstOption, require_rate
from harness.cli.display.json_lines import machine_line
from harness.cli.display.run import on_signal, screen
from harness.cli.display.series import Resume, on_interrupt
from harness.cli.options import (
    RESULTS,
    SPECS,
    BadOption,
    Insecure,
    On,
    Results,
    ScenarioFile,
    Seed,
    Settings,
    complete_spec,
    ends,
)
from harness.cli.trust import Trust, load_trusted
from harness.core.errors import HarnessError
from harness.core.outcome import gravest
from harness.core.records import Summary
from harness.experiments.on import runner_on
from harness.experiments.shards import Shards
from harness.run.engine import run_scenario
from harness.run.plan import RunOptions
from harness.scenario import Scenario
from harness.store.folder import RunFolder
from harness.store.merge_inputs import read_members

_GO_ON: Final = "to go on: say the same, and --resume last"


def run(
    scenario: ScenarioFile,
    daemon: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help=f"The daemon's binaries: {SPECS}.", autocompletion=complete_spec),
    ] = None,
    iterations: Annotated[int | None, typer.Option(metavar="N", help="End after N iterations.")] = None,
    time: Annotated[str | None, typer.Option(metavar="T", help="End after a time, such as 90s or 8h.")] = None,
    seed: Seed = None,
    settings: Settings = None,
    results: Results = RESULTS,
    shards: Annotated[
        int, typer.Option(metavar="N", min=1, help="So many daemons side by side, each on its share of the host.")
    ] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the daemon running; `repro clean` ends it.")] = False,
    allow_host_damage: Annotated[
        bool, typer.Option("--allow-host-damage", help="Let actors delete and disturb on `--daemon host`.")
    ] = False,
    trust: Trust = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Begin also where the disk is likely to fill up before the end.")
    ] = False,
    on: On = None,
    insecure: Insecure = False,
    earlier: Resume = None,
    against: AgainstOption = None,
    fail_if: FailIf = None,
    junit: JUnit = None,
    with_report: AtTheEnd = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> int:
    """Run a scenario against a daemon.

    Exits with 0 clean, 1 hang, 125 inconclusive, 129 usage, 130 interrupted, 255 broken.
    """
    if earlier is not None and on is None:
        raise BadOption("--resume", "goes on with shards on a cluster (--on); a run on this host: `repro resume RUN`")
    against, thresholds = require_rate(against), thresholds_of(fail_if)
    written = load_trusted(scenario, [*(settings or ()), *ends(iterations, time)], trust=trust, toolchain=daemon)
    options = RunOptions(
        results=results,
        toolchain=daemon,
        seed=seed,
        shards=shards,
        keep=keep,
        allow_host_damage=allow_host_damage,
        anyway=anyway,
        argv=tuple(sys.argv),
    )
    if on is not None:
        shards_of = Shards.begin(written, options) if earlier is None else Shards.resume(earlier, written, options)
        made, whole = _on_fleet(shards_of, on, insecure=insecure, against=against, as_json=as_json)
    else:
        made = _here(written, options, against=against, with_report=with_report, as_json=as_json)
        whole = [summary for summary, _ in made]
    judged = judged_by(thresholds, whole)
    tell_thresholds(judged, as_json=as_json)
    hand_to_ci([(folder, summary) for summary, folder in made], judged, junit, summarize=True)
    return gravest([*(summary.exit_code for summary in whole), *(each.code for each in judged)])


def _here(
    written: Scenario, options: RunOptions, *, against: str | None, with_report: bool, as_json: bool
) -> list[tuple[Summary, RunFolder]]:
    """Run it on this host, and tell what it comes to."""
    with screen(as_json=as_json, several=bool(written.daemons), against=against) as audience_of:
        first = audience_of(next(iter(written.by_daemon())))
        results_of = anyio.run(run_scenario, written, options, audience_of, on_signal(first))
        if with_report:
            first.doing("writing the report")
            report_at_the_end(folder for _, folder in results_of)
        for name, (summary, folder) in zip(written.by_daemon(), results_of, strict=True):
            audience_of(name).finished(summary, folder)
    return results_of


def _on_fleet(
    shards: Shards, on: str, *, insecure: bool, against: str | None, as_json: bool
) -> tuple[list[tuple[Summary, RunFolder]], list[Summary]]:
    """Run it as shards on a cluster, and tell what they come to together; return the shards, and their sum."""
    console = Console(stderr=True, highlight=False)
    count = shards.options.shards

    def say(line: str) -> None:
        if as_json:
            machine_line("fleet", what=line)
        else:
            console.print(line, markup=False, soft_wrap=True)

    async def through() -> list[tuple[Summary, RunFolder]]:
        async with runner_on(
            on, search=shards.path, insecure=insecure, say=say, interrupted=on_interrupt(say)
        ) as runner:
            return await shards.run(
                runner, audience_of, lambda number, run: say(f"shard {number} came back before: {run.path}")
            )

    say(f"{shards.scenario.name}: {count} shards, seed {shards.seed}, {shards.path}")
    try:
        with screen(as_json=as_json, several=True, against=against) as audience_of:
            made = anyio.run(through)
            for number in range(1, count + 1):
                audience_of(str(number)).leave()
    except (HarnessError, KeyboardInterrupt):
        if shards.came_back():
            say(_GO_ON)
        else:
            shards.forget()
        raise
    folders = [folder for _, folder in made]
    members = read_members(folders)
    summary = merge([member.part for member in members])
    shards.conclude(summary, folders)
    if as_json:
        machine_line("summary", **asdict(summary), runs=[str(folder.path) for folder in folders])
    else:
        tell_sum(Console(highlight=False, width=max(Console().width, SUM_WIDTH)), members, summary, against)
    if len(made) < count:
        say(f"{count - len(made)} of {count} shards were not made; {_GO_ON}")
    return made, [summary]
