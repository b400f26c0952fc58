"""Looks of two sides by the host that made them: held against each other within each, and the hosts added up.

Hosts differ, in cores, kernels and load, and so do the rates at which daemons hang on them. A side that happened to be
looked at more on the one where all hangs more is no worse for that.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from harness.analysis.exposure import Exposure

_HALVINGS: Final = 80
_DEALT: Final = 9_999
_FAR: Final = 60.0
"""No ratio's logarithm is looked for beyond."""


@dataclass(frozen=True)
class Stratum:
    """The looks of both sides on one host."""

    a: Sequence[Exposure]
    b: Sequence[Exposure]

    @property
    def ways(self) -> int:
        """In how many ways they can be dealt to the two sides."""
        return math.comb(len(self.a) + len(self.b), len(self.a))


def strata_of(a: Sequence[Exposure], b: Sequence[Exposure], alpha: float) -> list[Stratum]:
    """Return the looks by host; all as one where hosts have too few of both sides to ever tell these apart.

    That goes by how many looks there are alone, not by what they saw. Which host makes a look does not depend on its
    side, so to take all hosts as one is right too; it only sees less where they differ.
    """
    hosts = sorted({each.host for each in (*a, *b)})
    apart = [
        Stratum([each for each in a if each.host == host], [each for each in b if each.host == host]) for host in hosts
    ]
    return apart if math.prod(each.ways for each in apart) * alpha >= 2 else [Stratum(a, b)]


def conditional_p(strata: Sequence[Stratum]) -> float:
    """Return twice the smaller tail of B's hangs, given all hangs of each host; 1 where nothing can be said."""
    return min(1.0, 2 * min(_tails(strata, 1.0)))


def ratio_interval(strata: Sequence[Stratum]) -> tuple[float | None, float, float | None]:
    """Return B's rate by A's, the same on all hosts, with the interval that the conditional test inverts to.

    Of one host it is Clopper and Pearson's. None where there is no value, or no upper end.
    """
    known = [each for each in strata if _builds(each.a) and _builds(each.b)]
    of_a = sum(look.hung for each in known for look in each.a)
    of_b = sum(look.hung for each in known for look in each.b)
    if not of_a and not of_b:
        return None, 0.0, None
    low = _root(lambda ratio: _tails(known, ratio)[1] - 0.025) if of_b else 0.0
    high = _root(lambda ratio: 0.025 - _tails(known, ratio)[0]) if of_a else None
    if not of_a:
        return None, low, None
    value = _root(lambda ratio: _expected(known, ratio) - of_b) if of_b else 0.0
    return value, low, high


def log_rank_p(strata: Sequence[Stratum]) -> float:
    """Return the two-sided p-value of the log-rank test, its looks dealt anew within each host."""
    scores = [_scores([*each.a, *each.b]) for each in strata]
    seen = abs(sum(float(each[: len(of.a)].sum()) for each, of in zip(scores, strata, strict=True))) - 1e-9
    chance = np.random.default_rng(0)
    dealt = np.zeros(_DEALT)
    for each, of in zip(scores, strata, strict=True):
        dealt += chance.permuted(np.tile(each, (_DEALT, 1)), axis=1)[:, : len(of.a)].sum(axis=1)
    return (int(np.sum(np.abs(dealt) >= seen)) + 1) / (_DEALT + 1)


def _scores(looks: Sequence[Exposure]) -> NDArray[Any]:
    """Return of each look its hangs less those that were due among the looks (Nelson and Aalen's)."""
    builds, hung = np.array([each.builds for each in looks]), np.array([each.hung for each in looks], dtype=bool)
    times = np.unique(builds[hung])
    due = [np.sum(builds[hung] == time) / np.sum(builds >= time) for time in times]
    return np.asarray(hung - np.array([sum(due[: np.searchsorted(times, time, "right")]) for time in builds]))


def _builds(looks: Sequence[Exposure]) -> int:
    return sum(each.builds for each in looks)


def _tails(strata: Sequence[Stratum], ratio: float) -> tuple[float, float]:
    """Return how likely B has at most, and at least, the hangs that it has, if its rate is so many times A's."""
    chances, of_b = np.ones(1), 0
    for each in strata:
        hangs_a, hangs_b = (sum(look.hung for look in side) for side in (each.a, each.b))
        builds_a, builds_b = _builds(each.a), _builds(each.b)
        if not builds_a or not builds_b or not hangs_a + hangs_b:
            continue  # it says nothing of the ratio
        hangs = hangs_a + hangs_b
        share = ratio * builds_b / (builds_a + ratio * builds_b)
        chances = np.convolve(chances, binom.pmf(np.arange(hangs + 1), hangs, share))
        of_b += hangs_b
    return min(1.0, float(chances[: of_b + 1].sum())), min(1.0, float(chances[of_b:].sum()))


def _expected(strata: Sequence[Stratum], ratio: float) -> float:
    """Return how many hangs B has on average, given all hangs of each host."""
    total = 0.0
    for each in strata:
        builds_a, builds_b = _builds(each.a), _builds(each.b)
        hangs = sum(look.hung for look in (*each.a, *each.b))
        total += hangs * ratio * builds_b / (builds_a + ratio * builds_b)
    return total


def _root(rising: Callable[[float], float]) -> float:
    """Return where a function of the ratio that rises passes zero."""
    low, high = -_FAR, _FAR
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(math.exp(middle)) > 0 else (middle, high)
    return math.exp((low + high) / 2)
