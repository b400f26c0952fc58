"""Two groups of looks held against each other: hang rates, their ratio, and whether they differ; no I/O."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv, gammaln

from harness.analysis.exposure import Exposure
from harness.analysis.rates import excluded_rate, fewest, more_needed, rate
from harness.analysis.strata import conditional_p, log_rank_p, ratio_interval, strata_of
from harness.core.records import Rate
from harness.core.wording import Wording

ALPHA: Final = 0.05
"""A false difference is said in at most so many comparisons."""
HALFWAY_ALPHA: Final = 0.029
"""What is spent on the one test before the end: four looks a side of which just one side's hang come in 2 of 70."""
FINAL_ALPHA: Final = ALPHA - HALFWAY_ALPHA
"""By Bonferroni's bound the two tests together raise a false difference in at most 5 %."""
_MOST_COUNTED: Final = 20_000
"""Up to so many ways to deal looks to two sides, all are gone through; beyond, `_DEALT` are drawn."""
_DEALT: Final = 9_999
_FEW: Final = 10
"""Looks a side beyond which any two can be told apart at the levels that are spent."""
_LIKELY: Final = 2_000
"""Steps of a distribution that is gone through: of what 5 % rest on, a thousandth is off by less than a hundredth."""
_NEVER_SILENT: Final = 1 - 1e-12
_HALVINGS: Final = 60
_QUANTILE: Final = 1.96
_WITH_POWER: Final = 1.96 + 0.84
"""A difference that is there is then found in four of five comparisons."""


Said = Literal["different", "no difference", "not enough"]


@dataclass(frozen=True)
class Ratio:
    """B's hang rate by A's, with its two-sided 95 % interval; None where it has no upper end, or no value."""

    value: float | None
    low95: float
    high95: float | None


@dataclass(frozen=True)
class TwoSampleTest:
    """What two groups of looks say of each other."""

    a: Rate
    b: Rate
    ratio: Ratio
    p_rates: float
    """Of the rates, all builds taken as alike: the exact conditional test, whose interval is the ratio's."""
    p_log_rank: float
    """Of the builds to a hang, by dealing the looks to the two sides anew: holds too where daemons are not alike."""
    difference_at_most: float
    """The largest difference of the rates, either way, that 95 % do not exclude."""
    verdict: Said
    worse: Literal["a", "b"] | None
    """The side with the higher rate, where the sides differ."""
    because: str
    hosts: int
    """How many hosts were held apart; 1 where all looks are taken as of one."""
    more: int | None
    """About how many more builds a side would be enough, at the rates so far; None where it is enough, or unknown."""


def contrast(
    a: Sequence[Exposure],
    b: Sequence[Exposure],
    *,
    alpha: float = 0.05,
    factor: float = 3.0,
    margin: float | None = None,
    words: Wording | None = None,
) -> TwoSampleTest:
    """Hold two groups of looks against each other.

    They are ``different`` where two tests say so at `alpha`: the exact conditional one of the rates (given all hangs,
    those of B are binomial by B's share of all builds), and the log-rank test by permutation of the looks. The first
    is of the builds, the second keeps its level where daemons are not alike: where one in two hangs at once, and the
    others never, three looks a side are dealt so that all that hang are on one in one of ten, so nothing can be said of
    fewer than four (`can_differ`). A look ends at its first hang; for such stopping the conditional test errs to the
    safe side, as `rates.rate` does.

    Else there is ``no difference`` larger than `factor` if the ratio's 95 % interval says so, or than `margin` a build
    if that is given, and 95 % say so; without one hang on either side, than the rate that so many builds exclude.

    Looks of several hosts are held against each other within each host (`strata_of`), in both tests and the ratio.

    Args:
        a, b: the looks; one that broke is censored where it did.
        alpha: what the test for a difference may spend, of 0.05 in all.
        factor: above 1.
        margin: a difference in hangs a build that does not matter.
        words: how what is looked for is named, where it is no hang.
    """
    words = words or Wording.of(())
    rates = rate_of(a), rate_of(b)
    strata = strata_of(a, b, alpha)
    if len(strata) > 1:
        ratio, p_rates, p_log_rank = Ratio(*ratio_interval(strata)), conditional_p(strata), log_rank_p(strata)
    else:
        ratio, p_rates, p_log_rank = ratio_of(*rates), _conditional_p(*rates), _log_rank(a, b)
    at_most = _difference_at_most(*rates)
    verdict: Said = "not enough"
    worse: Literal["a", "b"] | None = None
    more: int | None = None
    if p_rates <= alpha and p_log_rank <= alpha:
        higher = (
            (ratio.value or math.inf) > 1 if len(strata) > 1 and (ratio.value or rates[1].hangs) else _higher(*rates)
        )
        verdict, worse = "different", "b" if higher else "a"
        seen = f"{_rate_text(rates[0])} on A, {_rate_text(rates[1])} on B{format_ratio(ratio)}"
        because = f"{worse.upper()} {words.third} more: {seen}"
    elif not all(each.trials for each in rates):
        silent = " and ".join(name for name, each in zip("AB", rates, strict=True) if not each.trials)
        because = f"no build on {silent} came to the end of its export"
    elif margin is not None and at_most <= margin:
        verdict, because = "no difference", f"no difference larger than {at_most:.2g} per build, at 95 %"
    elif not any(each.hangs for each in rates) and margin is None:
        verdict = "no difference"
        because = f"no {words.noun} on either side, and no difference larger than {at_most:.2g} per build, at 95 %"
    elif (bound := _largest_factor(ratio)) is not None and bound <= factor:
        verdict, because = "no difference", f"no difference larger than a factor of {bound:.2g}, at 95 %"
    else:
        more = _more(*rates, factor, margin)
        because = f"{_rate_text(rates[0])} on A, {_rate_text(rates[1])} on B{format_ratio(ratio)}: not enough yet"
        if p_rates <= alpha and not can_differ(len(a), len(b), alpha):
            missing = next(each for each in range(1, _FEW) if can_differ(each, each, alpha))
            because += f", for where daemons are not alike it takes {missing} looks a side to tell them apart"
            more = max(1, math.ceil((missing - min(len(a), len(b))) * max(each.trials / len(a) for each in rates)))
    return TwoSampleTest(*rates, ratio, p_rates, p_log_rank, at_most, verdict, worse, because, len(strata), more)


def can_differ(a: int, b: int, alpha: float) -> bool:
    """Return whether so many looks could be dealt so unequally that chance does so in at most `alpha`, either way."""
    return math.comb(a + b, a) * alpha >= 2


def rate_of(looks: Sequence[Exposure]) -> Rate:
    """Return the hang rate of a group of looks, per build."""
    return rate(sum(look.hung for look in looks), sum(look.builds for look in looks))


def chance_of_silence(hangs: int, trials: int, clean: int, ratio: float = 1.0) -> float:
    """Return how likely so many trials without a hang are on a daemon that is as bad as one with `hangs` in `trials`.

    Integrated over what is known of its rate: Beta(hangs, trials - hangs + 1), the posterior of a rate whose prior is
    flat in its logarithm. Where trials went on until so many hangs had come, the chance that a daemon as bad is silent
    for as long as it takes to bring this down to 5 % is 5 %, whatever the rate: its frequency is what it says.

    Args:
        hangs: at least 1.
        trials: at least as many.
        clean: without a hang, on the other daemon.
        ratio: of the other daemon's rate to the one's; 1 is as bad.
    """
    a, b = hangs, trials - hangs + 1
    if ratio == 1:
        return math.exp(float(gammaln(b + clean) - gammaln(a + b + clean) + gammaln(a + b) - gammaln(b)))
    return float(np.mean(np.exp(clean * np.log1p(-np.minimum(ratio * _may_be(a, b), _NEVER_SILENT)))))


@lru_cache(maxsize=4096)
def clean_needed(hangs: int, trials: int, confidence: float, ratio: float = 1.0) -> int:
    """Return how many trials without a hang make `chance_of_silence` at most 1 - `confidence`."""
    return fewest(lambda clean: chance_of_silence(hangs, trials, clean, ratio) <= 1 - confidence)


def ratio_excluded(hangs: int, trials: int, clean: int, confidence: float) -> float:
    """Return how many times as bad as the one the other daemon is at most, at `confidence`; infinite without a trial.

    Its rate is at most 1, so a ratio at which it would be sure to hang is excluded by a single trial.
    """
    if not clean:
        return math.inf
    low, high = -30.0, math.log(trials / hangs) + 30.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        is_excluded = chance_of_silence(hangs, trials, clean, math.exp(middle)) <= 1 - confidence
        low, high = (low, middle) if is_excluded else (middle, high)
    return math.exp(high)


@lru_cache(maxsize=64)
def _may_be(a: int, b: int) -> NDArray[Any]:
    """Return what a rate known as Beta(a, b) may be, in equally likely steps."""
    return np.asarray(betaincinv(a, b, (np.arange(_LIKELY) + 0.5) / _LIKELY))


def ratio_of(a: Rate, b: Rate) -> Ratio:
    """Return the ratio with the interval that the conditional test inverts to: Clopper and Pearson's of B's share."""
    hangs = a.hangs + b.hangs
    if not hangs or not a.trials or not b.trials:
        return Ratio(None, 0.0, None)
    share = rate(b.hangs, hangs)
    scale = a.trials / b.trials
    value = scale * b.hangs / a.hangs if a.hangs else None
    high = scale * share.high95 / (1 - share.high95) if a.hangs else None
    return Ratio(value, scale * share.low95 / (1 - share.low95), high)


def _conditional_p(a: Rate, b: Rate) -> float:
    """Return twice the smaller tail of B's hangs among all of them, each of which is B's by B's share of the trials."""
    hangs = a.hangs + b.hangs
    if not hangs or not a.trials or not b.trials:
        return 1.0
    share = b.trials / (a.trials + b.trials)
    at_least = float(betainc(b.hangs, a.hangs + 1, share)) if b.hangs else 1.0
    at_most = float(betainc(a.hangs, b.hangs + 1, 1 - share)) if a.hangs else 1.0
    return min(1.0, 2 * min(at_least, at_most))


def _log_rank(a: Sequence[Exposure], b: Sequence[Exposure]) -> float:
    """Return the log-rank test's two-sided p-value by permutation.

    Its statistic is the sum, over the looks of A, of hangs seen less hangs due (Nelson and Aalen's, of both sides).
    """
    looks = [*a, *b]
    if not a or not b or not any(look.hung for look in looks):
        return 1.0
    builds = np.array([look.builds for look in looks])
    hung = np.array([look.hung for look in looks])
    times = np.unique(builds[hung])
    due = [np.sum(builds[hung] == time) / np.sum(builds >= time) for time in times]
    scores = hung - np.array([sum(due[: np.searchsorted(times, time, "right")]) for time in builds])
    seen = abs(scores[: len(a)].sum()) - 1e-9  # the same sum, added up in another order
    dealt = np.abs(_dealings(len(looks), len(a)) @ scores)
    as_unequal = int(np.sum(dealt >= seen))
    if len(dealt) < _DEALT or math.comb(len(looks), len(a)) <= _MOST_COUNTED:
        return as_unequal / len(dealt)
    return (as_unequal + 1) / (len(dealt) + 1)


@lru_cache(maxsize=8)
def _dealings(looks: int, of_a: int) -> NDArray[Any]:
    """Return the ways to deal looks to two sides, a row each, 1 where a look is A's: all of them, or some thousand."""
    if math.comb(looks, of_a) <= _MOST_COUNTED:
        rows = [*combinations(range(looks), of_a)]
        dealt = np.zeros((len(rows), looks))
        np.put_along_axis(dealt, np.array(rows), 1.0, axis=1)
        return dealt
    one = np.zeros((_DEALT, looks))
    one[:, :of_a] = 1.0
    return np.random.default_rng(0).permuted(one, axis=1)


def _difference_at_most(a: Rate, b: Rate) -> float:
    """Return the bound of the rates' difference: of two exact limits, 97.5 % each; without a hang, of one.

    Without a hang on either side the difference is too large only if one rate is, and that side was silent all the
    same: so the one-sided limit at 95 %, 3/n, of the side with fewer trials is enough.
    """
    if not a.hangs and not b.hangs:
        return max(excluded_rate(side.trials, unsettled=side.unsettled) for side in (a, b))
    return max(a.high95 - b.low95, b.high95 - a.low95)


def _higher(a: Rate, b: Rate) -> bool:
    """Whether B's rate is the higher one."""
    return b.hangs * a.trials > a.hangs * b.trials


def _largest_factor(ratio: Ratio) -> float | None:
    """Return the factor beyond which the interval excludes the ratio, either way."""
    return max(1 / ratio.low95, ratio.high95) if ratio.low95 and ratio.high95 else None


def _more(a: Rate, b: Rate, factor: float, margin: float | None) -> int:
    """Return about how many more builds a side, at the rates so far, decide it one way or the other.

    Where only one side has hung, and goes on alone, each hang of its makes the conditional test's tail smaller by its
    share of the trials. Else by the usual approximation: the variance of the ratio's logarithm, 1/hangs + 1/hangs,
    falls with the trials.
    """
    mean = (a.trials + b.trials) / 2
    if not a.hangs and not b.hangs and margin is not None:
        return max(1, more_needed(min(a.trials, b.trials), margin, 0.95))
    if a.hangs and b.hangs:
        apart = abs(math.log(b.hangs / b.trials) - math.log(a.hangs / a.trials))
        wanted = max(apart / _WITH_POWER, (math.log(factor) - apart) / _QUANTILE)
        times = (1 / a.hangs + 1 / b.hangs) / wanted**2
    else:
        share = max(a, b, key=lambda side: side.hangs).trials / (a.trials + b.trials)
        times = math.ceil(math.log(FINAL_ALPHA / 2) / math.log(share)) / max(a.hangs, b.hangs)
    return max(math.ceil((times - 1) * mean), math.ceil(mean / 10))


def _rate_text(one: Rate) -> str:
    return f"{one.hangs} in {one.trials} builds"


def format_ratio(ratio: Ratio) -> str:
    """Return the ratio to a person, B's rate by A's."""
    if ratio.high95 is None:
        return f", B's rate at least {ratio.low95:.2g} times A's" if ratio.low95 else ""
    if not ratio.value:
        return f", B's rate at most {ratio.high95:.2g} times A's"
    return f", B's rate {ratio.value:.2g} times A's (95 %: {ratio.low95:.2g} to {ratio.high95:.2g})"
