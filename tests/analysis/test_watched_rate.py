"""An interval that is looked at again and again: it holds at all looks at once, and is not much wider for it."""

import math
from collections.abc import Callable
from functools import cache
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.rates import rate
from harness.analysis.watched_rate import watched_rate
from harness.core.records import Rate

RUNS = 200


def ever_wrong(truth: float, daemons: int, interval: Callable[[int, int], Rate], seed: str) -> float:
    """Return the share of runs in which the interval misses the truth at one look, or more, each after a daemon."""
    random, misses = Random(seed), 0
    known = cache(interval)
    for _ in range(RUNS):
        trials = 0
        for hangs in range(1, daemons + 1):
            trials += math.floor(math.log(1 - random.random()) / math.log1p(-truth)) + 1
            if not known(hangs, trials).low95 <= truth <= known(hangs, trials).high95:
                misses += 1
                break
    return misses / RUNS


@pytest.mark.parametrize("truth", [0.5, 0.1, 0.003])
def test_it_holds_at_every_look(truth: float) -> None:
    """A user who stops as soon as the interval is wrong, with twenty hangs to wait for it, seldom gets there."""
    assert ever_wrong(truth, 20, watched_rate, f"watched {truth}") <= 0.055


def test_an_exact_interval_does_not() -> None:
    """That of a fixed number of trials is wrong at one look, or more, in one of eight runs."""
    assert ever_wrong(0.1, 20, rate, "exact") > 0.12


def test_it_holds_between_hangs_too() -> None:
    """Looks after each build, whether it hung or not, until it is wrong or there were two hundred."""
    random, misses, known = Random("each build"), 0, cache(watched_rate)
    for _ in range(300):
        hangs = 0
        for trials in range(1, 200):
            hangs += random.random() < 0.1
            if not known(hangs, trials).low95 <= 0.1 <= known(hangs, trials).high95:
                misses += 1
                break
    assert misses / 300 <= 0.055


@pytest.mark.parametrize("trials", [1, 10, 300, 10_000, 1_000_000])
@pytest.mark.parametrize("hangs", [0, 1, 5, 100])
def test_it_is_less_than_twice_as_wide(hangs: int, trials: int) -> None:
    """Whatever was seen, it holds the exact interval's middle, and is less than twice as wide as that one."""
    if hangs > trials:
        return
    watched, exact = watched_rate(hangs, trials), rate(hangs, trials)
    assert 0 <= watched.low95 <= hangs / trials <= watched.high95 <= 1
    assert watched.high95 - watched.low95 < 2 * (exact.high95 - exact.low95)


@given(st.integers(0, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n), st.integers(0, 50))))
def test_what_is_unsettled_widens_it(case: tuple[int, int, int]) -> None:
    """The interval of what is unsettled holds those of any way to settle it."""
    hangs, trials, unsettled = case
    open_ = watched_rate(hangs, trials, unsettled)
    for hung in (0, unsettled // 2, unsettled):
        settled = watched_rate(hangs + hung, trials + unsettled)
        assert open_.low95 <= settled.low95 * (1 + 1e-9)
        assert open_.high95 >= settled.high95 * (1 - 1e-9)


def test_without_a_trial_nothing_is_known() -> None:
    """Any rate may be; where all hung, up to every one."""
    assert (watched_rate(0, 0).low95, watched_rate(0, 0).high95) == (0.0, 1.0)
    assert watched_rate(3, 3).high95 == 1.0
    assert 0 < watched_rate(1, 1).low95 < 0.025
