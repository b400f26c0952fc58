"""A rate whose interval holds however often somebody looks at it, and whenever they stop.

Of exact intervals each is wrong in one of twenty; of those that are shown while a run goes on, one of some twenty looks
is sooner or later wrong, and who stops where it looks good stops there. Here all of them together are wrong in one of
twenty: what was seen is held against each rate by the likelihood ratio of a mixture of rates to it, which for the true
rate exceeds 20 at any time with a chance of 1/20 at most (Ville 1939; Robbins 1970, doi:10.1214/aoms/1177696786; mixed
by a beta distribution: Howard et al. 2021, doi:10.1214/20-AOS1991). The price is an interval that is 1.3 to 1.9 times
as wide as an exact one.
"""

import math
from typing import Final

from harness.core.records import Rate

_PRIORS: Final = tuple((2.0, 2.0 * 10**decade) for decade in range(7))
"""Beta distributions, alike in weight, about one in two down to one in a million: hangs that are rare are not foreseen
worse than frequent ones, which a single one, such as Jeffreys', does at ten times as wide an interval."""
_DOUBT: Final = math.log(20)
"""1/20, for 95 %."""
_FAR: Final = 40.0
"""Of a logit: rates nearer to 0 or to 1 than that are these."""
_HALVINGS: Final = 45


def watched_rate(hangs: int, trials: int, unsettled: int = 0) -> Rate:
    """Return hangs per trial, with an interval that holds the true rate at all times at once, in 95 % of runs.

    Trials may end whenever anybody likes: after a hang, a time, or a look at this interval.

    Args:
        hangs: of the trials.
        trials: those that are settled.
        unsettled: as many more of which nobody knows whether they hung: the lower limit is that of none, the upper
            limit that of all.
    """
    known = trials + unsettled
    low = _limit(hangs, known, upper=False) if hangs else 0.0
    high = _limit(hangs + unsettled, known, upper=True) if hangs < trials else 1.0
    return Rate(hangs, trials, low, high, unsettled)


def _limit(hangs: int, trials: int, *, upper: bool) -> float:
    """Return the rate beside the likeliest one from which on the mixture explains what was seen 20 times as well."""
    least = _log_mixture(hangs, trials) - _DOUBT
    inside = _logit(hangs / trials)
    outside = _FAR if upper else -_FAR
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if _log_likelihood(hangs, trials, middle) >= least:
            inside = middle
        else:
            outside = middle
    return 1 / (1 + math.exp(-outside))


def _logit(rate: float) -> float:
    if not 0 < rate < 1:
        return _FAR if rate else -_FAR
    return max(-_FAR, min(_FAR, math.log(rate / (1 - rate))))


def _log_likelihood(hangs: int, trials: int, logit: float) -> float:
    """Return hangs * log(rate) + others * log(1 - rate), of the rate with this logit."""
    return -hangs * _softplus(-logit) - (trials - hangs) * _softplus(logit)


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _log_mixture(hangs: int, trials: int) -> float:
    """Return the logarithm of how likely the trials are, in their order, on average over the mixture."""
    logs = [_log_beta(a + hangs, b + trials - hangs) - _log_beta(a, b) for a, b in _PRIORS]
    top = max(logs)
    return top + math.log(sum(math.exp(each - top) for each in logs) / len(logs))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
