"""How alike hang rates are: exact chances, held to scipy's and to brute force."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import betabinom

from harness.experiments.bisect.spread import Alike, Candidates, Daemons, Duds, Spread, Trials

MEAN = np.geomspace(1e-6, 0.99, 30)
spreads = st.sampled_from([Alike(), Candidates(2), Candidates(4), Candidates(9), Daemons(), Duds(0.5), Duds(0.2)])
looks = st.lists(st.builds(Trials, st.integers(0, 300), st.booleans()), max_size=4)


@settings(max_examples=15)
@given(st.integers(0, 40), st.integers(0, 6), st.integers(2, 9))
def test_a_likelihood_is_beta_binomial(clean: int, hangs: int, shape: int) -> None:
    """What was seen has the beta-binomial chance, without the number of orders in which it could have been."""
    believable = MEAN[MEAN > 1e-3]  # below, scipy's own differences of log-gammas lose their digits
    seen = [Trials(clean, hangs > 0), *[Trials(0, hung=True)] * (hangs - 1)]
    orders = math.comb(clean + hangs, hangs)
    theirs = betabinom.logpmf(hangs, clean + hangs, shape, shape * (1 - believable) / believable) - math.log(orders)
    assert Candidates(shape).likelihood(believable, seen) == pytest.approx(theirs, rel=1e-6, abs=1e-6)


@settings(max_examples=15)
@given(spreads, looks, st.integers(0, 1000))
def test_a_next_look_is_a_ratio_of_likelihoods(spread: Spread, seen: list[Trials], trials: int) -> None:
    """The chance of one more clean look is that of all looks with it over that of those before."""
    more = spread.likelihood(MEAN, [*seen, Trials(trials, hung=False)]) - spread.likelihood(MEAN, seen)
    assert spread.quiet(MEAN, np.array([trials]), seen)[:, 0] == pytest.approx(np.exp(more), rel=1e-6)


@settings(max_examples=15)
@given(spreads, looks)
def test_what_a_look_may_do_is_all(spread: Spread, seen: list[Trials]) -> None:
    """A look of five trials is clean, or hangs at one of them: the chances sum to 1."""
    before = spread.likelihood(MEAN, seen)
    ends = [Trials(5, hung=False), *(Trials(clean, hung=True) for clean in range(5))]
    assert sum(np.exp(spread.likelihood(MEAN, [*seen, end]) - before) for end in ends) == pytest.approx(1.0)


@settings(max_examples=15)
@given(spreads, looks)
def test_expected_trials_are_a_sum(spread: Spread, seen: list[Trials]) -> None:
    """Trial t is made if none before it hung: expected trials are the sum of those chances."""
    quiet = spread.quiet(MEAN, np.arange(60), seen)
    expected = spread.until_hang(MEAN, np.arange(61), seen)
    assert expected[:, 1:] == pytest.approx(np.cumsum(quiet, axis=1), rel=1e-6)
    assert not expected[:, 0].any()


@pytest.mark.parametrize("spread", [Alike(), Candidates(4), Daemons(), Duds(0.5)])
@pytest.mark.parametrize("seen", [(), (Trials(30, hung=False),), (Trials(4, hung=True), Trials(0, hung=True))])
def test_rates_are_drawn_as_they_are_believed(spread: Spread, seen: tuple[Trials, ...]) -> None:
    """The share of drawn daemons that keep quiet for ten trials more is the chance that `quiet` gives."""
    chance = np.random.default_rng(3)
    drawn = np.array([spread.draw(0.1, chance, seen)() for _ in range(4000)])
    expected = spread.quiet(np.array([0.1]), np.array([10]), seen)[0, 0]
    assert np.mean((1 - drawn) ** 10) == pytest.approx(expected, abs=0.02)


def test_candidates_of_large_shape_are_alike() -> None:
    """As the shape grows the chances go to those of one rate for all."""
    below, seen = MEAN[MEAN < 0.5], [Trials(197, hung=True), *[Trials(0, hung=True)] * 2]
    near, limit = (spread.likelihood(below, seen) for spread in (Candidates(100_000), Alike()))
    assert near == pytest.approx(limit, rel=2e-3)


@pytest.mark.parametrize("shape", [0, 1, 2.5, math.nan, -math.inf])
def test_a_shape_is_whole(shape: float) -> None:
    """A shape for which the products do not hold is refused."""
    with pytest.raises(ValueError, match="whole number from 2"):
        Candidates(shape)  # type: ignore[arg-type]
