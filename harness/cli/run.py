"""`repro run`: a scenario against a daemon."""

import sys
from pathlib import Path
from typing import Annotated

import anyio
import typer

from harness.cli.options import RESULTS, VOCABULARY, Results
from harness.cli.screen import screen
from harness.engine import RunOptions, run_scenario
from harness.scenario import load


def run(
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO", help="A YAML file.")],
    daemon: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="auto, path:DIR, debian:SUITE, docker:VERSION, buildkit:VERSION or host; over the scenario's own.",
        ),
    ] = None,
    iterations: Annotated[int | None, typer.Option(metavar="N", help="End after N iterations.")] = None,
    time: Annotated[str | None, typer.Option(metavar="T", help="End after a time, such as 90s or 8h.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="The source of all chance.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set a key, such as actors.ci.parallel=8.")
    ] = None,
    results: Results = RESULTS,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the daemon running; `repro clean` ends it.")] = False,
    allow_host_damage: Annotated[
        bool, typer.Option("--allow-host-damage", help="Let actors delete and disturb on `--daemon host`.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> int:
    """Run a scenario; exit 0 clean, 1 hang, 125 inconclusive, 129 usage, 130 interrupted, 255 broken."""
    overrides = [*(settings or ())]
    if iterations is not None:
        overrides.append(f"stop.iterations={iterations}")
    if time is not None:
        overrides.append(f"stop.time={time}")
    written = load(scenario, VOCABULARY, overrides)
    options = RunOptions(
        results=results,
        toolchain=daemon,
        seed=seed,
        keep=keep,
        allow_host_damage=allow_host_damage,
        argv=tuple(sys.argv),
    )
    with screen(as_json=as_json) as audience:
        summary, folder = anyio.run(run_scenario, written, options, audience)
        audience.finished(summary, folder)
    if keep and not as_json:
        facts = folder.read_json("run.json")["daemon"] or {}
        print(f"kept: {facts.get('kind')} {facts.get('pid')} at {facts.get('address')}; `repro clean` ends it")  # noqa: T201
    return summary.exit_code
