"""What a run says while it goes on: few lines, none that a later one takes back, and an answer to every Ctrl-C."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.cli.display import lines, run
from harness.cli.display.lines import PlainLines
from harness.cli.display.live import LiveView
from harness.cli.display.totals import Totals, time_left
from harness.core.manifest import DaemonFacts
from harness.core.outcome import ExitCode, Outcome, Phase
from harness.core.records import Action, Finding, Iteration, Sample
from harness.scenario import Scenario
from harness.scenario.model import ActorSpec, Stop
from harness.store.folder import RunFolder
from harness.store.resume_point import NOTHING_YET
from tests.support.eventually import until

FACTS = DaemonFacts("told", "", "", "", private=True)
SAMPLE = Sample(5.0, None, None, None, 0, 0.0, 0.0, 0.0, 0)
HANG = Finding(7, Outcome.HANG, 9.0, "ci", {}, Phase.EXPORTED, 5.0, 1, (), hunted=True)


def iteration(number: int, outcome: Outcome = Outcome.OK) -> Iteration:
    """Return one build that took a second."""
    return Iteration(
        number, "ci", {}, outcome, number - 1.0, None, None, number - 0.5, float(number), None, 0, "no space"
    )


def act(effect: int | None, *, succeeded: bool = True, attempted: bool = True) -> Action:
    """Return an act of a prune."""
    return Action("loop", "prune", 1, 0.0, 0.0, 0.0, 1.0, succeeded, "refused", 1, effect, attempted)


def scenario(**stop: Any) -> Scenario:
    """Return a scenario that ends so."""
    return Scenario(name="x", actors=(ActorSpec(name="ci"),), stop=Stop(**stop))


@pytest.fixture
def plain() -> tuple[PlainLines, Callable[[], list[str]]]:
    """A log, and what it says so far."""
    out = io.StringIO()
    return PlainLines(Console(file=out, width=80), ""), lambda: out.getvalue().splitlines()


def test_what_fails_all_the_time_is_told_thrice(plain: tuple[PlainLines, Callable[[], list[str]]]) -> None:
    """A thousand failures of a kind are three lines; another kind is told too; what was not attempted is no failure."""
    log, said = plain
    for number in range(1, 1001):
        log.iterated(iteration(number, Outcome.FAILED))
        log.acted(act(None, succeeded=False))
        log.acted(act(None, succeeded=False, attempted=False))
    assert sum("failed: no space" in line for line in said()) == 3
    assert sum("prune loop: refused" in line for line in said()) == 3
    assert sum("more of these are only counted" in line for line in said()) == 2


def test_merged_builds_are_told(plain: tuple[PlainLines, Callable[[], list[str]]]) -> None:
    """A build of which a step was merged is told with that step, the first few times; then it is counted."""
    log, said = plain
    totals = Totals()
    for number in range(1, 10):
        merged = replace(iteration(number), merged=("[2/3] COPY big /big", f"[3/3] RUN {number}"))
        log.iterated(merged)
        totals.add(merged)
        totals.add(iteration(number))
    lines = [line for line in said() if "merged into another build" in line]
    assert lines[0] == "iteration 1: merged into another build at [3/3] RUN 1, and 1 step before it"
    assert len(lines) == 3
    assert (totals.merged, totals.merged_steps[1]) == (9, "[3/3] RUN 9")


def test_acts_are_counted_with_what_they_changed() -> None:
    """An act that changed nothing, or could not be done, is counted as one without effect."""
    totals = Totals()
    for each in (act(5), act(0), act(None), act(None, succeeded=False), act(None, attempted=False)):
        totals.act(each)
    assert totals.act_line() == "loop 4 (2 without effect)"


def test_after_a_hang_nothing_is_ruled_out() -> None:
    """From the moment of a hang, before its iteration has ended, the rate is told by it."""
    totals = Totals()
    assert totals.rate_line() == "no build has counted yet"
    totals.add(iteration(1))
    assert "ruled out" in totals.rate_line()
    totals.find(HANG)
    totals.add(iteration(2))
    assert totals.rate_line() == "1 hung, iteration 7"


def test_what_is_left_is_believable() -> None:
    """Until a build has ended, nobody knows how long a number of them takes; the time is no answer to that."""
    totals = Totals()
    assert time_left(scenario(iterations=9, time="48h"), totals) == "–"
    assert time_left(scenario(time="48h"), totals) == "2d"
    totals.began -= 30
    for number in range(1, 4):
        totals.add(iteration(number))
    assert time_left(scenario(iterations=9, time="48h"), totals) == "1m"


def test_what_is_waited_for_stands_in_each_line(
    plain: tuple[PlainLines, Callable[[], list[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that sums up says what goes on in place of "left 0s", until a build ends."""
    monkeypatch.setattr(lines, "_LINE_SECONDS", 0.0)
    log, said = plain
    monkeypatch.setattr(ActorSpec, "builds", True)
    log.started(scenario(iterations=1, time="48h"), RunFolder(tmp_path), FACTS, 7, NOTHING_YET)
    log.iterated(iteration(1))
    log.doing("waiting")
    log.sampled(SAMPLE)
    assert "; waiting; " in said()[-1]
    assert "left" not in said()[-1]
    log.iterated(iteration(2))
    assert "waiting" not in said()[-1]
    assert "acts" not in said()[-1], "nobody acts in it"


def test_what_is_over_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The live view says that it builds, as soon as a build has ended; but a run that ends is not said to build."""
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True)
    view = LiveView(console)
    view.doing("looking at why")
    view.iterated(iteration(1))
    view.leave()
    console.print(view._draw())
    assert "building" in out.getvalue().splitlines()[-1]
    view.interrupted("ending, soon")
    view.iterated(iteration(2))
    view.leave()
    console.print(view._draw())
    assert "ending" in out.getvalue().splitlines()[-1]


@pytest.mark.parametrize("width", [20, 50, 80, 140])
def test_the_view_fits(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The live view is readable at every width: no line is longer than the terminal, and each fact is there."""
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True)
    view = LiveView(console)
    view.iterated(iteration(1))
    view.acted(act(0))
    view.doing("capturing the evidence of iteration 7, step 2 of 5")
    view.leave()
    console.print(view._draw())
    told = out.getvalue()
    assert "\x1b[3" not in told, "no colour"
    drawn = told.splitlines()[-30:]
    assert all(len(line) <= width for line in drawn if "\x1b" not in line)
    for fact in ("time", "builds", "hangs", "acts", "daemon", "now", "capturing"):
        assert fact in told


def test_ctrl_c_is_answered(plain: tuple[PlainLines, Callable[[], list[str]]], monkeypatch: pytest.MonkeyPatch) -> None:
    """The first says what is still done and how to go on, and then it is never silent; the second ends at once."""
    log, said = plain
    ended: list[tuple[int, str]] = []
    monkeypatch.setattr(run, "at_once", lambda code, words: ended.append((code, words)))
    monkeypatch.setattr(lines, "_SILENT_SECONDS", 0.01)
    hear = run.on_signal(log)
    hear(1)
    assert "`repro resume` goes on" in said()[0]
    until(lambda: any("still ending" in line for line in said()))
    assert not ended
    hear(2)
    [(code, words)] = ended
    assert code == ExitCode.INTERRUPTED
    assert "`repro resume`" in words
    assert "`repro clean`" in words
    log.leave()
