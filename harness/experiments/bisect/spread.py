"""How alike the hang rates about one mean are: of candidates, of daemons of one candidate, or of all.

Each says how likely looks at a candidate are, for every mean rate of a grid, and what the next look is expected to do.
A whole shape makes each beta-binomial chance a product of few factors, exact at rates of one in a million, where
differences of log-gamma functions have no digits left.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LEAST: Final = 1e-12
"""Of a drawn rate: a geometric number is not drawn with none at all."""


class Trials(NamedTuple):
    """One look at a candidate, with a daemon of its own, in trials."""

    clean: int
    hung: bool
    """Whether a hang came after the clean ones."""


class Spread(Protocol):
    """A way in which rates differ about a mean; `mean` is a grid, ascending, above 0 and below 1."""

    def likelihood(self, mean: Floats, looks: Sequence[Trials]) -> Floats:
        """Return, for each mean, the logarithm of the chance that a candidate does all this, in that order."""
        ...

    def quiet(self, mean: Floats, trials: Ints, looks: Sequence[Trials] = ()) -> Floats:
        """Return, for each mean (rows) and number of trials, from 0 on, the chance of a new look without a hang."""
        ...

    def until_hang(self, mean: Floats, trials: Ints, looks: Sequence[Trials] = ()) -> Floats:
        """Return, in the same shape, how many of so many trials are expected to be made if the first hang ends them.

        It is the sum of `quiet` over 0 to `trials` - 1.
        """
        ...

    def draw(self, mean: float, chance: np.random.Generator, looks: Sequence[Trials] = ()) -> "Drawn":
        """Draw a candidate, given what was seen of it."""
        ...


class Drawn(Protocol):
    """A candidate that was drawn."""

    def __call__(self) -> float:
        """Return the hang rate of its next daemon."""
        ...


@dataclass(frozen=True)
class Alike:
    """All candidates of a side, and all their daemons, hang at the same rate."""

    def likelihood(self, mean: Floats, looks: Sequence[Trials]) -> Floats:
        """See `Spread`."""
        clean, hangs = _sums(looks)
        return np.asarray(clean * np.log1p(-mean) + hangs * np.log(mean))

    def quiet(self, mean: Floats, trials: Ints, looks: Sequence[Trials] = ()) -> Floats:  # noqa: ARG002 — tell no more
        """See `Spread`."""
        return np.asarray(np.exp(np.log1p(-mean)[:, None] * trials))

    def until_hang(self, mean: Floats, trials: Ints, looks: Sequence[Trials] = ()) -> Floats:  # noqa: ARG002 — as above
        """See `Spread`."""
        return np.asarray(-np.expm1(np.log1p(-mean)[:, None] * trials) / mean[:, None])

    def draw(self, mean: float, chance: np.random.Generator, looks: Sequence[Trials] = ()) -> Drawn:  # noqa: ARG002
        """See `Spread`."""
        return lambda: mean


@dataclass(frozen=True)
class Candidates:
    """Each candidate has a rate of its own: Beta(shape, shape (1 - mean) / mean); its daemons are alike."""

    shape: int = 4
    """From 2: at 4 nine in ten are a third to twice the mean."""

    def __post_init__(self) -> None:
        if not (self.shape >= 2 and self.shape == int(self.shape)):
            raise ValueError(f"the shape is a whole number from 2, not {self.shape}")

    def likelihood(self, mean: Floats, looks: Sequence[Trials]) -> Floats:
        """See `Spread`."""
        clean, hangs = _sums(looks)
        b = _b(self.shape, mean)
        quiet = -np.log1p(clean / (b + np.arange(self.shape)[:, None])).sum(0)
        loud = np.arange(hangs)[:, None] + self.shape
        return np.asarray(quiet + np.log(loud / (loud + b + clean)).sum(0))

    def quiet(self, mean: Floats, trials: Ints, looks: Sequence[Trials] = ()) -> Floats:
        """See `Spread`."""
        clean, hangs = _sums(looks)
        return np.asarray(np.exp(-_lost(self.shape + hangs, _b(self.shape, mean) + clean, trials)))

    def until_hang(self, mean: Floats, trials: Ints, looks: Sequence[Trials] = ()) -> Floats:
        """See `Spread`."""
        clean, hangs = _sums(looks)
        a, b = self.shape + hangs, _b(self.shape, mean) + clean
        most = (b + a - 1) / (a - 1)
        return np.asarray(most[:, None] * -np.expm1(-_lost(a - 1, b, trials)))

    def draw(self, mean: float, chance: np.random.Generator, looks: Sequence[Trials] = ()) -> Drawn:
        """See `Spread`."""
        clean, hangs = _sums(looks)
        own = max(float(chance.beta(self.shape + hangs, self.shape * (1 - mean) / mean + clean)), _LEAST)
        return lambda: own


@dataclass(frozen=True)
class Daemons:
    """Each daemon has a rate of its own, Beta(1, (1 - mean) / mean): many hardly hang, whatever the candidate."""

    def likelihood(self, mean: Floats, looks: Sequence[Trials]) -> Floats:
        """See `Spread`."""
        clean, hung = _columns(looks)
        b = _b(1, mean)[:, None]
        chances = -np.log1p(clean / b) - np.where(hung, np.log1p(b + clean), 0.0)
        return np.asarray(chances.sum(1))

    def quiet(self, mean: Floats, trials: Ints, looks: Sequence[Trials] = ()) -> Floats:  # noqa: ARG002 — a new daemon
        """See `Spread`."""
        return np.asarray(1 / (1 + trials / _b(1, mean)[:, None]))

    def until_hang(self, mean: Floats, trials: Ints, looks: Sequence[Trials] = ()) -> Floats:  # noqa: ARG002 — as above
        """See `Spread`."""
        b = _b(1, mean)[:, None]
        return np.asarray(b * (digamma(b + trials) - digamma(b)))

    def draw(self, mean: float, chance: np.random.Generator, looks: Sequence[Trials] = ()) -> Drawn:  # noqa: ARG002
        """See `Spread`."""
        return lambda: max(float(chance.beta(1, (1 - mean) / mean)), _LEAST)


@dataclass(frozen=True)
class Duds:
    """So large a share of the daemons never hangs, whatever the candidate; the others hang at the mean rate."""

    share: float = 0.5

    def likelihood(self, mean: Floats, looks: Sequence[Trials]) -> Floats:
        """See `Spread`."""
        clean, hung = _columns(looks)
        alive = (1 - self.share) * np.exp(np.log1p(-mean)[:, None] * clean)
        with np.errstate(divide="ignore"):
            loud = math.log1p(-self.share) + np.log1p(-mean)[:, None] * clean + np.log(mean)[:, None]
        return np.asarray(np.where(hung, loud, np.log(self.share + alive)).sum(1))

    def quiet(self, mean: Floats, trials: Ints, looks: Sequence[Trials] = ()) -> Floats:  # noqa: ARG002 — a new daemon
        """See `Spread`."""
        return np.asarray(self.share + (1 - self.share) * Alike().quiet(mean, trials))

    def until_hang(self, mean: Floats, trials: Ints, looks: Sequence[Trials] = ()) -> Floats:  # noqa: ARG002 — as above
        """See `Spread`."""
        return np.asarray(self.share * trials + (1 - self.share) * Alike().until_hang(mean, trials))

    def draw(self, mean: float, chance: np.random.Generator, looks: Sequence[Trials] = ()) -> Drawn:  # noqa: ARG002
        """See `Spread`."""
        return lambda: _LEAST if chance.random() < self.share else mean


def _sums(looks: Sequence[Trials]) -> tuple[int, int]:
    return sum(look.clean for look in looks), sum(look.hung for look in looks)


def _columns(looks: Sequence[Trials]) -> tuple[Ints, NDArray[np.bool_]]:
    return np.array([look.clean for look in looks], np.int64), np.array([look.hung for look in looks], np.bool_)


def _b(shape: float, mean: Floats) -> Floats:
    return np.asarray(shape * (1 - mean) / mean)


def _lost(a: int, b: Floats, trials: Ints) -> Floats:
    """Return log B(a, b) - log B(a, b + trials): the sum of log(1 + trials / (b + i)) for i below a."""
    return np.asarray(np.log1p(trials / (b[:, None, None] + np.arange(a)[:, None])).sum(1))
