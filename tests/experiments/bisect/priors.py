"""Rates as git-bayesect thinks of them beforehand."""

import numpy as np
from scipy.stats import beta

from harness.experiments.bisect.rates import Rates
from harness.experiments.bisect.spread import Alike, Floats


def beta_rates(bad: tuple[float, float], good: tuple[float, float] | None) -> Rates:
    """Return Beta priors on the rates of both sides, each the same for all candidates; None: the good never hang."""
    grid = np.geomspace(1e-7, 1 - 1e-9, 400)

    def weights(alpha: float, beta_: float) -> Floats:
        each = beta.pdf(grid, alpha, beta_) * grid
        return np.concatenate([[0.0], each / each.sum()])

    below = np.zeros((len(grid) + 1, len(grid) + 1))
    below[1:] = weights(*good) if good else np.eye(1, len(grid) + 1)
    return Rates(np.concatenate([[0.0], grid]), weights(*bad), below, np.zeros_like(below), ((1.0, Alike()),))
