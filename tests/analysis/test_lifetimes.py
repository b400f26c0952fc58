"""The daemons of a run: how many trials each lived, and for how long."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from harness.analysis.lifetimes import Life, Lives
from harness.core.outcome import Outcome
from harness.core.records import Finding, Iteration
from tests.analysis.test_judge import build, finding
from tests.benchmarks.worlds.builds import World
from tests.benchmarks.worlds.rates import SEGMENTS, WORLDS, excludes_falsely, measured


def built(generation: int, started: float, exited: float, outcome: Outcome = Outcome.OK) -> Iteration:
    """Return a build of a daemon; its export ends 0.1 s before its client."""
    return replace(build(outcome), generation=generation, started=started, exported=exited - 0.1, exited=exited)


def lives(iterations: Iterable[Iteration], findings: Iterable[Finding], threshold: float = 0.0) -> list[Life]:
    """Return the daemons of a run, in the order in which they lived."""
    found = Lives(findings, threshold)
    for iteration in iterations:
        found.add(iteration)
    return found.lives()


def hang(at: float, *, generation: int = 1, iteration: int = 3, seen_by: str = "client") -> Finding:
    """Return a hang that was told after a second."""
    told = finding(Outcome.HANG, hunted=True, at=at)
    return replace(told, generation=generation, iteration=iteration, waited=1.0, seen_by=seen_by)


def test_each_daemon_lives_to_the_onset_of_its_first_hang() -> None:
    """A daemon's trials end as its first hang begins, which is one; of a daemon that never hung, all count.

    What returned until that hang was told is no trial, but says that the hang does not poison the daemon.
    """
    iterations = [
        built(1, 0, 1),
        built(1, 1, 2),
        replace(built(1, 2, 9, Outcome.HANG), number=3, exported=6.5),
        built(1, 6, 7),
        built(1, 8, 10),
        replace(built(1, 8, 9, Outcome.HANG), number=4, exported=8.5),
        built(2, 20, 21),
        built(2, 21, 23, Outcome.TIMED_OUT),
        built(2, 23, 25),
        built(3, 30, 31, Outcome.INFRA),
    ]
    stalls = [replace(finding(Outcome.STALL, hunted=True, at=24), generation=2)]
    assert lives(iterations, [hang(9.5, iteration=4), hang(7.5), *stalls]) == [
        Life(1, 3, 7.5, hung=True, returned_after=2, hung_after=1),
        Life(2, 2, 5.0, hung=False),
        Life(3, 0, 1.0, hung=False),
    ]


def test_a_hang_whose_build_was_not_recorded() -> None:
    """A harness that died with a hang on its hands has it counted all the same."""
    assert lives([], [finding(Outcome.HANG, hunted=True)]) == [Life(1, 1, 0.0, hung=True)]
    assert lives([], []) == []


def test_a_hang_behind_a_killed_build_is_a_hang() -> None:
    """A daemon that hung has hung, also where only its history shows it; and so it would have shown others."""
    killed = replace(built(1, 1, 2.5, Outcome.TIMED_OUT), number=3, exported=2.0, killed=2.2)
    due = replace(built(1, 0, 1), kill_due=1.5)
    told = hang(3.0, seen_by="history")
    assert lives([due, killed, built(1, 4, 5)], [told], threshold=60) == [Life(1, 2, 3.0, hung=True, returned_after=1)]


@pytest.mark.parametrize(("released", "trials"), [(None, 1), (9.0, 2)])
def test_a_build_that_would_have_been_killed(released: float | None, trials: int) -> None:
    """Had it hung, nobody would have seen: it is a trial only where the daemon tells of those that lost a client."""
    due = [replace(built(1, 0, 1), kill_due=due) for due in (5.0, 70.0)]
    killed = replace(built(1, 1, 2, Outcome.TIMED_OUT), exported=None, killed=1.9, solving=1.0, released=released)
    assert lives([*due, killed], [], threshold=60) == [Life(1, trials, 2.0, hung=False)]


def test_a_build_that_we_ended_while_it_waited_is_unsettled() -> None:
    """One that had waited after its export for longer than any that returned may have hung; others say nothing."""
    waited = [replace(built(1, 1, 2, Outcome.CUT_OFF), exported=3.0, exited=None, cut=cut) for cut in (3.05, 62.0)]
    killed = replace(built(1, 1, 9, Outcome.TIMED_OUT), exported=3.0, killed=8.0)
    on_its_way = replace(built(1, 1, 2, Outcome.CUT_OFF), exported=None, exited=None, cut=90.0, solving=1.0)
    died = [replace(on_its_way, solving=None, cut=cut) for cut in (1.5, 90.0)]
    [life] = lives([built(1, 0, 1), *waited, killed, on_its_way, *died], [])
    assert (life.trials, life.unsettled) == (1, 3)


@pytest.mark.parametrize("name", WORLDS)
def test_the_interval_holds_the_rate(name: str) -> None:
    """In worlds with a known rate, whether a hang poisons its daemon or not, on many lines, with kills, the interval
    holds it: of 100 at 95 % five misses are to be expected, and more than twelve come once in 700.
    """
    covered, _ = measured(WORLDS[name], seed=77, runs=100)
    assert covered >= 0.88


def test_it_is_no_wider_than_it_has_to_be() -> None:
    """Where every other build hangs on eight lines, five hangs tell the rate to a factor of ten, at every look."""
    _, width = measured(World(0.5, lines=8), seed=78, runs=60)
    assert width < 12


@pytest.mark.parametrize("name", [name for name in SEGMENTS if SEGMENTS[name].rate > 0.001])
def test_what_was_cut_off_excludes_nothing(name: str) -> None:
    """Runs of 90 s where a hang is told after 60 s, added up, exclude the true rate in at most one of twenty."""
    assert excludes_falsely(SEGMENTS[name], seed=79, runs=40, segments=6, seconds=90) <= 0.15
