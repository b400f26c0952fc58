"""Whether a daemon leaks goroutines, or anything else that is counted, from audits of it alone.

A leak goes on: what it has brought has no bound, comes as fast late as early, and is not given back. Other growth is
bounded. So a leak is told only where the growth is more than what else may have brought it: pools and caches that fill,
a few steps, a cycle of taking and giving back, noise that resembles its neighbours. Where audits kept the ids of
goroutines, it is known which ones stayed (`stayers`); of a count alone that has to be made out from its shape.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from statistics import fmean, median
from typing import Final

from harness.analysis.rates import Growth, growth, poisson_upper
from harness.analysis.stayers import Stayers, stayers
from harness.core.records import Audit, Leak

AUDITS_NEEDED: Final = 8
"""Looks at one daemon that a word on leaks, or on any other growth, takes."""
_MATTERS: Final = 0.05
"""Goroutines an iteration, one in twenty builds; without such a bound no run could ever say that there is no leak."""
_WARM_UP: Final = 5
"""One in so many audits of a daemon, the first ones and at least one, is no part of the slope: caches fill at first."""
_POOLS: Final = 50
"""Goroutines that a daemon may come to hold for good without a leak, however slowly: BuildKit's pools and caches."""
_STEPS: Final = 3
"""So many rises between two audits may be steps that stay, however high."""
_ENDS: Final = 3
"""Audits at each end of a series that its rise is the difference of."""
_LATEST: Final = 6
"""One in so many audits, the latest: what they saw first may be one that soon goes, beside steps that stay."""
_STEADY: Final = 0.5
"""A leak goes on: the later half of a series rises at least so fast, by the whole."""
_MOST_MORE: Final = 10**9
"""Iterations: more than anybody would wait for."""
_QUANTILE: Final = 1.96
_NORMAL: Final = 1.4826
"""A standard deviation of the normal distribution, in its median deviation."""
_NOISE_FALLS: Final = 4
"""Standard deviations by which independent noise falls at most, of some twenty counts."""
_WANDERS_FROM: Final = 2
"""What falls by more than so many may be no independent noise, whose correlation few counts do not show."""


@dataclass(frozen=True)
class _Rise:
    """By how much daemons have risen from the first of their audits to the last ones, all together."""

    height: float
    span: float
    """Iterations, from the middle of the first audits to that of the last ones."""
    doubt: float
    """The height's variance, in that of one count."""

    @property
    def slope(self) -> float:
        return self.height / self.span


def leak_of(audits: Iterable[Audit]) -> Leak | None:
    """Return what audits come to; None where they are too few.

    Counted are goroutines that last: a daemon that has just built has many others; and of them those that stay, by
    their ids, unless the audits have none. It is a leak (``yes``) if the whole interval lies above nothing. Its lower
    limit is the least of what is left where pools have brought `_POOLS`; where as much as was once given back has come
    back; where the `_STEPS` greatest rises were steps; and where only what came in the later half goes on. It is none
    (``no``) if the whole interval lies below what matters. Else it is unclear, and `Leak.more` iterations like these
    would tell.
    """
    by_process: dict[int, list[Audit]] = {}
    for audit in audits:
        if audit.lasting is not None:
            by_process.setdefault(audit.series, []).append(audit)
    series = [of_one for of_one in by_process.values() if len(of_one) > 1]
    found = judged(_points(series, lambda audit: audit.lasting or 0), matters=_MATTERS, pools=_POOLS)
    if found is None:
        return None
    stayed = [each for of_one in series if (each := stayers(of_one))]
    if len(stayed) < len(series):
        return replace(found, bucket=_fastest(series) if found.verdict != "no" else None)
    found = _of_those_that_stay(stayed, found.high95)
    [(maker, _)] = sum((each.makers for each in stayed), Counter[str]()).most_common(1) or [("", 0)]
    return replace(found, bucket=maker if maker and found.verdict != "no" else None)


def judged(points: Sequence[Sequence[tuple[float, float]]], *, matters: float, pools: float) -> Leak | None:
    """Return whether what was counted grows without bound; None where too little was counted. See `leak_of`.

    Args:
        points: of each process, iterations and counts.
        matters: growth an iteration that is worth a word.
        pools: as much may come to be held for good without a leak, of each process.
    """
    settled = [of_one[max(1, len(of_one) // _WARM_UP) :] for of_one in points]
    found, cautious, whole = growth(settled), growth(settled, cautious=True), growth(points)
    if found is None or cautious is None or whole is None:
        return None
    span = sum(of_one[-1][0] - of_one[0][0] for of_one in points)
    left = min(found.low95, _surely(points, whole, span, pools))
    low = min(found.low95, max(left, 0.0))  # nothing else may have brought more than what there is
    high = cautious.high95 + _wanders(settled, found.slope) / span
    return _judged(found.slope, low, left, high, span, matters)


def _judged(slope: float, low: float, left: float, high: float, span: float, matters: float) -> Leak:
    """Return the verdict: what is left beside other growth may be below nothing, and the lower limit is not."""
    if low > 0:
        return Leak("yes", slope, low, high, None)
    if high < matters:
        return Leak("no", slope, low, high, None)
    return Leak("unclear", slope, low, high, None, _more(slope, left, high, span, matters))


def _of_those_that_stay(stayed: Sequence[Stayers], high: float) -> Leak:
    """Return what those goroutines say that came while they were watched, and stayed; see `leak_of`.

    Args:
        stayed: of each process.
        high: the upper limit by their number alone.
    """
    count, span = sum(each.count for each in stayed), sum(each.span for each in stayed)
    clumps = _clumps([each for of_one in stayed for each in of_one.came])
    most_steps = max(_STEPS, len(stayed))
    for_good = sum(sum(each.for_good) for each in stayed)
    not_latest = sorted(count for each in stayed for count in each.for_good[: -max(1, len(each.came) // _LATEST)])
    beside = [
        count - sum(each.passing for each in stayed),
        max(for_good, sum(map(_even, stayed))) - _POOLS * len(stayed),
        sum(not_latest[:-most_steps]),
        _later(stayed, most_steps) * span,
    ]
    left = min(least - _QUANTILE * math.sqrt(clumps * max(least, 0)) for least in beside) / span
    most, most_for_good = (clumps * poisson_upper(each / clumps) / span for each in (count, for_good))
    low, high = max(left, 0.0), min(most, max(most_for_good, high))
    return replace(_judged(max(for_good / span, low), low, left, high, span, _MATTERS), stayed=count)


def _even(stayed: Stayers) -> float:
    """Return how many stayed if later ones are no more than those of the first half, which had the time to go."""
    first = stayed.came[: len(stayed.came) // 2]
    most = fmean(first) + math.sqrt(fmean(first)) if first else 0.0
    return sum(min(count, most) for count in stayed.came)


def _clumps(came: Sequence[int]) -> float:
    """Return how many come at once, where that is more than one: variance by mean, and a few steps do not change it."""
    usual = median(came)
    return max(1.0, (_NORMAL * median(abs(count - usual) for count in came)) ** 2 / usual) if usual else 1.0


def _later(stayed: Sequence[Stayers], most_steps: int) -> float:
    """Return how fast they came in the later half; 0 where that is much slower than before: it does not go on.

    What may be a step counts for no more than the greatest that is none.
    """
    came = sorted(count for each in stayed for count in each.came)
    most = came[-most_steps - 1] if len(came) > most_steps else 0
    whole = sum(min(count, most) for count in came) / sum(each.span for each in stayed)
    part = [each.later for each in stayed]
    later = sum(min(count, most) for each in part for count in each.came) / sum(each.span for each in part)
    return later if later >= _STEADY * whole else 0.0


def _surely(points: Sequence[Sequence[tuple[float, float]]], whole: Growth, span: float, pools: float) -> float:
    """Return the slope that is left of a growth beside each of the other things that may have brought it."""
    noise = _noise(points)
    rise = _risen(points)
    later = _risen([of_one[len(of_one) // 2 :] for of_one in points])
    rises = sorted(after - before for of_one in points for (_, before), (_, after) in pairwise(of_one))
    steps = rises[-max(_STEPS, len(points)) :]
    bounded = sum(max(pools, _fall([y for _, y in of_one]) - _NOISE_FALLS * noise) for of_one in points)
    beside = [
        whole.low95 - bounded / span,
        rise.slope - _QUANTILE * noise * math.sqrt(rise.doubt) / rise.span - bounded / span,
        (rise.height - sum(steps) - _QUANTILE * noise * math.sqrt(rise.doubt + 2 * len(steps))) / rise.span,
        later.slope - _QUANTILE * noise * math.sqrt(later.doubt) / later.span,
    ]
    return min([*beside, 0.0] if later.slope < _STEADY * rise.slope else beside)


def _risen(points: Iterable[Sequence[tuple[float, float]]]) -> _Rise:
    """Return the rise of several series, each between the means of its first and of its last counts."""
    height = span = doubt = 0.0
    for of_one in points:
        if len(of_one) > 1:
            ends = max(1, min(_ENDS, len(of_one) // 4))
            (x0, y0), (x1, y1) = (
                [fmean(values) for values in zip(*part, strict=True)] for part in (of_one[:ends], of_one[-ends:])
            )
            height, span, doubt = height + y1 - y0, span + x1 - x0, doubt + 2 / ends
    return _Rise(height, span or math.inf, doubt)


def _noise(points: Iterable[Sequence[tuple[float, float]]]) -> float:
    """Return the standard deviation of a count about what it is, by the median: a few steps do not change it."""
    rises = [after - before for of_one in points for (_, before), (_, after) in pairwise(of_one)]
    usual = median(rises)
    return _NORMAL * median(abs(rise - usual) for rise in rises) / math.sqrt(2)


def _wanders(points: Sequence[Sequence[tuple[float, float]]], slope: float) -> float:
    """Return by how much more than noise does counts rise or fall beside a line of this slope: cycles, and the like."""
    beside = [[y - slope * x for x, y in of_one] for of_one in points]
    noise = _WANDERS_FROM * _noise(points)
    return sum(max(0.0, _fall(left) - noise, _fall([-each for each in left]) - noise) for left in beside)


def _fall(values: Iterable[float]) -> float:
    """Return the deepest fall below what was before."""
    highest, deepest = -math.inf, 0.0
    for value in values:
        highest = max(highest, value)
        deepest = max(deepest, highest - value)
    return deepest


def _more(slope: float, low: float, high: float, span: float, matters: float) -> int:
    """Return about how many more iterations would tell: what else may have brought a growth is spread over more."""
    leak = span * (slope - low) / slope if slope > 0 else math.inf
    none = span * (high - slope) / (matters - slope) if slope < matters else math.inf
    further = max(min(leak, none) - span, span / 4)
    return math.ceil(min(further, _MOST_MORE))


def _points(series: Iterable[Sequence[Audit]], count: Callable[[Audit], int]) -> list[list[tuple[float, float]]]:
    return [[(audit.iteration, count(audit)) for audit in of_one] for of_one in series]


def _fastest(series: Sequence[Sequence[Audit]]) -> str | None:
    """Return the function whose goroutines grow most; of one that is not among an audit's largest groups, 0 are."""
    creators = {group.creator for of_one in series for audit in of_one for group in audit.groups}
    grown = [(growth(_points(series, partial(_made_by, creator))), creator) for creator in sorted(creators - {""})]
    slope, creator = max(((each.slope, creator) for each, creator in grown if each), default=(0.0, ""))
    return creator if slope > 0 else None


def _made_by(creator: str, audit: Audit) -> int:
    return sum(group.count for group in audit.groups if group.creator == creator)
