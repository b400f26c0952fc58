"""`repro minimize`: the smallest scenario that hangs as often, and a script of it for upstream."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import anyio
import typer

from harness.cli.console import Console
from harness.cli.display.json_lines import machine_line
from harness.cli.display.preflight import tell_limits
from harness.cli.display.series import on_interrupt, time_of
from harness.cli.kinds import VOCABULARY
from harness.cli.options import RESULTS, BadOption, Insecure, On, Results, Seed, Settings, Trust
from harness.cli.trust import load_trusted
from harness.core.errors import Interrupted, UsageError
from harness.core.rng import first_seed
from harness.core.units import format_duration
from harness.experiments.minimize.attempts import Attempt, begin, locked, resume
from harness.experiments.minimize.minimize import Minimization, MinimizeAnswer, MinimizeRequest, signature_in, with_kind
from harness.experiments.minimize.sequential import Bounds
from harness.experiments.on import runner_on
from harness.scenario import dump, load
from harness.scenario.load import find_scenario, instead_of
from harness.store.find import NoSuchRun, find_run
from harness.store.folder import RunFolder

_TIME: Final = "30m"
_ATTEMPTS: Final = 10


class NeitherThere(UsageError):
    """What is to be minimized is no scenario and no run."""

    def __init__(self, what: str, results: Path) -> None:
        super().__init__(f"{what}: no such scenario or file, and no run below {results}{instead_of(Path(what))}")


def minimize_(
    what: Annotated[
        str, typer.Argument(metavar="RUN|SCENARIO", help="A run that hung, or a scenario that does: a name, or a file.")
    ],
    daemon: Annotated[str, typer.Option(metavar="SPEC", help="The toolchain that hangs, as `repro run` takes it.")],
    fixed: Annotated[
        str | None, typer.Option(metavar="SPEC", help="One that does not; the script is tried with it too.")
    ] = None,
    time: Annotated[str, typer.Option(metavar="T", help="How long daemons may run for it, in all.")] = _TIME,
    attempts: Annotated[
        int, typer.Option(metavar="N", min=1, help="So often the script is tried with each toolchain.")
    ] = _ATTEMPTS,
    ratio: Annotated[
        float, typer.Option(metavar="R", help="A change that lowers the rate by this factor must not stay.")
    ] = 0.5,
    seed: Seed = None,
    settings: Settings = None,
    trust: Trust = False,
    results: Results = RESULTS,
    earlier: Annotated[
        str | None,
        typer.Option("--resume", metavar="NAME", help="Go on with an earlier one: its folder, its name's end, `last`."),
    ] = None,
    on: On = None,
    insecure: Insecure = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> int:
    """Leave out of a scenario all that its hang does not need, and find the order of acts that makes it come each time.

    Exits with 0: a smaller reproducer is there; 125: nothing could be left out, or its script broke; 129 usage, also of
    a scenario that never hangs; 130 interrupted; 255 broken. All is saved after every attempt; `--resume` goes on.
    """
    if not 0 < ratio < 1:
        raise BadOption("--ratio", f"{ratio:g} is not between 0 and 1")
    file, run = _named(what, results)
    scenario = load_trusted(file, settings or (), trust=trust, toolchain=daemon)
    signature = signature_in(run) if run else ""
    with_daemon = anyio.run(partial(with_kind, scenario, *filter(None, (daemon, fixed))))  # before a folder is made
    bounds = Bounds(ratio=ratio)
    asked = MinimizeRequest(
        scenario=with_daemon,
        toolchain=daemon,
        fixed=fixed,
        seconds=time_of("--time", time) or 0.0,
        attempts=attempts,
        bounds=bounds,
        signature=signature,
        run=run,
    )
    words = {"scenario": dump(scenario), "--daemon": daemon, "--ratio": ratio, "signature": signature}
    words["run"] = run.path.resolve().name if run else None
    if earlier is None:
        number = first_seed(seed, scenario.seed)
        path, known = begin(results, scenario.name, words, number), list[Attempt]()
    else:
        path, number, known = resume(results, scenario.name, earlier, words)

    def say(line: str) -> None:
        if as_json:
            machine_line("minimizing", line=line)
        else:
            typer.echo(line)

    tell_limits(Console(), as_json=as_json)
    say(f"{scenario.name}: seed {number}, {path}")
    search = Minimization(
        asked=asked,
        path=path,
        load=lambda file: load(file, VOCABULARY),
        report=say,
        seed=number,
        known=known,
        argv=tuple(sys.argv),
    )
    with locked(path):
        try:
            answer = anyio.run(_minimize, search, on, insecure)
        except (Interrupted, KeyboardInterrupt):
            say("to go on: say the same, and --resume last")
            raise
        RunFolder(path).write_json("minimized.json", asdict(answer))
    _tell(answer, say)
    return answer.exit_code


def _named(what: str, results: Path) -> tuple[Path, RunFolder | None]:
    """Return the file of the scenario that `what` names; else that of the run that it names, and the run.

    Raises:
        NeitherThere: it names neither.
        NoSuchRun: it names several runs.
    """
    file = find_scenario(Path(what))
    if file.is_file():
        return file, None
    try:
        run = find_run(what, results)
    except NoSuchRun as error:
        if error.is_ambiguous:
            raise
        raise NeitherThere(what, results) from error
    return run.path / "scenario.yaml", run


async def _minimize(search: Minimization, on: str | None, insecure: bool) -> MinimizeAnswer:
    announce = on_interrupt(search.report)
    async with runner_on(
        on, search=search.path, insecure=insecure, say=search.report, interrupted=announce
    ) as search.runner:
        return await search.run()


def _tell(answer: MinimizeAnswer, say: Callable[[str], None]) -> None:
    """Tell what came of it first, then what it rests on."""
    found = answer.minimized
    say(f"{'MINIMIZED' if found.changes else 'UNCHANGED'}  {found.in_order or 'by leaving out'}")
    facts = {
        answer.kind: answer.signature or "no signature",
        "scenario": f"{found.tally} attempts; {found.original} of what it was made from",
        **{f"script {n}": f"{one.tally} with {one.toolchain}" for n, one in enumerate(answer.measured, 1)},
        "but": answer.because,
        "complete": "yes" if found.whole else "no: the time was over; with more of it, and --resume last, it goes on",
        "folder": f"{answer.folder}, {format_duration(round(answer.seconds))} of daemon time",
    }
    for name, value in facts.items():
        if value:
            say(f"{name:<11} {value}")
