"""`repro bisect`: which build brought a hang, or took it away."""

import sys
from collections.abc import Sequence
from pathlib import Path
from time import time as clock
from typing import Annotated, Literal

import anyio
import typer

from harness.cli.console import Console
from harness.cli.display.bisect import JsonSearch, PlainSearch, SearchScreen
from harness.cli.display.preflight import tell_limits
from harness.cli.display.series import Also, on_interrupt
from harness.cli.options import (
    RESULTS,
    BadOption,
    Insecure,
    On,
    Results,
    Seed,
    Settings,
    Trust,
    complete_scenario,
    seconds_of,
)
from harness.cli.table import epilog
from harness.cli.trust import load_trusted
from harness.core.errors import Interrupted, UsageError
from harness.core.files import read_text
from harness.core.outcome import ExitCode
from harness.core.rng import first_seed
from harness.experiments.bisect.candidates import Options, resolve_range
from harness.experiments.bisect.log import NotReplayable, log_of, place_of, replay
from harness.experiments.bisect.search import BisectSearch, SearchAnswer
from harness.experiments.bisect.state import BisectRequest, ListedCandidate, State, find_search, restore, save
from harness.experiments.on import runner_on
from harness.scenario import dump
from harness.store.folder import RunFolder
from harness.store.folders import new_folder

bisect = typer.Typer(
    help="Search for the build that brought a hang, or took it away.",
    rich_markup_mode=None,
    epilog=epilog("repro bisect start prune-race --in buildkit:v0.22.0..v0.23.2", "repro bisect resume"),
)

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
SearchName = Annotated[str, typer.Argument(metavar="SEARCH", help="Its folder, the end of its name, or `last`.")]


class RangeMoved(UsageError):
    """A range that names other candidates than when the search began."""

    def __init__(self, range_: str) -> None:
        super().__init__(f"{range_} has other candidates now than when the search began: start a new one")


class EndsAreNeeded(UsageError):
    """An end of the range that is to be left out."""

    def __init__(self, ends: Sequence[str]) -> None:
        super().__init__(f"{' and '.join(ends)} is an end of the range, and a search needs both: start a new one")


@bisect.command(
    "start",
    epilog=epilog(
        "repro bisect start prune-race --in buildkit:v0.22.0..v0.23.2",
        "repro bisect start prune-race --in git:~/buildkit@v0.22.0..v0.23.2 --build-command 'sh build.sh'",
    ),
)
def start(
    scenarios: Annotated[
        list[Path],
        typer.Argument(
            metavar="SCENARIO",
            help="Shipped scenarios' names, or YAML files; the one that hangs soonest is searched with.",
            autocompletion=complete_scenario,
        ),
    ],
    range_: Annotated[
        str,
        typer.Option(
            "--in",
            metavar="RANGE",
            help="git:CLONE@OLD..NEW, path:DIR, buildkit:V..V, docker:V..V, debian:SUITE,SUITE or "
            "image:REPOSITORY:TAG,TAG; oldest first.",
        ),
    ],
    build_command: Annotated[
        str | None,
        typer.Option(metavar="COMMAND", help="Builds a commit in a checkout of it, and puts binaries into $REPRO_OUT."),
    ] = None,
    build_time: Annotated[str, typer.Option(metavar="T", help="How long one build may take.")] = "30m",
    full_history: Annotated[
        bool, typer.Option("--full-history", help="Search in all commits, not along first parents only.")
    ] = False,
    prereleases: Annotated[
        bool, typer.Option("--prereleases", help="Search in releases that were not final, too.")
    ] = False,
    find: Annotated[
        Literal["introduced", "fixed", "worse"],
        typer.Option(help="Find what brought the newest's hang, took away the oldest's, or made it more frequent."),
    ] = "introduced",
    confidence: Annotated[float, typer.Option(metavar="P", help="Ends with an answer believed so firmly.")] = 0.95,
    calibrate: Annotated[int, typer.Option(metavar="N", min=1, help="Hangs of the bad end to see first.")] = 3,
    any_hang: Annotated[bool, typer.Option("--any-hang", help="Count hangs of every signature.")] = False,
    also: Also = None,
    time: Annotated[str | None, typer.Option(metavar="T", help="Ends after a time, such as 8h.")] = None,
    seed: Seed = None,
    settings: Settings = None,
    trust: Trust = False,
    results: Results = RESULTS,
    shards: Annotated[int, typer.Option(metavar="N", min=1, help="So many daemons of a candidate side by side.")] = 1,
    on: On = None,
    insecure: Insecure = False,
    as_json: AsJson = False,
) -> int:
    """Search; exit 0 found, 125 not found, 129 usage, 130 interrupted, 255 broken.

    It ends with what it knows: the chance of each candidate, and what was seen of it. All is saved after every look;
    `repro bisect resume` goes on.
    """
    if not 0.5 < confidence < 1:
        raise BadOption("--confidence", f"{confidence:g} is not above 0.5 and below 1")
    loaded = {file.stem: load_trusted(file, settings or (), trust=trust) for file in scenarios}
    asked = BisectRequest(
        argv=tuple(sys.argv),
        scenarios=tuple(loaded),
        hunts=tuple(dict.fromkeys(kind for each in loaded.values() for kind in each.stop.on)),
        range=range_,
        find=find,
        build_command=build_command,
        build_seconds=seconds_of("--build-time", build_time),
        full_history=full_history,
        prereleases=prereleases,
        began=clock(),
        confidence=confidence,
        calibrate=calibrate,
        any_hang=any_hang,
        also=tuple(also or ()),
        seconds=None if time is None else seconds_of("--time", time),
        shards=shards,
        seed=first_seed(seed),
    )
    candidates = anyio.run(resolve_range, range_, _options(asked))
    known = tuple(
        ListedCandidate(name=each.name, title=each.title, parents=each.parents) for each in candidates.candidates
    )
    folder = new_folder(results / "bisect")
    for name, scenario in loaded.items():
        (folder / f"{name}.yaml").write_text(dump(scenario))
    save(State(asked=asked, candidates=known, note=candidates.note), folder)
    return _search(folder, as_json=as_json, trust=trust, on=on, insecure=insecure)


@bisect.command("resume", epilog=epilog("repro bisect resume last", "repro bisect resume --also unknown-1c3a5e7f9b2d"))
def resume(
    search: SearchName = "last",
    also: Also = None,
    apart: Annotated[
        list[str] | None, typer.Option(metavar="SIGNATURE", help="Hangs of this name are another hang.")
    ] = None,
    results: Results = RESULTS,
    trust: Trust = False,
    on: On = None,
    insecure: Insecure = False,
    as_json: AsJson = False,
) -> int:
    """Go on with a search that was ended, with all that it had seen."""
    folder = find_search(search, results)
    if also or apart:
        with RunFolder(folder).locked():
            save(restore(folder).taking(also or (), apart or ()), folder)
    return _search(folder, as_json=as_json, trust=trust, on=on, insecure=insecure)


@bisect.command("show", epilog=epilog("repro bisect show last"))
def show(search: SearchName = "last", results: Results = RESULTS, as_json: AsJson = False) -> int:
    """Show what is searched, the answer so far, and what it rests on."""
    folder = find_search(search, results)
    (JsonSearch() if as_json else PlainSearch()).shown(restore(folder), folder)
    return ExitCode.CLEAN


@bisect.command("log", epilog=epilog("repro bisect log last > search.log"))
def log(search: SearchName = "last", results: Results = RESULTS) -> int:
    """Print a search as text, to read, to edit, and to replay, here or on another host."""
    folder = find_search(search, results)
    state = restore(folder)
    texts = {name: read_text(folder / f"{name}.yaml") for name in state.asked.scenarios}
    for line in log_of(state, texts):
        typer.echo(line)
    return ExitCode.CLEAN


@bisect.command("replay", epilog=epilog("repro bisect replay search.log"))
def replay_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `repro bisect log` printed.")],
    results: Results = RESULTS,
    as_json: AsJson = False,
) -> int:
    """Make a search of a log, with all that stands in it; `repro bisect resume` goes on with it."""
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise NotReplayable(file, 1, str(error)) from error
    found = replay(file, text)
    folder = new_folder(results / "bisect")
    for name, scenario in found.scenarios.items():
        (folder / f"{name}.yaml").write_text(scenario)
    save(found.state, folder)
    (JsonSearch() if as_json else PlainSearch()).shown(found.state, folder)
    return ExitCode.CLEAN


@bisect.command("skip", epilog=epilog("repro bisect skip 265279d134b3"))
def skip(
    candidates: Annotated[list[str], typer.Argument(metavar="CANDIDATE", help="Their names, or how those begin.")],
    search: Annotated[
        str, typer.Option("--search", metavar="SEARCH", help="Its folder, the end of its name, or `last`.")
    ] = "last",
    because: Annotated[str, typer.Option(metavar="TEXT", help="The reason, for later readers.")] = "the user said so",
    results: Results = RESULTS,
    as_json: AsJson = False,
) -> int:
    """Leave candidates out of a search that does not go on now; `repro bisect resume` goes on without them."""
    folder = find_search(search, results)
    with RunFolder(folder).locked():
        state = restore(folder)
        places = [place_of(state, name) for name in candidates]
        if ends := [state.candidates[place].name for place in places if place in {state.good_end, state.bad_end}]:
            raise EndsAreNeeded(ends)
        state = state.model_copy(update={"skipped": {**state.skipped, **dict.fromkeys(places, because)}})
        save(state, folder)
    (JsonSearch() if as_json else PlainSearch()).shown(state, folder)
    return ExitCode.CLEAN


def _search(folder: Path, *, as_json: bool, trust: bool, on: str | None, insecure: bool) -> int:
    state = restore(folder)
    scenarios = {name: load_trusted(folder / f"{name}.yaml", trust=trust) for name in state.asked.scenarios}
    screen: SearchScreen = JsonSearch() if as_json else PlainSearch()
    tell_limits(Console(stderr=True), as_json=as_json)

    async def through() -> SearchAnswer:
        candidates = await resolve_range(state.asked.range, _options(state.asked))
        if [each.name for each in candidates.candidates] != [known.name for known in state.candidates]:
            raise RangeMoved(state.asked.range)
        announce = on_interrupt(screen.preparing)
        async with runner_on(
            on, search=folder, insecure=insecure, say=screen.preparing, interrupted=announce
        ) as runner:
            return await BisectSearch(folder, state, candidates, scenarios, screen, runner=runner).run()

    try:
        with RunFolder(folder).locked():
            answer = anyio.run(through)
    except (Interrupted, KeyboardInterrupt):
        screen.interrupted(folder)
        raise
    screen.answered(restore(folder), answer, folder)
    return ExitCode.CLEAN if answer.kind == "found" else ExitCode.INCONCLUSIVE


def _options(asked: BisectRequest) -> Options:
    return Options(
        build_command=asked.build_command,
        build_seconds=asked.build_seconds,
        full_history=asked.full_history,
        prereleases=asked.prereleases,
        since=asked.began,
    )
