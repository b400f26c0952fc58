"""`repro explore`: which mix of a scenario's open values hangs a daemon soonest."""

import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import anyio
import typer

from harness.cli.console import Console
from harness.cli.display.json_lines import machine_line
from harness.cli.display.series import on_interrupt, time_of
from harness.cli.kinds import VOCABULARY
from harness.cli.options import RESULTS, Insecure, On, Results, Resume, ScenarioFile, Seed, Settings, Trust
from harness.cli.trust import load_trusted
from harness.core.errors import Interrupted, UsageError
from harness.core.outcome import ExitCode
from harness.core.rng import first_seed
from harness.core.units import format_duration
from harness.experiments.earlier import AskedElse, differing, earlier_folder
from harness.experiments.on import NotInstalled, runner_on
from harness.experiments.short_run import ShortRun, look
from harness.run.observer import NullObserver
from harness.scenario import dump, load
from harness.scenario.load import find_scenario, left_open_in
from harness.scenario.vary import Mix, Varied, first_of_each
from harness.store.folder import RunFolder
from harness.store.folders import new_folder
from harness.store.minimized import BEGUN

try:
    from harness.experiments.explore.search import Bounds, Exploration, Explored, Tried
except ModuleNotFoundError as error:
    if error.name != "optuna":
        raise
    raise NotInstalled("repro explore", "explore") from error

_RUNS: Final = "runs.jsonl"
_FOREVER: Final = 2**31
_SHOWN: Final = 100


class NothingOpen(UsageError):
    """A scenario with nothing to choose."""

    def __init__(self, file: Path) -> None:
        super().__init__(
            f"{file} leaves nothing open: write {{vary: [50ms, 5s]}} or {{vary: [load, image, oci]}} for a value, or "
            "say --set 'actors.ci.parallel={vary: [1, 8]}'"
        )


def explore(
    scenario: ScenarioFile,
    daemon: Annotated[str, typer.Option(metavar="SPEC", help="The toolchain, as `repro run` takes it.")],
    time: Annotated[str, typer.Option(metavar="T", help="How long it may take, such as 30m.")] = "30m",
    signature: Annotated[
        str, typer.Option(metavar="NAME", help="Of the hang that is looked for; without it, what the scenario hunts.")
    ] = "",
    seed: Seed = None,
    settings: Settings = None,
    trust: Trust = False,
    results: Results = RESULTS,
    earlier: Resume = None,
    on: On = None,
    insecure: Insecure = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> int:
    """Search for the mix of what a scenario leaves open that hangs soonest, and measure it on fresh runs.

    Exits with 1: a mix hangs, and is kept as a scenario with numbers; 0: none did; 129 usage; 130 interrupted; 255
    broken. All is saved after every run; the same with --resume goes on.
    """
    file, seconds = find_scenario(scenario), time_of("--time", time) or 0.0
    left_open = left_open_in(file, settings or ())
    if not left_open:
        raise NothingOpen(file)
    first = load_trusted(file, settings or (), trust=trust, toolchain=daemon, mix=first_of_each(left_open))
    asked = {
        "scenario": dump(first),
        "vary": {each.name: [*each.values] for each in left_open},
        "--daemon": daemon,
        "--signature": signature,
    }
    path, number = _folder(results / first.name, asked, first_seed(seed, first.seed), earlier)

    def say(line: str) -> None:
        if as_json:
            machine_line("exploring", line=line)
        else:
            Console(highlight=False).print(line, markup=False, soft_wrap=True)

    say(f"{first.name}: {len(left_open)} values are open, seed {number}, {path}")
    for each in left_open:
        say(f"  {each.name}: {each.in_words}")

    async def through() -> Explored:
        async with runner_on(on, search=path, insecure=insecure, say=say, interrupted=on_interrupt(say)) as runner:

            async def take(mix: Mix, bounds: Bounds, seed: int) -> ShortRun:
                mixed = load(file, VOCABULARY, settings or (), mix)
                stop = mixed.stop.model_copy(update={"time": min(mixed.stop.time or math.inf, bounds.seconds)})
                return await look(
                    mixed.model_copy(update={"stop": stop}),
                    daemon,
                    results=path,
                    iterations=min(mixed.stop.iterations or _FOREVER, bounds.builds or _FOREVER),
                    seed=seed,
                    audience=NullObserver(),
                    runner=runner,
                    argv=tuple(sys.argv),
                    evidence="dumps",
                )

            search = Exploration(
                file=path / _RUNS,
                left_open=left_open,
                seconds=seconds,
                seed=number,
                slots=lambda: runner.slots,
                take=take,
                counts=lambda seen: seen.said == "hang" and signature in {"", seen.signature},
                report=lambda tried: say(_line(tried, left_open)),
                dropped=lambda why: say(f"says nothing: {why[:_SHOWN]}"),
            )
            return await search.run()

    with RunFolder(path).locked():
        try:
            found = anyio.run(through)
        except (Interrupted, KeyboardInterrupt):
            say("to go on: say the same, and --resume last")
            raise
        RunFolder(path).write_json("explore.json", asdict(found))
        if found.mix:
            named = {each.path: found.mix[each.name] for each in left_open}
            (path / "result").mkdir(exist_ok=True)
            (path / "result" / "scenario.yaml").write_text(dump(load(file, VOCABULARY, settings or (), named)))
    if as_json:
        machine_line("explored", **asdict(found), folder=str(path))
    for line in () if as_json else _result_lines(found, path):
        say(line)
    return ExitCode.HANG if found.mix else ExitCode.CLEAN


def _folder(parent: Path, asked: dict[str, Any], seed: int, earlier: str | None) -> tuple[Path, int]:
    """Return the folder of a new search, or of the one that goes on, and its seed."""
    if earlier is None:
        path = new_folder(parent, kind="explore")
        RunFolder(path).write_json(BEGUN, {"argv": sys.argv, "asked": asked, "seed": seed})
        return path, seed
    path = earlier_folder(earlier, parent, "explore", "exploration")
    begun = RunFolder(path).read_json(BEGUN)
    if differ := differing(begun, asked):
        raise AskedElse(path, differ)
    return path, int(begun["seed"])


def _line(tried: Tried, left_open: list[Varied]) -> str:
    """Return one line that says what a run saw."""
    look = tried.look
    said = "hang" if tried.hung else "another" if look.said == "hang" else look.said
    values = [f"{each.path[-1]}={each.at(tried.point[each.name])}" for each in left_open]
    return (
        f"{format_duration(round(tried.seconds)):>7}  {tried.phase:<8}{said:<8}{look.builds:>5} builds "
        f"{look.seconds:5.0f}s  {' '.join(values)}"
    )


def _result_lines(found: Explored, path: Path) -> list[str]:
    """Return what came of it, first, then what it rests on."""
    if not found.mix:
        return [
            f"NO HANG  in {found.searched} mixes; more time, or other ranges, may find one",
            f"{'folder':<11} {path}",
        ]
    rate, half = found.rate, found.median
    lines = [f"FOUND  {', '.join(f'{name}={value}' for name, value in found.mix.items())}"]
    if rate:
        soon = f"half of them within {half:g} builds" if half else "half of them did not hang"
        lines.append(f"{'fresh runs':<11} {len(found.builds)} of {found.runs} hung, {soon}: {list(found.builds)}")
        lines.append(f"{'hang rate':<11} {rate}; 95 %: {rate.interval} per build")
    if found.ranking:
        shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in found.ranking.items())
        lines.append(f"{'matters':<11} {shares}")
    after = format_duration(round(found.first_hang or 0))
    lines.append(f"{'searched':<11} {found.searched} mixes, {found.hung} hung, the first after {after}")
    lines.append(f"{'scenario':<11} {path / 'result' / 'scenario.yaml'}, {format_duration(round(found.seconds))}")
    return lines
