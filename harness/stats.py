"""Exact rates and what a run without a hang excludes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import betaincinv


@dataclass(frozen=True)
class Rate:
    """Hangs per trial, with its two-sided exact 95 % interval (Clopper–Pearson)."""

    hangs: int
    trials: int
    low95: float
    high95: float


def rate(hangs: int, trials: int) -> Rate:
    """Return the exact interval for `hangs` in `trials`; (0, 1) for no trial at all."""
    low = float(betaincinv(hangs, trials - hangs + 1, 0.025)) if hangs else 0.0
    high = float(betaincinv(hangs + 1, trials - hangs, 0.975)) if hangs < trials else 1.0
    return Rate(hangs, trials, low, high)


def excluded_rate(trials: int) -> float:
    """Return the hang rate that `trials` without a hang exclude at 95 %, one-sided: 1 - 0.05 ** (1/n), about 3/n."""
    return 1.0 if trials == 0 else -math.expm1(math.log(0.05) / trials)


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank quantile of `values` (any order), or None where there are none."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
