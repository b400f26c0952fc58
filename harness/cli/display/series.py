"""What `compare` and `verify` show while they look: a line for each look; on a terminal, what is on."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from harness.cli.console import Console
from harness.cli.display.json_lines import machine_line
from harness.cli.display.preflight import tell_limits
from harness.cli.options import BadOption, seconds_of
from harness.cli.output import at_once, keep_telling
from harness.cli.trust import load_trusted
from harness.core.manifest import DaemonFacts
from harness.core.outcome import ExitCode
from harness.core.records import Iteration
from harness.core.units import format_duration
from harness.core.wording import Wording
from harness.experiments.earlier import NoSuchSearch
from harness.experiments.series import Name, Question, SeenRun, Series, Side
from harness.run.observer import NullObserver, Reporter
from harness.scenario import Scenario
from harness.scenario.places import Override
from harness.store.folder import RunFolder
from harness.store.resume_point import ResumePoint

Keys = list[str] | None
SetA = Annotated[Keys, typer.Option("--set-a", metavar="KEY=VALUE", help="Set a key for A.")]
Also = Annotated[
    list[str] | None,
    typer.Option("--also", metavar="SIGNATURE", help="Another name of the same hang."),
]
SetB = Annotated[Keys, typer.Option("--set-b", metavar="KEY=VALUE", help="Set a key for B.")]

_SILENT_SECONDS: Final = 2.0
"""After so long a line says that the end is still under way."""
_REFRESHED: int = 10
"""Iterations from one update of the line on a terminal to the next."""


class Watcher(NullObserver):
    """An audience that shows on a terminal what is going on."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show, self._what, self._iterations = show, "", 0

    def doing(self, what: str) -> None:
        """Show it."""
        self._show(what)

    def started(self, scenario: Scenario, folder: RunFolder, facts: DaemonFacts, seed: int, past: ResumePoint) -> None:
        """Show it."""
        self._what = f"{scenario.name}: {facts.kind} {facts.version} ({facts.toolchain}), seed {seed}, {folder.path}"
        self._iterations = past.begun
        self._show(self._what)

    def iterated(self, iteration: Iteration) -> None:
        """Count it."""
        self._iterations = max(self._iterations, iteration.number)
        if self._iterations % _REFRESHED == 0:
            self._show(f"{self._what}  {self._iterations} iterations")


@dataclass(frozen=True)
class SeriesPrinter:
    """Who says what is seen, and by what ways."""

    console: Console
    as_json: bool
    watcher: Watcher

    def say(self, line: str, style: str = "") -> None:
        """Print a line for a person; machines have their own."""
        if not self.as_json:
            self.console.print(line, style=style, markup=False, soft_wrap=True, highlight=False)

    def event(self, name: str, content: dict[str, Any]) -> None:
        """Print a line for a machine."""
        if self.as_json:
            machine_line(name, **content)

    def fleet(self, line: str) -> None:
        """Report the hosts that join, fail, or are left out."""
        self.event("fleet", {"what": line})
        self.say(line, "dim")

    def short_run(self, seen: SeenRun) -> None:
        """Tell a look."""
        self.event("look", asdict(seen))
        self.say(look_line(seen))


@contextmanager
def teller(*, as_json: bool) -> Iterator[SeriesPrinter]:
    """Say what this host limits, and yield who tells the rest; on a terminal with a line that says what goes on."""
    console = Console()
    tell_limits(console, as_json=as_json)
    if as_json or not console.is_terminal:
        yield SeriesPrinter(console, as_json, Watcher(lambda _: None))
        return
    with console.status("") as status:
        yield SeriesPrinter(console, as_json, Watcher(status.update))


def look_line(seen: SeenRun) -> str:
    """Return one line that says what a look saw."""
    done, builds = seen.look, f"{seen.exposure.builds} builds"
    where = Path(done.folder).name
    said = Wording.of([done.kind]).noun if done.said == "hang" else done.said
    head = f"{seen.side} {seen.number:<3} {said:<8}"
    took = f"{format_duration(round(done.seconds)):>7}"
    if seen.known:
        where += "  (known)"
    if done.said == "hang":
        return f"{head} {f'within {builds}':<18}{took}  {where}  {done.signature or 'no signature'}"
    why = f"  {done.because}" if done.said == "nothing" else ""
    return f"{head} {builds:<18}{took}  {where}{why}"


def series_of(
    question: Question, results: Path, earlier: str | None, audience: Reporter, *, or_new: bool = False
) -> Series:
    """Return a new series, or the earlier one that is to go on; a new one too where there is none, if that will do.

    Raises:
        UsageError: that cannot go on.
        StoreError: it cannot be made or read.
    """
    if earlier is not None:
        try:
            return Series.resume(earlier, question, results, sys.argv, audience)
        except NoSuchSearch:
            if not or_new:
                raise
    return Series.begin(question, results, sys.argv, audience)


def tell_how_to_go_on(tell: SeriesPrinter, code: ExitCode) -> None:
    """Say it of what was interrupted."""
    if code is ExitCode.INTERRUPTED:
        tell.say(f"{'to go on':<11} say the same, and --resume last")


def on_interrupt(say: Callable[[str], None]) -> Callable[[int], None]:
    """Return what tells of Ctrl-C while runs are made, and of the second one, which does not wait for their end."""

    def short_run(times: int) -> None:
        if times == 1:
            say("interrupted: ending what runs; what came back is kept, to be resumed; Ctrl-C again ends at once")
            keep_telling(say, "ending", _SILENT_SECONDS, threading.Event())
        else:
            left = "a fleet's hosts end what they run, `repro clean` removes what is left on this one"
            at_once(ExitCode.INTERRUPTED, f"repro: ended at once; what came back is kept; {left}")

    return short_run


def time_of(option: str, text: str | None) -> float | None:
    """Return the seconds that an option says, or None.

    Raises:
        BadOption: it is no duration, or none at all.
    """
    if text is None:
        return None
    if not (seconds := seconds_of(option, text)):
        raise BadOption(option, "is no time at all")
    return seconds


def sides_of(file: Path, a: str, b: str, common: Keys, of_a: Keys, of_b: Keys, *, trust: bool) -> tuple[Side, Side]:
    """Return both sides of a scenario: toolchains, and keys that are set for both and for each.

    Raises:
        ScenarioError: the scenario, so set, is none.
    """

    def side(name: Name, toolchain: str, own: Keys) -> Side:
        return Side(
            name,
            toolchain,
            load_trusted(
                file,
                [*(common or ()), *(Override.of(each, f"--set-{name.lower()} {each}") for each in own or ())],
                trust=trust,
                toolchain=toolchain,
            ),
            tuple(own or ()),
        )

    return side("A", a, of_a), side("B", b, of_b)
