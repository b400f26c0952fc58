"""`repro compare`: two toolchains, or two settings of one, side by side."""

from collections.abc import Collection, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Final

import anyio
import typer

from harness.analysis.rates import rate
from harness.analysis.two_sample import TwoSampleTest, contrast
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
from harness.core.outcome import ExitCode
from harness.core.units import counted, format_duration, parse_rate
from harness.core.wording import Wording
from harness.experiments.compare import EXIT_CODES, Comparison, NothingDiffers, RunBudget, SideResult, compare
from harness.experiments.on import runner_on
from harness.experiments.recorded import recorded_side, runs_in
from harness.experiments.series import Question, Series, Side
from harness.report.words import leak_line, shown_seconds

_PAIRS: Final = 8
_ITERATIONS: Final = 200
_STYLES: Final = {"different": "bold red", "no difference": "bold green", "not enough": "yellow"}
_WIDTH: Final = 46
_NAME: Final = 12
"""As wide as `failure rate`."""


def compare_(
    a: Annotated[str, typer.Argument(metavar="A", help="A toolchain, as `repro run --daemon` takes it; or a run.")],
    b: Annotated[str | None, typer.Argument(metavar="[B]", help="Another; A again where only settings differ.")] = None,
    scenario: Annotated[
        Path,
        typer.Option(
            metavar="SCENARIO",
            help="What both run: a shipped scenario's name, or a YAML file.",
            autocompletion=complete_scenario,
        ),
    ] = Path("prune-race"),
    looks: Annotated[
        int | None, typer.Option(metavar="N", min=1, help=f"Looks a side, at most; {_PAIRS} without --time.")
    ] = None,
    time: Annotated[str | None, typer.Option(metavar="T", help="Begin no pair of looks after so long.")] = None,
    iterations: Annotated[
        int, typer.Option(metavar="N", min=1, help="Iterations of a look; its first hang ends it.")
    ] = _ITERATIONS,
    factor: Annotated[
        float, typer.Option(metavar="F", help="Rates within such a factor of each other do not differ.")
    ] = 3.0,
    margin: Annotated[
        str | None, typer.Option(metavar="RATE", help="Rates no further apart than this per build do not differ.")
    ] = None,
    also: Also = None,
    seed: Seed = None,
    settings: Settings = None,
    trust: Trust = False,
    set_a: SetA = None,
    set_b: SetB = None,
    only_worse: Annotated[
        bool, typer.Option("--only-worse", help="For CI: 1 only if B hangs more; 0 too if it hangs less.")
    ] = False,
    results: Results = RESULTS,
    earlier: Resume = None,
    on: On = None,
    insecure: Insecure = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> int:
    """Compare two toolchains, or one with two settings, in turn on the same seeds; or recorded runs, by their folders.

    Exits with 0: no difference larger than it says; 1: different (with --only-worse: B hangs more); 125: not enough to
    say so, or a side says nothing; 129 usage; 130 interrupted; 255 broken.
    """
    if b is None and not set_a and not set_b:
        raise NothingDiffers
    if factor <= 1:
        raise BadOption("--factor", f"{factor:g} is not above 1")
    budget = RunBudget(iterations, looks or (None if time else _PAIRS), time_of("--time", time))
    try:
        allowed = parse_rate(margin) if margin else None
    except ValueError as error:
        raise BadOption("--margin", str(error)) from error
    if b is not None and runs_in(Path(a)) and runs_in(Path(b)):
        return _recorded(Path(a), Path(b), factor, allowed, only_worse=only_worse, as_json=as_json)
    sides = sides_of(scenario, a, b or a, settings, set_a, set_b, trust=trust)
    words = {
        "--iterations": budget.iterations,
        "--looks": budget.pairs,
        "--time": budget.seconds,
        "--factor": factor,
        "--margin": allowed,
    }
    with teller(as_json=as_json) as tell:
        series = series_of(Question("compare", sides, words, seed), results, earlier, tell.watcher)
        with series.going_on():
            comparison = anyio.run(_compare, tell, series, sides, budget, factor, allowed, also or (), on, insecure)
    if only_worse and comparison.verdict == "different" and comparison.contrast.worse == "a":
        comparison = replace(comparison, exit_code=ExitCode.CLEAN)
    _tell(tell, comparison)
    return comparison.exit_code


def _recorded(a: Path, b: Path, factor: float, margin: float | None, *, only_worse: bool, as_json: bool) -> ExitCode:
    """Hold runs that are there already against each other, and tell what they come to."""
    sides = {"A": recorded_side(a), "B": recorded_side(b)}
    result = contrast(*(side.exposures for side in sides.values()), factor=factor, margin=margin)
    code = EXIT_CODES[result.verdict]
    if only_worse and result.worse == "a":
        code = ExitCode.CLEAN
    with teller(as_json=as_json) as tell:
        by_name = {name: asdict(side) | {"place": str(side.place)} for name, side in sides.items()}
        tell.event(
            "compared", {"sides": by_name, "verdict": result.verdict, "contrast": asdict(result), "exit_code": code}
        )
        for name, side in sides.items():
            tell.say(
                f"{name} = {side.place}: {', '.join(side.daemons)}, {', '.join(side.scenarios)}; "
                f"{counted(side.runs, 'run')}, {counted(len(side.exposures), 'daemon')}"
            )
        tell.say(f"{result.verdict.upper()}  {result.because}", _STYLES[result.verdict])
        if sides["A"].scenarios != sides["B"].scenarios:
            tell.say(f"{'scenarios':<{_NAME}} differ, and what does it may be they", "yellow")
        tell.say(_tests(result))
    return code


def _tests(result: TwoSampleTest) -> str:
    """Return the tests in a line."""
    return (
        f"{'tests':<{_NAME}} rates p = {result.p_rates:.2g}, log-rank by permutation p = {result.p_log_rank:.2g}; "
        f"difference at most {result.difference_at_most:.2g} per build"
        f"{f'; within each of {result.hosts} hosts' if result.hosts > 1 else ''}"
    )


async def _compare(
    tell: SeriesPrinter,
    series: Series,
    sides: tuple[Side, Side],
    budget: RunBudget,
    factor: float,
    margin: float | None,
    also: Collection[str],
    on: str | None,
    insecure: bool,
) -> Comparison:
    for side in sides:
        tell.say(f"{side.name} = {' '.join((side.toolchain, *side.settings))}")
    bounds = [f"{budget.pairs} a side"] if budget.pairs else []
    bounds += [format_duration(budget.seconds)] if budget.seconds else []
    tell.say(
        f"{sides[0].scenario.name}: looks of {budget.iterations} iterations, at most {' or '.join(bounds)}, "
        f"seed {series.seed}, {series.path}"
    )
    announce = on_interrupt(tell.fleet)
    async with (
        runner_on(on, search=series.path, insecure=insecure, say=tell.fleet, interrupted=announce) as series.runner,
        series.working(),
    ):
        return await compare(series, *sides, budget, factor=factor, margin=margin, report=tell.short_run, also=also)


def _tell(tell: SeriesPrinter, comparison: Comparison) -> None:
    """Tell the verdict first, then the two sides, side by side."""
    tell.event("compared", asdict(comparison))
    tell.say(f"{comparison.verdict.upper()}  {comparison.because}", _STYLES[comparison.verdict])
    for name, *values in _rows(comparison):
        tell.say(f"{name:<{_NAME}} {values[0]:<{_WIDTH}}  {values[1]}".rstrip())
    if comparison.names:
        tell.say(f"{'names':<{_NAME}} {comparison.names}", "yellow")
    tell.say(_tests(comparison.contrast))
    tell.say(f"{'folder':<{_NAME}} {comparison.folder}, {format_duration(round(comparison.seconds))}")
    tell_how_to_go_on(tell, comparison.exit_code)


def _rows(comparison: Comparison) -> Iterator[tuple[str, str, str]]:
    a, b = comparison.sides["A"], comparison.sides["B"]
    yield "", f"A {a.toolchain}", f"B {b.toolchain}"
    if a.settings or b.settings:
        yield "settings", " ".join(a.settings) or "–", " ".join(b.settings) or "–"
    yield "daemon", a.daemon or "none came up", b.daemon or "none came up"
    yield "looks", _looks(a), _looks(b)
    yield f"{Wording.of(comparison.kinds).noun} rate", _rate(a), _rate(b)
    yield "signature", _signatures(a), _signatures(b)
    yield "tail", _tail(a), _tail(b)
    if a.leak or b.leak:
        yield "leak", _leak(a), _leak(b)


def _looks(side: SideResult) -> str:
    nothing = f", {side.nothing} said nothing" if side.nothing else ""
    return f"{side.looks}, {side.iterations} iterations{nothing}"


def _rate(side: SideResult) -> str:
    exact = rate(side.hangs, side.builds)
    return f"{side.hangs} in {side.builds} builds, {exact.interval} (95 % sure)"


def _signatures(side: SideResult) -> str:
    return ", ".join(f"{name} {count}" for name, count in side.signatures.items()) or "–"


def _tail(side: SideResult) -> str:
    return "  ".join(f"{name} {shown_seconds(value)}" for name, value in side.tail_seconds.items())


def _leak(side: SideResult) -> str:
    return leak_line(side.leak).partition(", most")[0] if side.leak else "–"
