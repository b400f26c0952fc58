"""Rates: exact values, and that the interval covers what it says it covers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from harness.dice import Dice
from harness.stats import excluded_rate, quantile, rate


@pytest.mark.parametrize(
    ("hangs", "trials", "low", "high"),
    [
        (0, 0, 0.0, 1.0),
        (0, 10, 0.0, 1 - 0.025 ** (1 / 10)),  # no hang: (1 - high) ** n is 0.025
        (10, 10, 0.025 ** (1 / 10), 1.0),  # nothing but hangs: low ** n is 0.025
        (1, 1, 0.025, 1.0),
        (1, 16141, 1.5685e-06, 3.4513e-04),
        (5, 10, 0.187086, 0.812914),  # a table value of Clopper and Pearson's
    ],
    ids=["no-trial", "none", "all", "one", "report", "half"],
)
def test_exact_intervals(hangs: int, trials: int, low: float, high: float) -> None:
    """The interval is Clopper and Pearson's, to five digits."""
    exact = rate(hangs, trials)
    assert (exact.hangs, exact.trials) == (hangs, trials)
    assert (exact.low95, exact.high95) == pytest.approx((low, high), rel=1e-4)


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_each_bound_leaves_one_tail(case: tuple[int, int]) -> None:
    """At either bound what was seen, or more of it, has a chance of 2.5 %: the definition of the exact interval."""
    hangs, trials = case
    exact = rate(hangs, trials)
    assert 0.0 <= exact.low95 <= hangs / trials <= exact.high95 <= 1.0
    if hangs:
        assert binom.sf(hangs - 1, trials, exact.low95) == pytest.approx(0.025, rel=1e-4)
    if hangs < trials:
        assert binom.cdf(hangs, trials, exact.high95) == pytest.approx(0.025, rel=1e-4)


@pytest.mark.parametrize("truth", [0.002, 0.03, 0.3])
def test_the_interval_covers(truth: float) -> None:
    """In seeded simulations the interval misses the true rate in at most 5 % of the runs, and is not without limit."""
    random, runs, trials = Dice(1, "coverage").throw(1), 1000, 200
    misses = 0
    for _ in range(runs):
        exact = rate(sum(random.random() < truth for _ in range(trials)), trials)
        misses += not exact.low95 <= truth <= exact.high95
        assert exact.high95 - exact.low95 < 0.15
    assert misses <= runs * 0.05 + 3 * math.sqrt(runs * 0.05 * 0.95)


@pytest.mark.parametrize(("trials", "excluded"), [(0, 1.0), (1, 0.95), (59, 0.0495), (300, 0.0099362)])
def test_what_no_hang_excludes(trials: int, excluded: float) -> None:
    """A run of n builds without a hang excludes the rate at which such luck has a chance of 5 %."""
    assert excluded_rate(trials) == pytest.approx(excluded, rel=1e-3)


@given(st.integers(1, 10**9))
def test_the_rule_of_three(trials: int) -> None:
    """What is excluded is below 3/n, comes near it as n grows, and is exact also where n is large."""
    excluded = excluded_rate(trials)
    assert excluded < 3 / trials
    assert trials * math.log1p(-excluded) == pytest.approx(math.log(0.05), rel=1e-9)
    if trials >= 1000:
        assert excluded > 2.99 / trials


@pytest.mark.parametrize(
    ("values", "share", "value"),
    [
        ([], 0.5, None),
        ([7.0], 0.0, 7.0),
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([4.0, 1.0, 3.0, 2.0], 0.5, 2.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 101)], 1.0, 100.0),
    ],
    ids=["none", "one", "odd", "even", "p99", "max"],
)
def test_quantiles(values: list[float], share: float, value: float | None) -> None:
    """A quantile is a value that was seen, by nearest rank, whatever the order."""
    assert quantile(values, share) == value


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=50), st.floats(0, 1))
def test_a_quantile_has_its_share_below(values: list[float], share: float) -> None:
    """At least its share of the values is not above a quantile, and less than its share is below it."""
    found = quantile(values, share)
    assert found is not None
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) <= share * len(values)
