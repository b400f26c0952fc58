"""`repro verify`: whether a toolchain is free of a hang that another one has."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import anyio
import typer

from harness.cli.display.series import (
    Also,
    SeriesPrinter,
    SetA,
    SetB,
    on_interrupt,
    series_of,
    sides_of,
    tell_how_to_go_on,
    teller,
    time_of,
)
from harness.cli.options import (
    RESULTS,
    BadOption,
    Insecure,
    On,
    Results,
    Resume,
    Seed,
    Settings,
    Trust,
    complete_scenario,
)
from harness.core.outcome import ExitCode, gravest
from harness.core.units import format_duration
from harness.core.wording import Wording
from harness.experiments.on import runner_on
from harness.experiments.series import Question, Series, Side
from harness.experiments.verify import Verification, VerifyOptions, verify

_HANGS: Final = 5
_RATIO: Final = 0.1
"""What still hangs, but ten times more rarely, is no fix."""
_STYLES: Final = {"fixed": "bold green", "better": "green", "not fixed": "bold red", "another hang": "bold red"}


def verify_(
    scenarios: Annotated[
        list[Path],
        typer.Argument(
            metavar="SCENARIO",
            help="Shipped scenarios' names, or YAML files, that hang on A.",
            autocompletion=complete_scenario,
        ),
    ],
    broken: Annotated[str, typer.Option(metavar="A", help="The toolchain that hangs, as `repro run` takes it.")],
    fixed: Annotated[str, typer.Option(metavar="B", help="The one that is said not to.")],
    confidence: Annotated[
        float, typer.Option(metavar="C", help="With which one as bad as A is told from a fixed one.")
    ] = 0.95,
    ratio: Annotated[
        float,
        typer.Option(metavar="R", help="B's rate is to be below R times A's; 1 asks for less, and is sooner told."),
    ] = _RATIO,
    hangs: Annotated[
        int, typer.Option(metavar="N", min=1, help="Hangs of A by which its rate is known; with more, B takes less.")
    ] = _HANGS,
    iterations: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Of a look, at most; without it, the scenario's own.")
    ] = None,
    age: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Builds that each daemon of B is to have, for hangs that come only late."
        ),
    ] = None,
    also: Also = None,
    time: Annotated[
        str | None,
        typer.Option(metavar="T", help="Begin no look at B after so long; with more of it and --resume it goes on."),
    ] = None,
    seed: Seed = None,
    settings: Settings = None,
    trust: Trust = False,
    set_a: SetA = None,
    set_b: SetB = None,
    results: Results = RESULTS,
    earlier: Resume = None,
    on: On = None,
    insecure: Insecure = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> int:
    """Verify that B is free of the hang that A has, and stop as soon as that can be said, either way.

    Exits with 0: fixed in every scenario, its rate below a tenth of A's at 95 %, or as --ratio and --confidence say; 1:
    not fixed, B hangs as A does; 125: cannot be said: A does not hang (the test has no power), B hangs in another way,
    the host has changed, or the time was over, and B is at most better; 129 usage; 130 interrupted; 255 broken.
    """
    if not 0.5 <= confidence < 1:
        raise BadOption("--confidence", f"{confidence:g} is not from 0.5 to below 1")
    if not 0 < ratio <= 1:
        raise BadOption("--ratio", f"{ratio:g} is not above 0 and at most 1")
    if earlier not in {None, "last"} and len(scenarios) > 1:
        raise BadOption("--resume", "of several scenarios goes on with the `last` of each")
    demand = VerifyOptions(
        confidence=confidence,
        hangs=hangs,
        ratio=ratio,
        iterations=iterations,
        seconds=time_of("--time", time),
        age=age,
        also=tuple(also or ()),
    )
    pairs = [sides_of(file, broken, fixed, settings, set_a, set_b, trust=trust) for file in scenarios]
    words = {f"--{name}": getattr(demand, name) for name in ("confidence", "hangs", "ratio", "iterations", "age")}
    codes = []
    with teller(as_json=as_json) as tell:
        for pair in pairs:
            question = Question("verify", pair, words, seed, demand.seconds)
            series = series_of(question, results, earlier, tell.watcher, or_new=len(scenarios) > 1)
            with series.going_on():
                found = anyio.run(_verify, tell, series, pair, demand, on, insecure)
            _tell(tell, found)
            codes.append(found.exit_code)
            if found.exit_code is ExitCode.INTERRUPTED:
                break
    return gravest(codes)


async def _verify(
    tell: SeriesPrinter,
    series: Series,
    pair: tuple[Side, Side],
    demand: VerifyOptions,
    on: str | None,
    insecure: bool,
) -> Verification:
    for side, word in zip(pair, ("broken", "fixed"), strict=True):
        tell.say(f"{side.name} = {' '.join((side.toolchain, *side.settings))}, said to be {word}")
    tell.say(f"{pair[0].scenario.name}: seed {series.seed}, {series.path}")
    announce = on_interrupt(tell.fleet)
    async with (
        runner_on(on, search=series.path, insecure=insecure, say=tell.fleet, interrupted=announce) as series.runner,
        series.working(),
    ):
        return await verify(series, *pair, demand, tell.short_run)


def _tell(tell: SeriesPrinter, found: Verification) -> None:
    """Tell the verdict first, then what it rests on."""
    tell.event("verified", asdict(found))
    tell.say(f"{found.verdict.upper()}  {found.because}", _STYLES.get(found.verdict, "yellow"))
    a, b = found.a, found.b
    daemons = {name: daemon or "none came up" for name, daemon in found.daemons.items()}
    facts = {
        "A": f"{found.broken}, {daemons['A']}: {a.hangs} in {a.trials} builds, {a.interval} (95 % sure)",
        "B": f"{found.fixed}, {daemons['B']}: {b.hangs} in {b.trials} builds, {b.interval} (95 % sure)",
        Wording.of(found.kinds).noun: found.signature or "none",
        "needed": f"{found.needed:,} builds on B without it" if found.needed else "–",
        "age": f"{found.age:,} builds of each daemon" if found.age else "–",
        "folder": f"{found.folder}, {format_duration(round(found.seconds))}",
    }
    for name, value in facts.items():
        tell.say(f"{name:<11} {value}")
    tell_how_to_go_on(tell, found.exit_code)
