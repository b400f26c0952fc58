"""Whether a daemon leaks goroutines, from audits of it alone."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from harness.analysis.rates import growth, without_greatest_rise
from harness.core.records import Audit, Leak

_MATTERS: Final = 0.05
"""Goroutines an iteration, one in twenty builds; without such a bound no run could ever say that there is no leak."""
_WARM_UP: Final = 5
"""One in so many audits of a daemon, the first ones and at least one, is left out: caches and pools fill at first."""


def leak_of(audits: Iterable[Audit]) -> Leak | None:
    """Return what audits come to; None where they are too few.

    Counted are goroutines that last: a daemon that has just built has many others.
    It is a leak (``yes``) if the whole interval lies above what matters, and a third of the growth is there also
    without the greatest rise between two audits of each daemon: what comes at once, and stays, is no leak. It is none
    (``no``) if the whole interval lies below. Else it is unclear, and takes more audits.
    """
    by_series: dict[int, list[Audit]] = {}
    for audit in audits:
        if audit.lasting is not None:
            by_series.setdefault(audit.series, []).append(audit)
    series = [of_one[max(1, len(of_one) // _WARM_UP) :] for of_one in by_series.values()]
    points = _points(series, lambda audit: audit.lasting or 0)
    whole, steady = growth(points), growth(map(without_greatest_rise, points))
    if whole is None or steady is None:
        return None
    if whole.high95 < _MATTERS:
        return Leak("no", whole.slope, whole.low95, whole.high95, None)
    is_leak = whole.low95 > _MATTERS and steady.slope > whole.slope / 3
    return Leak("yes" if is_leak else "unclear", whole.slope, whole.low95, whole.high95, _fastest(series))


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
