"""What `repro run` does once its options are read: it runs a scenario here, or on a cluster, and hands it to a CI."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import anyio

from harness.analysis.merge import merge
from harness.cli.ci import hand_to_ci, judged_by, tell_thresholds, thresholds_of
from harness.cli.commands.merge import SUM_WIDTH, tell_sum
from harness.cli.commands.report import report_at_the_end
from harness.cli.console import Console
from harness.cli.display.against import require_rate
from harness.cli.display.json_lines import machine_line
from harness.cli.display.run import on_signal, screen
from harness.cli.display.series import on_interrupt
from harness.cli.trust import load_trusted
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


@dataclass(frozen=True)
class Telling:
    """How a run is told, and what a CI asks of it; see the options of these names."""

    against: str | None
    fail_if: tuple[str, ...]
    junit: Path | None
    with_report: bool
    as_json: bool


def run_as_asked(
    file: Path,
    settings: Sequence[str],
    options: RunOptions,
    telling: Telling,
    *,
    trust: bool,
    on: str | None,
    insecure: bool,
    earlier: str | None,
) -> int:
    """Run a scenario, and return what to exit with.

    Args:
        file: of the scenario.
        settings: overrides, ``KEY.PATH=VALUE``.
        options: how it is run.
        telling: how it is told.
        trust: whether the user vouches for a scenario from elsewhere.
        on: the cluster on which it is run; here without one.
        insecure: whether a cluster elsewhere is spoken to without encryption.
        earlier: what goes on, of those on a cluster.

    Raises:
        UsageError: something of it cannot be.
    """
    require_rate(telling.against)
    thresholds = thresholds_of(telling.fail_if)
    written = load_trusted(file, settings, trust=trust, toolchain=options.toolchain)
    if on is not None:
        shards = Shards.begin(written, options) if earlier is None else Shards.resume(earlier, written, options)
        made, whole = _on_fleet(shards, on, insecure=insecure, against=telling.against, as_json=telling.as_json)
    else:
        made = _here(written, options, telling)
        whole = [summary for summary, _ in made]
    judged = judged_by(thresholds, whole)
    tell_thresholds(judged, as_json=telling.as_json)
    hand_to_ci([(folder, summary) for summary, folder in made], judged, telling.junit, summarize=True)
    return gravest([*(summary.exit_code for summary in whole), *(each.code for each in judged)])


def _here(written: Scenario, options: RunOptions, telling: Telling) -> list[tuple[Summary, RunFolder]]:
    """Run it on this host, and tell what it comes to."""
    with screen(as_json=telling.as_json, several=bool(written.daemons), against=telling.against) as audience_of:
        first = audience_of(next(iter(written.by_daemon())))
        results_of = anyio.run(run_scenario, written, options, audience_of, on_signal(first))
        if telling.with_report:
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
