"""The daemons of a run: how many trials each lived, and for how long."""

from dataclasses import replace

from harness.analysis.lifetimes import Life, lives
from harness.core.outcome import Outcome
from harness.core.records import Iteration
from tests.analysis.test_judge import build, finding


def built(generation: int, started: float, exited: float, outcome: Outcome = Outcome.OK) -> Iteration:
    """Return a build of a daemon."""
    return replace(build(outcome), generation=generation, started=started, exported=exited - 0.1, exited=exited)


def test_each_daemon_lives_to_its_first_hang() -> None:
    """A daemon's trials end with its first hang, which is one; of one that never hung, all count; kills count never.

    What was in flight at the hang is unsettled, and what began later is nothing.
    """
    iterations = [
        built(1, 0, 1),
        built(1, 1, 2),
        replace(built(1, 2, 9, Outcome.HANG), number=3, exported=6.5),
        built(1, 6, 8),
        built(1, 8, 10),
        built(2, 20, 21),
        built(2, 21, 23, Outcome.TIMED_OUT),
        built(2, 23, 25),
        built(3, 30, 31, Outcome.INFRA),
    ]
    hangs = [replace(finding(Outcome.HANG, hunted=True, at=at), generation=1, waited=1.0) for at in (9.5, 7.5)]
    stalls = [replace(finding(Outcome.STALL, hunted=True, at=24), generation=2)]
    assert lives(iterations, [*hangs, *stalls]) == [
        Life(1, 3, 7.5, hung=True, unsettled=1),
        Life(2, 2, 5.0, hung=False),
        Life(3, 0, 1.0, hung=False),
    ]


def test_a_hang_whose_build_was_not_recorded() -> None:
    """A harness that died with a hang on its hands has it counted all the same."""
    assert lives([], [finding(Outcome.HANG, hunted=True)]) == [Life(1, 1, 0.0, hung=True)]
    assert lives([], []) == []


def test_a_hang_behind_a_killed_build_is_an_end() -> None:
    """A hang that only the daemon's history shows is no trial; what the daemon did after it is none either."""
    hang = replace(finding(Outcome.HANG, hunted=True, at=3.0), seen_by="history")
    assert lives([built(1, 0, 1), built(1, 1, 2, Outcome.TIMED_OUT), built(1, 4, 5)], [hang]) == [
        Life(1, 1, 3.0, hung=False)
    ]
