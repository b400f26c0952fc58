"""The hang rate of bad candidates: exact chances, held to scipy's and to brute force."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom

from harness.experiments.bisect.rates import Rates

shapes = st.sampled_from([2.0, 4.0, 9.0, math.inf])


@given(st.integers(0, 40), st.integers(0, 6), st.integers(2, 9))
def test_a_likelihood_is_beta_binomial(clean: int, hangs: int, shape: int) -> None:
    """What was seen has the beta-binomial chance, without the number of orders in which it could have been."""
    rates = Rates.flat(shape)
    b = shape * (1 - rates.mean) / rates.mean
    orders = math.comb(clean + hangs, hangs)
    believable = rates.mean > 1e-3  # below, scipy's own differences of log-gammas lose their digits
    theirs = betabinom.logpmf(hangs, clean + hangs, shape, b[believable]) - math.log(orders)
    assert rates.likelihood(clean, hangs)[believable] == pytest.approx(theirs, rel=1e-6, abs=1e-6)


@given(st.integers(0, 1000), st.integers(0, 6), st.integers(0, 1000), shapes)
def test_quiet_is_a_ratio_of_likelihoods(clean: int, hangs: int, more: int, shape: float) -> None:
    """The chance of more clean trials is that of all of them over that of the first."""
    rates = Rates.flat(shape)
    ratio = np.exp(rates.likelihood(clean + more, hangs) - rates.likelihood(clean, hangs))
    assert rates.quiet(np.array([more]), clean, hangs)[:, 0] == pytest.approx(ratio, rel=1e-9)


@given(st.integers(0, 1000), st.integers(0, 6), shapes)
def test_expected_trials_are_a_sum(clean: int, hangs: int, shape: float) -> None:
    """Trial t is made if none before it hung: expected trials are the sum of those chances."""
    rates = Rates.flat(shape)
    quiet = rates.quiet(np.arange(60), clean, hangs)
    expected = rates.until_hang(np.arange(61), clean, hangs)
    assert expected[:, 1:] == pytest.approx(np.cumsum(quiet, axis=1), rel=1e-9)
    assert not expected[:, 0].any()


def test_candidates_of_large_shape_are_alike() -> None:
    """As the shape grows the chances go to those of one rate for all."""
    near, limit = Rates.flat(100_000), Rates.flat(math.inf)
    below = near.mean < 0.5
    assert near.likelihood(200, 3)[below] == pytest.approx(limit.likelihood(200, 3)[below], rel=2e-3)


@pytest.mark.parametrize("shape", [0.5, 1.0, 2.5, math.nan, -math.inf])
def test_a_shape_is_whole(shape: float) -> None:
    """A shape for which the products do not hold is refused."""
    with pytest.raises(ValueError, match="whole number from 2"):
        Rates.flat(shape)
