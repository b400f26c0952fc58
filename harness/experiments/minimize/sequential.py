"""Whether a change may stay: a sequential test of its hang rate against that of what it changes.

A change is *kept* if its rate is that of the reference (or higher), and *dropped* if it is `ratio` times that (or
lower). Both rates are unknown. What the reference's attempts say of its own rate (Jeffreys' prior, so it is uniform in
the angle whose squared sine is the rate) is carried through the likelihood ratio of the two hypotheses:

    sum over rates of  weight(rate) * P(change's attempts | rate)
    --------------------------------------------------------------
    sum over rates of  weight(rate) * P(change's attempts | ratio * rate)

On average over the reference's rate this ratio is a martingale with mean 1 under the hypothesis below the line, its
inverse under the one above it. So (Ville's inequality), however long one looks and whenever one stops: a change that
has lowered the rate to `ratio` times it or less is kept in at most `kept_wrongly` of cases, and one that has not
lowered it is dropped in at most `dropped_wrongly`. In between lies what the test does not promise to tell apart.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

Decision = Literal["keep", "drop"]

_POINTS: Final = 100
"""Rates that the sums go over; more do not change a decision."""
_RATES: Final = tuple(math.sin((point + 0.5) / _POINTS * math.pi / 2) ** 2 for point in range(_POINTS))


@dataclass(frozen=True)
class Tally:
    """Attempts, and how many of them hung."""

    hangs: int = 0
    trials: int = 0

    def with_one(self, *, hung: bool) -> "Tally":
        """Return it with one more attempt."""
        return Tally(self.hangs + hung, self.trials + 1)

    def __str__(self) -> str:
        """Return it as a person says it."""
        return f"{self.hangs} of {self.trials}"


@dataclass(frozen=True)
class Bounds:
    """How often the test may be wrong, and what it has to tell apart."""

    kept_wrongly: float = 0.05
    dropped_wrongly: float = 0.05
    ratio: float = 0.5
    """A rate that is lower by this factor is one that must not be kept."""
    most: int = 1000
    """After so many attempts without a decision a change is dropped: what is in between is not worth more."""


def weight_of(reference: Tally, change: Tally, ratio: float) -> float:
    """Return the logarithm of the likelihood ratio above: positive speaks for keeping the change."""
    both = Tally(reference.hangs + change.hangs, reference.trials + change.trials)
    same = [_log_likelihood(both, at) for at in _logs(1.0)]
    less = [
        _log_likelihood(reference, at) + _log_likelihood(change, lower)
        for at, lower in zip(_logs(1.0), _logs(ratio), strict=True)
    ]
    return _log_sum(same) - _log_sum(less)


def decide(reference: Tally, change: Tally, bounds: Bounds) -> Decision | None:
    """Return whether a change is kept or dropped, or None where more attempts are needed."""
    weight = weight_of(reference, change, bounds.ratio)
    if weight >= -math.log(bounds.kept_wrongly):
        return "keep"
    if weight <= math.log(bounds.dropped_wrongly) or change.trials >= bounds.most:
        return "drop"
    return None


def reference_is_next(reference: Tally, change: Tally) -> bool:
    """Whether the next attempt says more if it is one at the reference: of two unknown rates, the less known one."""
    return reference.trials < change.trials


def comes_every_time(tally: Tally, often: float = 0.95, seldom: float = 0.6, doubt: float = 0.05) -> Decision | None:
    """Return whether a hang comes (nearly) every time: Wald's test of `often` against `seldom`, both errors `doubt`."""
    weight = tally.hangs * math.log(often / seldom) + (tally.trials - tally.hangs) * math.log(
        (1 - often) / (1 - seldom)
    )
    bound = math.log((1 - doubt) / doubt)
    return "keep" if weight >= bound else "drop" if weight <= -bound else None


@cache
def _logs(ratio: float) -> tuple[tuple[float, float], ...]:
    """Return the logarithms of every rate, times `ratio`, and of what is left of 1."""
    return tuple((math.log(ratio * rate), math.log1p(-ratio * rate)) for rate in _RATES)


def _log_likelihood(tally: Tally, at: tuple[float, float]) -> float:
    return tally.hangs * at[0] + (tally.trials - tally.hangs) * at[1]


def _log_sum(logs: list[float]) -> float:
    most = max(logs)
    return most + math.log(sum(math.exp(each - most) for each in logs))
