"""Rates: exact values, and that the interval covers what it says it covers."""

import math
from functools import cache
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, linregress, nbinom, t

from harness.analysis.rates import (
    confidence_that_excludes,
    excluded_rate,
    fewest,
    growth,
    more_needed,
    quantile,
    rate,
    without_greatest_rise,
)
from harness.core.rng import Dice

Points = list[tuple[float, float]]


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


@pytest.mark.parametrize("trials", [10, 200, 5000])
@pytest.mark.parametrize("expected", [0.05, 0.5, 2.0, 5.0])
def test_the_interval_covers(expected: float, trials: int) -> None:
    """In seeded simulations the interval holds the true rate in at least 94.5 % of the runs, and has its limits."""
    truth, runs = expected / trials, 5000
    hangs = binom.rvs(trials, truth, size=runs, random_state=Dice(1, f"coverage {truth}").throw(1).getrandbits(32))
    exact = {count: rate(count, trials) for count in map(int, set(hangs))}
    misses = sum(not exact[int(count)].low95 <= truth <= exact[int(count)].high95 for count in hangs)
    assert misses <= runs * 0.055
    assert exact[min(exact)].high95 < 10 * expected / trials + 5 / trials


@pytest.mark.parametrize("truth", [0.3, 0.05, 0.002])
@pytest.mark.parametrize("expected", [0.1, 0.5, 2.0, None], ids=str)
@pytest.mark.parametrize("daemons", [1, 3, 10])
def test_the_interval_covers_where_daemons_stop_at_their_first_hang(
    daemons: int, expected: float | None, truth: float
) -> None:
    """The interval holds the true rate in at least 94.5 % of the simulations too where each daemon counts its trials up
    to its first hang or to a limit, in which so many hangs are expected, or without any limit.
    """
    random, runs = Dice(1, f"stopping {daemons} {expected} {truth}").throw(1), 2000
    limit = math.inf if expected is None else max(1, round(expected / truth))
    exact = cache(rate)
    misses = 0
    for _ in range(runs):
        until_hang = [math.floor(math.log(1 - random.random()) / math.log1p(-truth)) + 1 for _ in range(daemons)]
        trials = sum(int(min(count, limit)) for count in until_hang)
        found = exact(sum(count <= limit for count in until_hang), trials)
        misses += not found.low95 <= truth <= found.high95
    assert misses <= runs * 0.055


@pytest.mark.parametrize("truth", [0.5, 0.1, 0.02])
@pytest.mark.parametrize("lines", [2, 8])
def test_the_interval_covers_where_builds_in_flight_are_stuck_with_the_first(lines: int, truth: float) -> None:
    """Where all lines begin a build at once, and one that hangs stops the others too, the interval still holds the true
    rate.
    """
    assert share_of_misses(lines, truth, unsettled=lines - 1) <= 0.055


def test_an_interval_blind_for_builds_in_flight_would_miss() -> None:
    """That of the trials alone, as if the others had not been there, seldom holds it where hangs are frequent."""
    assert share_of_misses(8, 0.5, unsettled=0) > 0.5


@pytest.mark.parametrize("truth", [0.5, 0.1, 0.02])
def test_the_interval_covers_where_builds_in_flight_come_through(truth: float) -> None:
    """Where what is in flight as a daemon hangs was not about to hang, whatever is said of it, the interval holds."""
    assert share_of_misses(1, truth, unsettled=7) <= 0.055


def share_of_misses(lines: int, truth: float, *, unsettled: int) -> float:
    """Return how often the interval of ten daemons misses the true rate."""
    random, runs, daemons = Dice(1, f"stuck {lines} {truth}").throw(1), 1000, 10
    exact, misses = cache(rate), 0
    for _ in range(runs):
        until_hang = [math.floor(math.log(1 - random.random()) / math.log1p(-truth)) + 1 for _ in range(daemons)]
        trials = sum((until - 1) // lines * lines + 1 for until in until_hang)
        found = exact(daemons, trials, daemons * unsettled)
        misses += not found.low95 <= truth <= found.high95
    return misses / runs


@pytest.mark.parametrize("hangs", [1, 2, 7])
@pytest.mark.parametrize("trials", [10, 231])
def test_stopping_at_hangs_errs_to_the_safe_side(trials: int, hangs: int) -> None:
    """Where the last trial is always a hang, the lower limit is the negative binomial's, exactly, and the upper one
    is above it.
    """
    exact = rate(hangs, trials)
    assert nbinom.cdf(trials - hangs, hangs, exact.low95) == pytest.approx(0.025, rel=1e-4)
    assert nbinom.sf(trials - hangs - 1, hangs, exact.high95) < 0.025


def test_a_rate_as_it_is_read() -> None:
    """A rate names its trials; its interval knows of those that were never settled."""
    assert str(rate(1, 1200)) == "1 in 1,200 builds that could have hung"
    assert str(rate(1, 2, unsettled=3)) == "1 in 2 builds that could have hung"
    assert rate(1, 2, unsettled=3).interval == "from one in 198 to one in 1.0"


@pytest.mark.parametrize(("trials", "excluded"), [(0, 1.0), (1, 0.95), (59, 0.0495), (300, 0.0099362)])
def test_what_no_hang_excludes(trials: int, excluded: float) -> None:
    """A run of n builds without a hang excludes the rate at which such luck has a chance of 5 %."""
    assert excluded_rate(trials) == pytest.approx(excluded, rel=1e-3)


@pytest.mark.parametrize("truth", [0.3, 0.01, 0.001])
def test_what_is_excluded_is_wrong_in_one_of_twenty(truth: float) -> None:
    """A daemon with the very rate that so many clean trials exclude gives so many in 5 % of the simulations."""
    random, runs = Dice(1, f"excluded {truth}").throw(1), 5000
    trials = more_needed(0, truth, 0.95)
    clean = sum(math.log(1 - random.random()) / math.log1p(-truth) >= trials for _ in range(runs))
    assert clean / runs <= 0.055
    assert (1 - truth) ** (trials - 1) > 0.05 >= (1 - truth) ** trials
    assert excluded_rate(trials) <= truth < excluded_rate(trials - 1)


@pytest.mark.parametrize(
    ("trials", "confidence", "more"),
    [(0, 0.95, 48353), (418, 0.95, 47935), (418, 0.99, 73912), (48353, 0.95, 0), (48352, 0.95, 1), (10**6, 0.99, 0)],
)
def test_how_many_more(trials: int, confidence: float, more: int) -> None:
    """So many more clean trials exclude the report's 1 in 16141: no fewer would."""
    needed = more_needed(trials, 1 / 16141, confidence)
    assert needed == more
    assert confidence_that_excludes(trials + needed, 1 / 16141) >= confidence
    if needed:
        assert confidence_that_excludes(trials + needed - 1, 1 / 16141) < confidence


@given(st.integers(1, 10**9))
def test_the_rule_of_three(trials: int) -> None:
    """What is excluded is below 3/n, comes near it as n grows, and is exact also where n is large."""
    excluded = excluded_rate(trials)
    assert excluded < 3 / trials
    assert trials * math.log1p(-excluded) == pytest.approx(math.log(0.05), rel=1e-9)
    if trials >= 1000:
        assert excluded > 2.99 / trials


def audited(random: Random, *, slope: float, noise: float, count: int, every: int = 10, level: float = 60) -> Points:
    """Return counts of something that grows with every step, seen now and then."""
    return [(n * every, round(level + slope * n * every + random.gauss(0, noise))) for n in range(count)]


@pytest.mark.parametrize("noise", [1.0, 10.0])
@pytest.mark.parametrize("truth", [0.0, 0.85])
@pytest.mark.parametrize("shape", [(6,), (15,), (40,), (3, 4, 5, 6), (2,) * 8], ids=str)
def test_growth_covers(shape: tuple[int, ...], truth: float, noise: float) -> None:
    """In seeded simulations of one daemon or several the interval misses the true growth in at most 5 % of the runs."""
    random, runs = Dice(1, f"growth {shape}").throw(1), 1000
    misses = 0
    for _ in range(runs):
        levels = [random.uniform(50, 200) for _ in shape]
        grown = growth(
            audited(random, slope=truth, noise=noise, count=count, level=level)
            for count, level in zip(shape, levels, strict=True)
        )
        assert grown is not None
        misses += not grown.low95 <= truth <= grown.high95
    assert misses <= runs * 0.05 + 3 * math.sqrt(runs * 0.05 * 0.95)


def test_growth_is_least_squares() -> None:
    """For one series whose residuals do not resemble their neighbours, it is SciPy's line with its t-interval."""
    points = [(1.0, 3.0), (2.0, 1.0), (3.0, 4.0), (4.0, 2.5), (5.0, 6.0), (6.0, 3.0), (7.0, 7.5)]
    line = linregress([x for x, _ in points], [y for _, y in points])
    half = t.ppf(0.975, len(points) - 2) * line.stderr
    grown = growth([points])
    assert grown is not None
    assert (grown.slope, grown.high95 - grown.low95) == pytest.approx((line.slope, 2 * half))


def test_growth_within_series() -> None:
    """What lies between two daemons, a restart of the count, is no growth; each point alone says nothing."""
    grown = growth([[(n, 100 - 20 * daemon + n) for n in range(daemon * 5, daemon * 5 + 5)] for daemon in range(4)])
    assert grown is not None
    assert (grown.slope, grown.low95, grown.high95) == pytest.approx((1, 1, 1))
    assert growth([[(n, n)] for n in range(50)]) is None


@pytest.mark.parametrize(
    "series", [[], [[]], [[(0, 1)]], [[(n, n) for n in range(5)]], [[(1, n) for n in range(9)]]], ids=str
)
def test_too_short_to_grow(series: list[Points]) -> None:
    """Too few points, or points at one place, have no slope."""
    assert growth(series) is None


def test_a_level_count_does_not_grow() -> None:
    """A count that never changes has a growth of nothing, exactly."""
    grown = growth([[(n, 5) for n in range(6)]])
    assert grown is not None
    assert (grown.slope, grown.low95, grown.high95) == (0, 0, 0)


@pytest.mark.parametrize("count", [12, 15, 40])
def test_a_step_widens_the_interval(count: int) -> None:
    """What steps up once, early on, and what levels off, is no growth that the interval excludes nothing of."""
    random = Dice(1, "steps").throw(count)
    for _ in range(200):
        noise = audited(random, slope=0, noise=1, count=count)
        for shape in ([40 * (n >= count // 4) for n in range(count)], [40 * (1 - 0.6**n) for n in range(count)]):
            grown = growth([[(x, y + up) for (x, y), up in zip(noise, shape, strict=True)]])
            assert grown is not None
            assert grown.low95 < 0.05


def test_the_greatest_rise_is_taken_out() -> None:
    """A series that stepped up once is level without that step; one that only falls stays what it is."""
    assert without_greatest_rise([(0, 1), (1, 1), (2, 9), (3, 9), (4, 8)]) == [(0, 1), (1, 1), (2, 1), (3, 1), (4, 0)]
    assert without_greatest_rise([(0, 3), (1, 2), (2, 1)]) == [(0, 3), (1, 2), (2, 1)]
    assert without_greatest_rise([(0, 3)]) == [(0, 3)]
    assert without_greatest_rise([]) == []


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


@pytest.mark.parametrize("least", [1, 2, 3, 4, 5, 8, 9, 1000])
def test_fewest_is_the_least_that_is_enough(least: int) -> None:
    """The search by doubling and halving ends at the first number, one among them."""
    assert fewest(lambda number: number >= least) == least
