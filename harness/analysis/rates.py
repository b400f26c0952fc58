"""Exact rates, what a run without a hang excludes, and the growth of a count."""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from harness.core.records import Rate


def rate(hangs: int, trials: int, unsettled: int = 0) -> Rate:
    """Return the exact interval for `hangs` in `trials`; (0, 1) for no trial at all.

    Of what is unsettled nobody knows whether it hung: the lower limit is that of none, the upper limit that of all.

    It is exact where the number of trials is fixed. That of a run is not: each daemon ends at its first hang. Trials up
    to there are alike, and for such stopping the lower limit is still exact and the upper one errs to the safe side, by
    one trial (of the negative binomial: `Beta(hangs, trials - hangs)` at 97.5 %); the tests hold it to what it says.
    """
    low = beta_quantile(hangs, trials + unsettled - hangs + 1, 0.025) if hangs else 0.0
    high = beta_quantile(hangs + unsettled + 1, trials - hangs, 0.975) if hangs < trials else 1.0
    return Rate(hangs, trials, low, high, unsettled)


def beta_quantile(a: float, b: float, share: float) -> float:
    """Return the quantile of Beta(a, b); that of a run without a hang, or with nothing else, needs no SciPy."""
    if a == 1:
        return -math.expm1(math.log1p(-share) / b)
    if b == 1:
        return math.exp(math.log(share) / a)
    from scipy.special import betaincinv  # noqa: PLC0415 — SciPy takes 0.3 s to load: only what needs it waits for it

    return float(betaincinv(a, b, share))


def poisson_upper(count: float) -> float:
    """Return the upper limit, at 97.5 %, of what a count is expected to be."""
    from scipy.special import gammaincinv  # noqa: PLC0415 — as above

    return float(gammaincinv(count + 1, 0.975))


def excluded_rate(trials: int, doubt: float = 0.05, unsettled: int = 0) -> float:
    """Return the hang rate that `trials` without a hang exclude, one-sided: 1 - doubt ** (1/n); at 95 % about 3/n.

    Beside what is unsettled, a rate is excluded that would have had one of the trials hang too.
    """
    return 1.0 if trials == 0 else beta_quantile(unsettled + 1, trials, 1 - doubt)


def fewest(enough: Callable[[int], bool]) -> int:
    """Return the least number from 1 on that is enough; each that is greater has to be so too."""
    high = 1
    while not enough(high):
        high *= 2
    return bisect_left(range(high), True, lo=high // 2 + 1, key=enough)


def confidence_that_excludes(trials: int, against: float) -> float:
    """Return the confidence with which `trials` without a hang exclude a rate of `against`: 1 - (1 - rate) ** n."""
    return -math.expm1(trials * math.log1p(-against))


def more_needed(trials: int, against: float, confidence: float) -> int:
    """Return how many more trials without a hang exclude a rate of `against`: ln(1 - confidence) / ln(1 - rate) in all.

    Args:
        trials: without a hang, so far.
        against: above 0, below 1.
        confidence: above 0, below 1.
    """
    return max(0, math.ceil(math.log1p(-confidence) / math.log1p(-against)) - trials)


@dataclass(frozen=True)
class Growth:
    """By how much a count grows with each step, with its two-sided 95 % interval."""

    slope: float
    low95: float
    high95: float


_LEAST_FREEDOM: Final = 4
"""Fewer degrees of freedom, as of five points, cannot tell a line from a curve that flattens."""
_MOST_ALIKE: Final = 0.98


def growth(series: Iterable[Sequence[tuple[float, float]]], *, cautious: bool = False) -> Growth | None:
    """Return the slope that several series of (x, y) have in common, each about a level of its own; None if too short.

    Least squares within the series. A count that steps up once and stays, or wanders, is no growth, and yet fits a line
    better than chance would; it gives itself away by residuals that resemble their neighbours. So the points count for
    as many as are independent, n (1 - r) / (1 + r) by the residuals' lag-1 correlation r, both in the standard error
    and in the degrees of freedom (Santer et al. 2000, doi:10.1029/1999JD901105). Of few points r comes out too small,
    by (2 + 4 r) / n about a line (Marriott and Pope 1954); that is put right where r is beyond chance, for who asks
    to be `cautious`.
    """
    centred = [_centred(points) for points in series if len(points) > 1]
    flat = [point for points in centred for point in points]
    xx = sum(x * x for x, _ in flat)
    lost = len(centred) + 1  # a level each, and the slope
    if len(flat) - lost < _LEAST_FREEDOM or not xx:
        return None
    slope = sum(x * y for x, y in flat) / xx
    residuals = [[y - slope * x for x, y in points] for points in centred]
    squares = sum(e * e for left in residuals for e in left)
    alike = sum(a * b for left in residuals for a, b in pairwise(left)) / squares if squares else 0.0
    put_right = (len(flat) * alike + 2) / (len(flat) - 4)
    if cautious and put_right > 1 / math.sqrt(len(flat)):
        alike = min(put_right, _MOST_ALIKE)
    independent = len(flat) * (1 - max(alike, 0.0)) / (1 + max(alike, 0.0))
    freedom = max(independent - lost, 1.0)
    from scipy.special import stdtrit  # noqa: PLC0415 — as above: only a run with audits waits for it

    half = float(stdtrit(freedom, 0.975)) * math.sqrt(squares / freedom / xx)
    return Growth(slope, slope - half, slope + half)


def without_greatest_rise(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points with what comes after the greatest rise lowered by it: what steps up once is level then."""
    rises = [after - before for (_, before), (_, after) in pairwise(points)]
    greatest = max(rises, default=0.0)
    step = rises.index(greatest) if greatest > 0 else len(points)
    return [(x, y - greatest * (index > step)) for index, (x, y) in enumerate(points)]


def _centred(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    return [(x - mean_x, y - mean_y) for x, y in points]


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank quantile of `values` (any order), or None where there are none."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
