"""How often a bad candidate hangs: a rate per trial that nobody knows, and that need not be the same for all of them.

The mean over candidates is any of a grid of rates; each candidate's own is Beta(shape, shape (1 - mean) / mean) around
it. So no sum over rates is ever needed: what was seen on a candidate, or would be, has a beta-binomial chance. A whole
shape makes each of these a product of few factors, exact at rates of one in a million, where differences of
log-gamma functions have no digits left.
"""

import math
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LOWEST: Final = 1e-6
_LEAST: Final = 1e-12
"""Of a drawn rate: a geometric number is not drawn with none at all."""
_HIGHEST: Final = 0.99
_STEPS: Final = 145
"""Steps of a tenth: 24 a decade over six decades. Thirty hangs tell a rate to a fifth."""


@dataclass(frozen=True, eq=False)
class Rates:
    """What is thought of the hang rate of bad candidates before any is seen."""

    mean: Floats
    """The grid of mean rates, ascending, each above 0 and below 1."""
    weights: Floats
    """The chance of each; they sum to 1."""
    shape: float
    """How alike candidates are, a whole number from 2: at 4 nine in ten are a third to twice the mean; inf: alike."""

    def __post_init__(self) -> None:
        if not (self.shape >= 2 and (math.isinf(self.shape) or self.shape == int(self.shape))):
            raise ValueError(f"the shape is a whole number from 2, or infinity, not {self.shape}")

    @classmethod
    def flat(cls, shape: float = 4.0) -> Self:
        """Return rates from one in a million to nearly one, no decade likelier than another."""
        return cls(np.geomspace(_LOWEST, _HIGHEST, _STEPS), np.full(_STEPS, 1 / _STEPS), shape)

    def likelihood(self, clean: int, hangs: int) -> Floats:
        """Return, for each mean, the logarithm of the chance that a bad candidate does what one did, in that order."""
        if math.isinf(self.shape):
            return np.asarray(clean * np.log1p(-self.mean) + hangs * np.log(self.mean))
        b = self._b + clean
        quiet = -np.log1p(clean / (self._b + np.arange(self.shape)[:, None])).sum(0)
        loud = np.arange(hangs)[:, None] + self.shape
        return np.asarray(quiet + np.log(loud / (loud + b)).sum(0))

    def quiet(self, trials: Ints, clean: int = 0, hangs: int = 0) -> Floats:
        """Return, for each mean (rows) and number of trials, the chance of no hang in so many more on a bad candidate.

        Args:
            trials: from 0 on.
            clean: trials without a hang on this candidate, so far.
            hangs: those with one.
        """
        if math.isinf(self.shape):
            return np.asarray(np.exp(np.log1p(-self.mean)[:, None] * trials))
        return np.asarray(np.exp(-self._lost(self.shape + hangs, clean, trials)))

    def until_hang(self, trials: Ints, clean: int = 0, hangs: int = 0) -> Floats:
        """Return, in the same shape, how many of so many trials are expected to be made if the first hang ends them.

        It is the sum of `quiet` over 0 to `trials` - 1.
        """
        if math.isinf(self.shape):
            return np.asarray(-np.expm1(np.log1p(-self.mean)[:, None] * trials) / self.mean[:, None])
        a = self.shape + hangs
        most = (self._b + clean + a - 1) / (a - 1)
        return np.asarray(most[:, None] * -np.expm1(-self._lost(a - 1, clean, trials)))

    def draw(self, mean: int, chance: np.random.Generator, clean: int = 0, hangs: int = 0) -> float:
        """Draw a bad candidate's own rate, given the index of the mean and what was seen of the candidate."""
        if math.isinf(self.shape):
            return float(self.mean[mean])
        return max(float(chance.beta(self.shape + hangs, self._b[mean] + clean)), _LEAST)

    @property
    def _b(self) -> Floats:
        return self.shape * (1 - self.mean) / self.mean

    def _lost(self, a: float, clean: int, trials: Ints) -> Floats:
        """Return log B(a, b) - log B(a, b + trials): the sum of log(1 + trials / (b + i)) for i below a."""
        b = (self._b + clean)[:, None, None] + np.arange(a)[:, None]
        return np.asarray(np.log1p(trials / b).sum(1))
