"""`repro run`: a scenario against a daemon."""

import sys
from typing import Annotated

import typer

from harness.cli.loading import loading
from harness.cli.options import (
    RESULTS,
    SPECS,
    AgainstOption,
    AtTheEnd,
    BadOption,
    FailIf,
    Insecure,
    JUnit,
    On,
    Results,
    Resume,
    ScenarioFile,
    Seed,
    Settings,
    Trust,
    complete_spec,
)


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
    with loading():
        from harness.cli.overrides import ends  # noqa: PLC0415 — help, and a wrong option, are told without what runs
        from harness.cli.running import Telling, run_as_asked  # noqa: PLC0415
        from harness.run.plan import RunOptions  # noqa: PLC0415

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
    telling = Telling(against, tuple(fail_if or ()), junit, with_report=with_report, as_json=as_json)
    overrides = [*(settings or ()), *ends(iterations, time)]
    return run_as_asked(scenario, overrides, options, telling, trust=trust, on=on, insecure=insecure, earlier=earlier)
