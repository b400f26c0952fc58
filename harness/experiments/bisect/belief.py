"""What is believed of who brought a hang, after what was seen: a chance for every candidate.

A hang is proof that its candidate is bad. Clean trials are not: they count for what the hang rate, itself unknown and
learned on the way, makes of them. Nothing is rounded to "good", so no early slip is carried along: clean trials on one
candidate count against every hypothesis by which it is bad.

`git_bayesect.Bisector` (of the package git-bayesect) is this with one rate for all bad candidates and a line of
history: the tests hold the two together where they coincide. It does not fit here for five reasons. It takes a
candidate that cannot be tried out of the hypotheses, and that may be the culprit. It knows no costs, and chooses where
to look, not for how long. It has an unknown hang rate on the good side as well, so that a hang proves nothing. It lets
no candidate hang more rarely than the next. And its history is a line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from harness.analysis.rates import fewest
from harness.experiments.bisect.rates import Floats, Rates

Bools = NDArray[np.bool_]


def hypotheses(parents: Sequence[Sequence[int]], find: Literal["introduced", "fixed"] = "introduced") -> Bools:
    """Return which candidates are bad (columns) if a candidate (rows) is the one that is looked for.

    Row 0 is no culprit, but that all candidates are bad, the good end too: of candidate 0 itself it is known already
    that it is the good end (of what was introduced), or the bad end (of what was fixed).

    Args:
        parents: of each candidate, oldest first, by index; those that are no candidates are left out.
        find: `introduced`: who has the culprit among its ancestors, or is it, is bad; `fixed`: who has not.
    """
    has = np.eye(len(parents), dtype=np.bool_)  # has[x, h]: x is h, or descends from it
    for number, above in enumerate(parents):
        if any(not 0 <= parent < number for parent in above):
            raise ValueError(f"candidate {number} comes before one of its parents {list(above)}")
        for parent in above:
            has[number] |= has[parent]
    bad = has.T.copy() if find == "introduced" else ~has.T
    bad[0] = True
    return bad


def line(count: int) -> list[list[int]]:
    """Return the parents of so many candidates that follow each other: releases, or a history by first parents."""
    return [[number - 1] if number else [] for number in range(count)]


@dataclass(frozen=True)
class Observation:
    """What looks at one candidate add up to, in trials."""

    clean: int = 0
    hangs: int = 0


@dataclass(frozen=True)
class Group:
    """Hypotheses that no candidate which can be tried tells apart: one alone, but for neighbours of skipped ones."""

    members: tuple[int, ...]
    """Ascending; 0 stands for "the good end hangs as well"."""
    mass: float


@dataclass(frozen=True, eq=False)
class Belief:
    """The state of a search; what comes to be known makes a new one."""

    bad: Bools
    """Of `hypotheses`."""
    rates: Rates = field(default_factory=Rates.flat)
    prior: Sequence[float] = ()
    """The weight of each hypothesis before anything was seen; all alike where it is left out."""
    seen: Mapping[int, Observation] = field(default_factory=dict)
    skipped: frozenset[int] = frozenset()
    """Candidates that cannot be tried. They may well be the culprit."""

    def saw(self, candidate: int, trials: int, *, hung: bool) -> Self:
        """Return the belief after a look.

        Args:
            candidate: what was looked at.
            trials: builds that could have hung; the hang, if there is one, is the last of them.
            hung: whether it ended in the hang that is looked for.
        """
        before = self.seen.get(candidate, Observation())
        after = Observation(before.clean + trials - hung, before.hangs + hung)
        return replace(self, seen={**self.seen, candidate: after})

    def skip(self, candidate: int) -> Self:
        """Return the belief when a candidate turns out not to build or not to start."""
        return replace(self, skipped=self.skipped | {candidate})

    @cached_property
    def joint(self) -> Floats:
        """The chance of each hypothesis (rows) with each mean rate (columns)."""
        prior = np.asarray(self.prior, dtype=np.float64) if len(self.prior) else np.ones(len(self.bad))
        looked_at = list(self.seen)
        with np.errstate(divide="ignore"):
            logs = np.log(prior)[:, None] + np.log(self.rates.weights)
        if looked_at:
            each = np.stack([self.rates.likelihood(seen.clean, seen.hangs) for seen in self.seen.values()])
            logs = logs + self.bad[:, looked_at].astype(np.float64) @ each
        hung = [candidate for candidate, seen in self.seen.items() if seen.hangs]
        logs[~self.bad[:, hung].all(axis=1)] = -np.inf
        return np.asarray(np.exp(logs - logsumexp(logs)))

    @cached_property
    def posterior(self) -> Floats:
        """The chance of each hypothesis; that of 0: the good end hangs as well."""
        return np.asarray(self.joint.sum(axis=1))

    @cached_property
    def chance_bad(self) -> Floats:
        """The chance that each candidate is bad."""
        return np.asarray(self.posterior @ self.bad)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """All hypotheses, the likeliest first, those together that cannot be told apart any more."""
        can = [candidate for candidate in range(self.bad.shape[1]) if candidate not in self.skipped]
        alike: dict[bytes, list[int]] = {}
        for number, row in enumerate(np.packbits(self.bad[:, can], axis=1)):
            alike.setdefault(row.tobytes(), []).append(number)
        groups = [Group(tuple(members), float(self.posterior[members].sum())) for members in alike.values()]
        return tuple(sorted(groups, key=lambda group: -group.mass))

    def answer(self, confidence: float = 0.95) -> Group | None:
        """Return what is believed with at least so much confidence, as soon as something is."""
        return self.groups[0] if self.groups[0].mass >= confidence else None

    def rate(self, share: float = 0.5) -> float:
        """Return a quantile of the mean hang rate per trial of bad candidates."""
        below = np.cumsum(self.joint.sum(axis=0))
        return float(np.exp(np.interp(share, below, np.log(self.rates.mean))))

    def clean_needed(self, confidence: float = 0.95) -> int:
        """Return how many trials without a hang make a candidate good that nobody has looked at yet.

        A bad one would be so quiet with a chance of 1 - confidence at most, by all that is known of the rate.
        """
        rate = self.joint.sum(axis=0)

        def enough(trials: int) -> bool:
            return float(rate @ self.rates.quiet(np.array([trials]))[:, 0]) <= 1 - confidence

        return fewest(enough)
