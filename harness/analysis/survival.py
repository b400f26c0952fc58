"""How long daemons live without a hang: Kaplan–Meier's curve, with an interval that holds for few of them too."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.rates import beta_quantile


@dataclass(frozen=True)
class Survival:
    """The share of daemons that have not hung yet, as a step function: each entry holds from its time to the next."""

    times: tuple[float, ...]
    """0, and each time at which one hung or was last seen, ascending; in trials or in seconds."""
    survival: tuple[float, ...]
    low95: tuple[float, ...]
    """Pointwise two-sided 95 % bounds; 0 once no build is left at risk."""
    high95: tuple[float, ...]
    at_risk: tuple[int, ...]
    """How many had come so far without a hang, just before each time."""
    n: int
    """How many there are."""
    hung: int = 0
    """How many of them hung; the others are censored: their end came first."""

    def at(self, time: float) -> tuple[float, float, float]:
        """Return the share that survives `time`, and its interval."""
        step = max(bisect_right(self.times, time) - 1, 0)
        return self.survival[step], self.low95[step], self.high95[step]


def kaplan_meier(durations: Sequence[float], events: Sequence[bool]) -> Survival:
    """Return the survival curve of units, some right-censored; one censored at the moment of a hang outlives that hang.

    The interval is the beta product one of Fay, Brittain and Proschan (2013, doi:10.1093/biostatistics/kxt016), by the
    method of moments. Without censoring it is Clopper and Pearson's. Greenwood's variance, on the log-log scale too (as
    of `scipy.stats.ecdf`), has no interval at all before the first hang and after the last unit, and misses more often
    than it says where few hang: `tests/test_survival.py` has both side by side.

    Args:
        durations: how long each was seen, from 0 on, in whatever unit.
        events: whether each hung at that time.
    """
    hung = Counter(time for time, event in zip(durations, events, strict=True) if event)
    ended = Counter(durations)
    times = tuple(sorted({0.0, *(float(time) for time in durations)}))
    product = _BetaProduct()
    survival, low95, high95, at_risk = [], [], [], []
    left, share = len(durations), 1.0
    for time in times:
        at_risk.append(left)
        if hung[time]:
            share *= (left - hung[time]) / left
            product = product.times(left - hung[time] + 1, hung[time])
        left -= ended[time]
        survival.append(share)
        low95.append(product.times(left, 1).quantile(0.025) if left else 0.0)
        high95.append(product.quantile(0.975))
    return Survival(
        times=times,
        survival=tuple(survival),
        low95=tuple(low95),
        high95=tuple(high95),
        at_risk=tuple(at_risk),
        n=len(durations),
        hung=sum(hung.values()),
    )


@dataclass(frozen=True)
class _BetaProduct:
    """A product of independent beta variables, by its first two moments; 1 where there is none."""

    mean: float = 1.0
    spread: float = 0.0
    """The logarithm of the second moment over the squared mean."""

    def times(self, a: int, b: int) -> "_BetaProduct":
        """Return the product with one more, Beta(a, b)."""
        return _BetaProduct(self.mean * a / (a + b), self.spread + math.log1p(b / (a * (a + b + 1))))

    def quantile(self, share: float) -> float:
        """Return the quantile of the beta variable with the same moments."""
        if not self.spread:
            return 1.0
        mean = self.mean
        size = (1 - mean) / (mean * math.expm1(self.spread)) - 1  # a + b, from variance = mean (1 - mean) / (a + b + 1)
        return beta_quantile(mean * size, (1 - mean) * size, share)
