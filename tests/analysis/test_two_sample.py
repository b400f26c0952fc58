"""Two groups of looks held against each other: known values, and by simulation that false differences stay rare."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import CensoredData, beta, binomtest, logrank

from harness.analysis.exposure import Exposure
from harness.analysis.two_sample import (
    FINAL_ALPHA,
    HALFWAY_ALPHA,
    TwoSampleTest,
    chance_of_silence,
    clean_needed,
    contrast,
    ratio_excluded,
)

CLEAN = Exposure(200, hung=False)
ALIKE = None


def group(chance: np.random.Generator, rate: float, looks: int, most: int, shape: float | None) -> list[Exposure]:
    """Return looks of at most so many builds; where daemons are not alike, each has a rate of its own."""
    rates = np.full(looks, rate) if shape is ALIKE else np.minimum(0.99, rate * shape / chance.gamma(shape, size=looks))
    trials = chance.geometric(rates) if rate else np.full(looks, most + 1)
    return [Exposure(int(min(each, most)), bool(each <= most)) for each in trials]


def compared(a: Sequence[Exposure], b: Sequence[Exposure]) -> TwoSampleTest:
    """Return what a whole comparison comes to: tested once halfway, and once in the end."""
    halfway = contrast(a[: len(a) // 2], b[: len(b) // 2], alpha=HALFWAY_ALPHA)
    return halfway if halfway.verdict == "different" else contrast(a, b, alpha=FINAL_ALPHA)


def simulated(
    seed: int, rates: tuple[float, float], *, pairs: int, most: int, shape: float | None
) -> list[TwoSampleTest]:
    """Return what many comparisons come to."""
    chance = np.random.default_rng(seed)
    return [
        compared(group(chance, rates[0], pairs, most, shape), group(chance, rates[1], pairs, most, shape))
        for _ in range(400)
    ]


@pytest.mark.parametrize("rate", [0.3, 0.03, 0.003, 0.0])
@pytest.mark.parametrize(("pairs", "shape"), [(6, ALIKE), (6, 2.0), (3, ALIKE)])
def test_a_build_against_itself_is_rarely_different(rate: float, pairs: int, shape: float | None) -> None:
    """A daemon against itself is called different in at most 5 %, at any rate, also where daemons are not alike."""
    found = simulated(11, (rate, rate), pairs=pairs, most=200, shape=shape)
    assert sum(each.verdict == "different" for each in found) / len(found) <= 0.05
    if rate == 0.0:
        assert {each.verdict for each in found} == {"no difference"}


def test_why_there_are_two_tests() -> None:
    """Where daemons are not alike, the rates' test alone raises more false differences than it says."""
    found = simulated(12, (0.03, 0.03), pairs=8, most=200, shape=2.0)
    assert sum(each.p_rates <= FINAL_ALPHA for each in found) / len(found) > 0.06


@pytest.mark.parametrize(("rates", "least"), [((0.3, 0.003), 0.99), ((0.03, 0.0), 0.99), ((0.03, 0.003), 0.9)])
def test_a_difference_is_found(rates: tuple[float, float], least: float) -> None:
    """What differs tenfold and more is found in eight pairs, and the side that hangs more is named."""
    found = Counter((each.verdict, each.worse) for each in simulated(13, rates, pairs=8, most=200, shape=ALIKE))
    assert found["different", "a"] / found.total() >= least
    assert found["different", "b"] == 0


def test_the_interval_of_the_ratio_covers_it() -> None:
    """The ratio's interval misses the true one in at most 5 %, although each look ends at its first hang."""
    found = simulated(14, (0.02, 0.04), pairs=8, most=100, shape=ALIKE)
    missed = [each for each in found if not each.ratio.low95 <= 2.0 <= (each.ratio.high95 or 1e9)]
    assert 0 < len(missed) / len(found) <= 0.05


def test_the_hang_of_the_report_shows_halfway() -> None:
    """Four looks a side are enough where one side hangs at once and the other does not in hundreds of builds."""
    found = contrast([Exposure(trials, hung=True) for trials in (4, 7, 30, 9)], [CLEAN] * 4, alpha=HALFWAY_ALPHA)
    assert (found.verdict, found.worse) == ("different", "a")
    assert found.because == "A hangs more: 4 in 50 builds on A, 0 in 800 builds on B, B's rate at most 0.095 times A's"


@pytest.mark.parametrize("looks", [2, 3])
def test_few_looks_tell_no_difference_of_daemons_that_are_not_alike(looks: int) -> None:
    """Where one in two daemons hangs at once, two or three looks a side come out as unequal as can be by chance."""
    found = contrast([Exposure(1, hung=True)] * looks, [CLEAN] * looks)
    assert found.verdict == "not enough"
    assert "it takes 4 looks a side to tell them apart" in found.because
    assert found.more is not None
    assert found.more >= 200 * (4 - looks)


def test_the_conditional_test_is_the_binomial_one() -> None:
    """The rates' p-value is twice the smaller tail of the binomial test of B's hangs among all."""
    a, b = [Exposure(10, hung=True)] * 5, [Exposure(30, hung=True)] * 3
    tails = [binomtest(3, 8, 90 / 140, alternative=side).pvalue for side in ("less", "greater")]
    assert contrast(a, b).p_rates == pytest.approx(2 * min(tails))


def test_the_log_rank_test_is_scipys() -> None:
    """The permutation's p-value is near the asymptotic one where looks are many."""
    chance = np.random.default_rng(3)
    for _ in range(5):
        a, b = group(chance, 0.02, 40, 60, ALIKE), group(chance, 0.03, 40, 60, ALIKE)
        theirs = logrank(*(_censored(side) for side in (a, b))).pvalue
        assert contrast(a, b).p_log_rank == pytest.approx(theirs, abs=0.025)


def test_the_log_rank_test_counts_every_dealing() -> None:
    """Of three looks a side, all hung on one and none on the other, two of twenty dealings are as unequal."""
    found = contrast([Exposure(3, hung=True)] * 3, [CLEAN] * 3)
    assert found.p_log_rank == pytest.approx(2 / 20)


def test_no_difference_without_a_hang() -> None:
    """Without a hang, the difference that is excluded is the rate that so many builds exclude on the shorter side."""
    found = contrast([CLEAN] * 5, [CLEAN] * 4)
    assert (found.verdict, found.more) == ("no difference", None)
    assert found.because == "no hang on either side, and no difference larger than 0.0037 per build, at 95 %"
    assert found.difference_at_most == pytest.approx(1 - 0.05 ** (1 / 800))


def test_a_margin_asks_for_more() -> None:
    """With a margin, builds without a hang are enough only once they exclude it, and how many more is told exactly."""
    short = contrast([CLEAN] * 5, [CLEAN] * 5, margin=0.001)
    assert short.verdict == "not enough"
    assert short.more is not None
    longer = Exposure(1000 + short.more, hung=False)
    assert contrast([longer], [longer], margin=0.001).verdict == "no difference"
    one_less = Exposure(999 + short.more, hung=False)
    assert contrast([one_less], [one_less], margin=0.001).verdict == "not enough"


def test_no_difference_by_a_factor() -> None:
    """Many hangs on both sides, at one rate, say that no factor above some lies between them."""
    side = [Exposure(10, hung=True), Exposure(20, hung=True)] * 15
    found = contrast(side, side)
    assert (found.verdict, found.because) == ("no difference", "no difference larger than a factor of 1.7, at 95 %")


@pytest.mark.parametrize("side", ["a", "b"])
def test_not_enough_says_how_many_more(side: str) -> None:
    """One hang on one side says nothing yet; seven of them would, in seven times as many builds."""
    one, none = [CLEAN] * 7 + [Exposure(50, hung=True)], [CLEAN] * 8
    found = contrast(one, none) if side == "a" else contrast(none, one)
    assert found.verdict == "not enough"
    assert found.more is not None
    assert found.more == pytest.approx(6 * 1525)


def test_not_enough_of_two_sides_that_hang() -> None:
    """Four hangs against two, in a hundred builds each: a twofold rate asks for twelve times as many, with power."""
    found = contrast([Exposure(50, hung=True)] * 2, [Exposure(25, hung=True)] * 4)
    halves = (math.log(2) / (1.96 + 0.84)) ** 2
    assert found.verdict == "not enough"
    assert found.more == pytest.approx(100 * ((1 / 2 + 1 / 4) / halves - 1), abs=1)


@pytest.mark.parametrize("empty", [[], [Exposure(0, hung=False)]])
def test_a_silent_side_says_nothing(empty: list[Exposure]) -> None:
    """Where no build of a side was a trial there is no difference and no sameness, and no figure is infinite."""
    found = contrast(empty, [Exposure(5, hung=True)])
    assert (found.verdict, found.more) == ("not enough", None)
    assert found.because == "no build on A came to the end of its export"
    assert (found.ratio.value, found.ratio.high95) == (None, None)


@pytest.mark.parametrize("rate", [0.9, 0.3, 0.03, 0.003])
@pytest.mark.parametrize("hangs", [1, 3, 5])
def test_one_as_bad_is_rarely_silent_for_so_long(rate: float, hangs: int) -> None:
    """Who waits for so many hangs, and then for as many clean trials as these ask for, is wrong in at most 5 %."""
    chance = np.random.default_rng(7)
    seen = chance.geometric(rate, (4000, hangs)).sum(axis=1)
    needed = {int(trials): clean_needed(hangs, int(trials), 0.95) for trials in np.unique(seen)}
    wrong = np.array([(1 - rate) ** needed[int(trials)] for trials in seen])
    assert wrong.mean() <= 0.05 + 2 * wrong.std() / np.sqrt(len(wrong))
    assert rate > 0.1 or wrong.mean() > 0.03, "and is not asked for more than that takes"


@pytest.mark.parametrize(("hangs", "trials"), [(1, 1), (1, 900), (5, 40), (5, 5)])
def test_clean_needed_is_the_least(hangs: int, trials: int) -> None:
    """The number of clean trials is enough, and one less is not."""
    needed = clean_needed(hangs, trials, 0.95)
    assert chance_of_silence(hangs, trials, needed) <= 1 - 0.95 < chance_of_silence(hangs, trials, needed - 1)
    assert chance_of_silence(hangs, trials, 0) == pytest.approx(1.0)


@pytest.mark.parametrize("ratio", [0.02, 0.1, 0.5, 0.99, 1.0])
@pytest.mark.parametrize(("hangs", "trials", "clean"), [(1, 40, 60), (5, 40, 200), (2, 3, 4)])
def test_silence_is_what_the_integral_says(hangs: int, trials: int, clean: int, ratio: float) -> None:
    """The chance of so many clean trials, over all rates that the one daemon may have: by quadrature."""
    rates = beta(hangs, trials - hangs + 1)
    exact, _ = quad(lambda one: (1 - ratio * one) ** clean * rates.pdf(one), 0, 1)
    assert chance_of_silence(hangs, trials, clean, ratio) == pytest.approx(exact, rel=0.02, abs=1e-4)


@pytest.mark.parametrize(("hangs", "trials", "clean"), [(1, 1, 1), (1, 40, 60), (5, 40, 200), (3, 900, 90_000)])
def test_the_ratio_that_is_excluded_is_the_least(hangs: int, trials: int, clean: int) -> None:
    """At that ratio the silence is as unlikely as is asked for, and below it is likelier; nothing without a trial."""
    at_most = ratio_excluded(hangs, trials, clean, 0.95)
    assert chance_of_silence(hangs, trials, clean, at_most) == pytest.approx(0.05, rel=0.01)
    assert chance_of_silence(hangs, trials, clean, 0.9 * at_most) > 0.05
    assert ratio_excluded(hangs, trials, 2 * clean, 0.95) < at_most
    assert ratio_excluded(hangs, trials, 0, 0.95) == math.inf


def _censored(side: Sequence[Exposure]) -> CensoredData:
    return CensoredData.right_censored([look.builds for look in side], [not look.hung for look in side])
