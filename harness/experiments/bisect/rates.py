"""What is thought of hang rates before any is seen: of the bad side, of the good one, and of how alike daemons are.

Every side has a mean rate, one of a grid. That of the good side may be above zero; it is below that of the bad side by
a factor at the least, and given that one, no decade is likelier than another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Self

import numpy as np

from harness.experiments.bisect.spread import Alike, Candidates, Daemons, Duds, Floats, Ints, Spread, Trials

_IMPOSSIBLE: Final = -1e9
"""A logarithm; finite, so that nothing times it is nothing."""
_LOWEST: Final = 1e-6
_HIGHEST: Final = 0.99
_STEPS: Final = 73
"""Steps of a fifth: 12 a decade over six decades."""
_LEAST_STEP: Final = 1.4
"""A side is worse than another by this factor at the least: less is told of no search in a life's time."""
_NEVER: Final = 0.75
"""The chance that good candidates do not hang at all, where it is looked for who brought a hang, or took it away."""
_SPREADS: Final[tuple[tuple[float, Spread], ...]] = (
    (0.38, Alike()),
    (0.42, Candidates(4)),
    (0.14, Daemons()),
    (0.06, Duds(0.5)),
)


@dataclass(frozen=True, eq=False)
class Rates:
    """Mean rates, and the chance of each before anything is seen. Index 0 of the grid stands for "never"."""

    mean: Floats
    """The grid: 0 first, then ascending, all below 1."""
    worst: Floats
    """The chance of each for the side that is worst."""
    below: Floats
    """Of the good side (columns), given the rate of the side above it (rows); a row sums to 1, or to 0."""
    between: Floats
    """Of a side in the middle (columns), given the rate of the worst (rows): one that hangs, too."""
    spreads: tuple[tuple[float, Spread], ...] = _SPREADS
    """How rates may differ about their mean, each with its chance."""

    @classmethod
    @cache
    def flat(cls, never: float = _NEVER, spreads: tuple[tuple[float, Spread], ...] = _SPREADS) -> Self:
        """Return rates from one in a million to nearly one, and of good candidates that never hang with a chance."""
        mean = np.concatenate([[0.0], np.geomspace(_LOWEST, _HIGHEST, _STEPS)])
        worst = np.full(_STEPS + 1, 1 / _STEPS)
        worst[0] = 0.0
        lower = (mean[None, :] * _LEAST_STEP <= mean[:, None]) & (mean[None, :] > 0)
        between = _rows(lower.astype(np.float64))
        below = (1 - never) * between
        below[:, 0] = np.where(lower.any(axis=1), never, 1.0)
        below[0] = 0.0
        return cls(mean, worst, below, between, spreads)

    @classmethod
    def known(cls, rate: float, spread: Spread | None = None) -> Self:
        """Return rates of which nothing is open: the bad hang so often, and the good never."""
        below = np.array([[0.0, 0.0], [1.0, 0.0]])
        return cls(np.array([0.0, rate]), np.array([0.0, 1.0]), below, np.zeros((2, 2)), ((1.0, spread or Alike()),))

    def likelihood(self, spread: Spread, looks: Sequence[Trials]) -> Floats:
        """Return `Spread.likelihood` for all of the grid: who never hangs is quiet for sure."""
        never = _IMPOSSIBLE if any(look.hung for look in looks) else 0.0
        return np.concatenate([[never], spread.likelihood(self.mean[1:], looks)])

    def quiet(self, spread: Spread, trials: Ints, looks: Sequence[Trials] = ()) -> Floats:
        """Return `Spread.quiet` for all of the grid."""
        return np.concatenate([np.ones((1, len(trials))), spread.quiet(self.mean[1:], trials, looks)])

    def until_hang(self, spread: Spread, trials: Ints, looks: Sequence[Trials] = ()) -> Floats:
        """Return `Spread.until_hang` for all of the grid."""
        return np.concatenate([trials[None, :].astype(np.float64), spread.until_hang(self.mean[1:], trials, looks)])


def _rows(weights: Floats) -> Floats:
    """Return weights whose rows sum to 1; a row of none stays so."""
    sums = weights.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(weights, sums, out=np.zeros_like(weights), where=sums > 0))
