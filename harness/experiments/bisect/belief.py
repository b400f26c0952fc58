"""The posterior over candidates: the chance of each to have brought the hang, given what was seen.

Nothing that is seen is proof. Each side has a hang rate that nobody knows, and that of the good side may be above zero:
a hang counts for what both rates make of it, and so do clean trials. So no early slip is carried along. That both sides
have a rate that is learned on the way is the model of `git_bayesect.Bisector` (git-bayesect 1.2,
https://github.com/hauntsaninja/git_bayesect): the tests hold the two together where they coincide. It does not fit as
it is. It takes a candidate that cannot be tried out of the hypotheses, and that may be the culprit; it knows no costs,
and chooses where to look, not for how long; its history is a line; all its daemons are alike; and it knows one change.

Three kinds of history are thought of. In most there is one change. In some there are two, the second for the worse
again; either of them is an answer. And a few have no order at all: candidates hang or not as they please, for what is
looked for comes and goes, or is something else than a change of the source. Of these nobody is to be blamed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from harness.analysis.rates import fewest
from harness.experiments.bisect.rates import Rates
from harness.experiments.bisect.spread import Floats, Spread, Trials

Bools = NDArray[np.bool_]
Find = Literal["introduced", "fixed", "worse"]

GOOD, MIDDLE, WORST = range(3)
"""Levels: of a history with one change the first and the last."""
_KINDS: Final = (0.935, 0.06, 0.005)
"""The chances of one change, of two, and of no order, before anything is seen."""
_DOUBTING: Final = (0.1, 0.895, 0.005)
"""The same for who doubts that the history is a simple one."""
_MOST_PARTS: Final = 64
"""A history that looks have cut into more parts than this (one with many branches) is not searched for two changes."""
_CUT: Final = 0.01
"""A part of the history with less of a chance, in steps, is not cut."""
_ALIKE: Final = 1 / 3
"""Good candidates that hang more rarely than bad ones by less than this hang too: nobody brought the hang."""
_ENOUGH: Final = 30.0
"""A daemon that may be a dud is quiet for ever: no more clean trials than this, by the rate, make one look good."""


def hypotheses(parents: Sequence[Sequence[int]], find: Find = "introduced") -> Bools:
    """Return which candidates are bad (columns) if a candidate (rows) is the one that is looked for.

    Row 0 is no culprit, but that all candidates are bad, the good end too: of candidate 0 itself it is known already
    that it is the good end (of what was introduced), or the bad end (of what was fixed).

    Args:
        parents: of each candidate, oldest first, by index; those that are no candidates are left out.
        find: `introduced` or `worse`: who has the culprit among its ancestors, or is it, is bad; `fixed`: who has not.
    """
    has = np.eye(len(parents), dtype=np.bool_)  # has[x, h]: x is h, or descends from it
    for number, above in enumerate(parents):
        if any(not 0 <= parent < number for parent in above):
            raise ValueError(f"candidate {number} comes before one of its parents {list(above)}")
        for parent in above:
            has[number] |= has[parent]
    bad = ~has.T if find == "fixed" else has.T.copy()
    bad[0] = True
    return bad


def line(count: int) -> list[list[int]]:
    """Return the parents of so many candidates that follow each other: releases, or a history by first parents."""
    return [[number - 1] if number else [] for number in range(count)]


@dataclass(frozen=True)
class CulpritGroup:
    """Culprits that no candidate which can be tried tells apart: one alone, but for neighbours of skipped ones."""

    members: tuple[int, ...]
    """Ascending; 0 stands for "the good end hangs as well"."""
    mass: float
    """The chance that one of them is a culprit, be it the only one or not."""


class Parts(NamedTuple):
    """Histories that what was seen does not tell apart, K of them: which side the candidates are on."""

    prior: Floats
    """The chance of each before anything was seen; they sum to 1."""
    levels: NDArray[np.int8]
    """Of the candidates that were looked at (columns)."""
    first: NDArray[np.int64]
    """Which part of the history, between candidates that were looked at, has the change, or one of the two."""
    second: NDArray[np.int64]
    """The same of the other one; of one change as `first`."""
    two: Bools
    """Whether there are two changes."""


class Sides(NamedTuple):
    """The chance of each history (K) with each mean rate of each side, for one way in which rates differ."""

    spread: Spread
    rates: Floats
    """Of (K, 3, grid). The sums over the grid are alike for all sides that a history has, and 0 for others."""
    no_order: Floats
    """The chance that there is no order, with each rate of the bad (rows) and of the good."""


@dataclass(frozen=True, eq=False)
class Belief:
    """The state of a search; what comes to be known makes a new one."""

    bad: Bools
    """Of `hypotheses`."""
    rates: Rates = field(default_factory=Rates.flat)
    prior: Sequence[float] = ()
    """The weight of each hypothesis before anything was seen; all alike where it is left out."""
    seen: Mapping[int, tuple[Trials, ...]] = field(default_factory=dict)
    skipped: frozenset[int] = frozenset()
    """Candidates that cannot be tried. They may well be the culprit."""
    kinds: tuple[float, float, float] = _KINDS
    """The chances of one change, two, and no order."""

    def saw(self, candidate: int, trials: int, *, hung: bool) -> Self:
        """Return the belief after a look.

        Args:
            candidate: what was looked at.
            trials: builds that could have hung; the hang, if there is one, is the last of them.
            hung: whether it ended in the hang that is looked for.
        """
        looks = (*self.seen.get(candidate, ()), Trials(trials - hung, hung))
        return replace(self, seen={**self.seen, candidate: looks})

    def skip(self, candidate: int) -> Self:
        """Return the belief when a candidate turns out not to build or not to start."""
        return replace(self, skipped=self.skipped | {candidate})

    @cached_property
    def plain(self) -> Self:
        """The belief of who takes for granted what is likeliest: one change, one spread, good ones that are quiet.

        Good ones may hang where it is likelier that they do.
        """
        likeliest = max(self.sides, key=lambda sides: sides.rates[:, WORST].sum()).spread
        below = self.rates.below
        if self.rate(0.5, GOOD) == 0:
            below = np.zeros_like(below)
            below[1:, 0] = 1.0
        rates = replace(self.rates, spreads=((1.0, likeliest),), below=below)
        return replace(self, rates=rates, kinds=(1.0, 0.0, 0.0))

    @cached_property
    def parts(self) -> Parts:
        """The histories that what was seen does not tell apart."""
        weight = np.asarray(self.prior, dtype=np.float64) if len(self.prior) else np.ones(len(self.bad))
        weight = weight / weight.sum()
        looked_at = list(self.seen)
        of, rows = self._part_of
        each = len(rows)
        single = np.bincount(of, weight, each)
        changes = weight.copy()
        changes[0] = 0.0
        pairs = changes.sum() ** 2 - (changes**2).sum()
        a, b = np.triu_indices(each) if each <= _MOST_PARTS and self.kinds[1] and pairs > 0 else (np.empty(0, int),) * 2
        of_change = np.bincount(of, changes, each)
        both = of_change[a] * of_change[b] * np.where(a == b, 1.0, 2.0)
        both -= np.where(a == b, np.bincount(of, changes**2, each)[a], 0.0)
        kept = both > 0
        a, b, both = a[kept], b[kept], both[kept] / pairs if pairs > 0 else both[kept]
        levels = self.bad[rows][:, looked_at].astype(np.int8)
        return Parts(
            prior=np.concatenate([self.kinds[0] * single, self.kinds[1] * both]),
            levels=np.concatenate([2 * levels, levels[a] + levels[b]]),
            first=np.concatenate([np.arange(each), a]),
            second=np.concatenate([np.arange(each), b]),
            two=np.arange(each + len(a)) >= each,
        )

    def shares(self, candidates: NDArray[np.int64]) -> Floats:
        """Return, of (K, 3, candidates), how likely each of `parts` has a candidate on each level."""
        parts, bad = self.parts, self.bad[:, candidates]
        one, change = (_shares(of, bad, weight) for of, weight in self._weights)
        f, g = change[parts.first[parts.two]], change[parts.second[parts.two]]
        of_two = np.stack([(1 - f) * (1 - g), f + g - 2 * f * g, f * g], axis=1)
        of_one = np.stack([1 - one, np.zeros_like(one), one], axis=1)
        return np.concatenate([of_one, of_two])

    def of_each_part(self, most: int) -> NDArray[np.int64]:
        """Return candidates that cut every likely part of the history into steps of one in `most` of all chance.

        A part is cut by the candidates that may have brought it: of each part so many of them, evenly, as it is likely.
        """
        of, rows = self._part_of
        parts, each = self.parts, len(rows)
        mass = (np.bincount(parts.first, self.mass, each) + np.bincount(parts.second, self.mass, each)) / 2
        found = []
        for part in np.flatnonzero(mass * most >= _CUT):
            members = np.flatnonzero(of == part)
            steps = min(math.ceil(mass[part] * most) + 1, len(members))
            found.append(members[np.linspace(0, len(members) - 1, steps).round().astype(np.int64)])
        return np.concatenate(found)

    @cached_property
    def _part_of(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which part of the history each hypothesis is in, and one hypothesis of each part."""
        looked_at = np.packbits(self.bad[:, list(self.seen)], axis=1)
        _, rows, of = np.unique(looked_at, axis=0, return_index=True, return_inverse=True)
        return of.ravel(), rows

    @cached_property
    def sides(self) -> tuple[Sides, ...]:
        """All that is believed: of each way in which rates may differ, the chances of histories and rates."""
        with np.errstate(divide="ignore"):
            logs = [
                (spread, np.log(chance) + table, np.log(chance) + no_order)
                for (chance, spread), each in zip(self.rates.spreads, self._looks, strict=True)
                for table, no_order in [self._logs(each)]
            ]
        top = max(max(table.max(), no_order.max()) for _, table, no_order in logs)
        found = [Sides(spread, np.exp(table - top), np.exp(no_order - top)) for spread, table, no_order in logs]
        total = sum(sides.rates[:, WORST].sum() + sides.no_order.sum() for sides in found)
        return tuple(Sides(spread, table / total, no_order / total) for spread, table, no_order in found)

    def _logs(self, each: Floats) -> tuple[Floats, Floats]:
        """Return the logarithms of `Sides`, for one spread and its `_looks`, but for a constant."""
        rates, parts = self.rates, self.parts
        good, middle, worst = (self._of_level(level, each) for level in (GOOD, MIDDLE, WORST))
        worst = worst + np.log(rates.worst) + np.log(parts.prior)[:, None]
        two = parts.two[:, None]
        above_good = np.where(two, middle + _given(worst, rates.between), worst)  # of the side above the good one
        above_middle = middle + _over(good, rates.below)
        table = np.stack(
            [
                good + _given(above_good, rates.below),
                np.where(two, above_middle + _given(worst, rates.between), -np.inf),
                worst + np.where(two, _over(above_middle, rates.between), _over(good, rates.below)),
            ],
            axis=1,
        )
        no_order = np.log(self.kinds[2]) + np.log(rates.worst)[:, None] + np.log(rates.below)
        if self.kinds[2]:
            for candidate, row in zip(self.seen, each, strict=False):
                no_order = no_order + row.max() + np.log(np.add(*_either(row, self.bad_at_random(candidate))))
        return table, no_order

    @cached_property
    def _looks(self) -> tuple[Floats, ...]:
        """How likely what was seen of each candidate (rows) is with each rate, as logarithms, for each spread."""
        return tuple(
            np.stack([self.rates.likelihood(spread, looks) for looks in self.seen.values()] or [0 * self.rates.mean])
            for _, spread in self.rates.spreads
        )

    def _of_level(self, level: int, each: Floats) -> Floats:
        """Return, of each of `parts` (rows), how likely what was seen of its candidates on a level is: of `_looks`."""
        levels = self.parts.levels if self.seen else np.zeros((len(self.parts.prior), 1), np.int8)
        return np.asarray((levels == level).astype(np.float64) @ each)

    @cached_property
    def good_hang_alike(self) -> float:
        """The chance that good candidates hang a third as often as bad ones, at least; so does what is good for sure.

        Whether they hang a little more rarely takes hundreds of hangs to tell, and is another question than who brought
        the hang. Histories with two changes are not counted.
        """
        near = self.rates.below * (self.rates.mean[None, :] >= _ALIKE * self.rates.mean[:, None])
        one = ~self.parts.two
        found = 0.0
        for sides, each in zip(self.sides, self._looks, strict=True):
            good = self._of_level(GOOD, each)[one]
            with np.errstate(divide="ignore"):
                of_near, of_all = _over(good, near), _over(good, self.rates.below)
            share = np.exp(of_near - np.where(np.isfinite(of_all), of_all, 0.0))
            share[self._part_of[0][0]] = 1.0  # who takes all for bad
            found += float((share * sides.rates[one, WORST]).sum())
        return found

    def bad_at_random(self, candidate: int) -> float:
        """Return the chance that a candidate is bad where there is no order; the ends are what they are said to be."""
        return float(self._at_random[candidate])

    @cached_property
    def _at_random(self) -> Floats:
        return np.where(self.bad.all(axis=0), 1.0, np.where(self.bad[1:].any(axis=0), 0.5, 0.0))

    def rates_at_random(self, sides: Sides, looks: Sequence[Trials], p: float) -> Floats:
        """Return the chances of no order with each rate of a candidate of which that was seen, bad with a chance."""
        if not looks or not 0 < p < 1:
            return np.asarray(p * sides.no_order.sum(axis=1) + (1 - p) * sides.no_order.sum(axis=0))
        row = self.rates.likelihood(sides.spread, looks)
        if_bad, if_good = _either(row, p)
        both = if_bad + if_good
        bad = sides.no_order * np.divide(if_bad, both, out=np.zeros_like(both), where=both > 0)
        return np.asarray(bad.sum(axis=1) + (sides.no_order - bad).sum(axis=0))

    @cached_property
    def mass(self) -> Floats:
        """The chance of each of `parts`."""
        return np.asarray(sum(sides.rates[:, WORST].sum(axis=1) for sides in self.sides))

    @property
    def no_order(self) -> float:
        """The chance that there is no culprit: the hang comes and goes in the range."""
        return float(sum(sides.no_order.sum() for sides in self.sides))

    @property
    def two_changes(self) -> float:
        """The chance that two candidates made it worse, one after the other."""
        return float(self.mass[self.parts.two].sum())

    @cached_property
    def posterior(self) -> Floats:
        """The chance of each hypothesis to be a culprit, the only one or not; that of 0: the good end hangs as well."""
        return self._chances(np.arange(len(self.bad)))

    def _chances(self, labels: NDArray[np.int64]) -> Floats:
        """Return, for each label from 0 on, the chance that one of the hypotheses that have it is a culprit."""
        parts = self.parts
        one, change = (_split(of, labels, weight) for of, weight in self._weights)
        a, b = change[:, parts.first[parts.two]], change[:, parts.second[parts.two]]
        single = one[:, parts.first[~parts.two]] @ self.mass[~parts.two]
        return np.asarray(single + (a + b - a * b) @ self.mass[parts.two])

    @cached_property
    def _weights(self) -> tuple[tuple[NDArray[np.int64], Floats], ...]:
        """Which part each hypothesis is in, and its weight: as the only change, and as one of two."""
        weight = np.asarray(self.prior, dtype=np.float64) if len(self.prior) else np.ones(len(self.bad))
        changes = weight.copy()
        changes[0] = 0.0
        return (self._part_of[0], weight), (self._part_of[0], changes)

    def members(self, part: int) -> Floats:
        """Return how likely each hypothesis is, if the only change is in this part."""
        of, weight = self._weights[0]
        inside = np.where(of == part, weight, 0.0)
        return np.asarray(inside / inside.sum())

    def good_rates(self, part: int, worst: int) -> Floats:
        """Return how likely each rate of the good side is, given that of the bad side, for a belief that is plain."""
        [sides] = self.sides
        seen = zip(self.parts.levels[part], self.seen.values(), strict=True)
        logs = sum(
            (self.rates.likelihood(sides.spread, looks) for level, looks in seen if level == GOOD), 0 * self.rates.mean
        )
        chances = self.rates.below[worst] * np.exp(logs - logs.max())
        return np.asarray(chances / chances.sum())

    @cached_property
    def groups(self) -> tuple[CulpritGroup, ...]:
        """All hypotheses, the likeliest first, those together that cannot be told apart any more."""
        can = np.ones(self.bad.shape[1], dtype=np.bool_)
        can[list(self.skipped)] = False
        members: dict[bytes, list[int]] = {}  # by what can be seen of them
        for number, row in enumerate(np.packbits(self.bad, axis=1) & np.packbits(can)):
            members.setdefault(row.tobytes(), []).append(number)
        labels = np.empty(len(self.bad), dtype=np.int64)
        for label, each in enumerate(members.values()):
            labels[each] = label
        groups = [
            CulpritGroup(tuple(each), float(chance))
            for each, chance in zip(members.values(), self._chances(labels), strict=True)
        ]
        return tuple(sorted(groups, key=lambda group: -group.mass))

    @cached_property
    def doubting(self) -> Self:
        """The belief of who is sure that good candidates hang now and then, and expects two changes."""
        sometimes = self.rates.between
        below = np.where(sometimes.any(axis=1, keepdims=True), sometimes, self.rates.below)
        kinds = _DOUBTING if self.kinds[1] else self.kinds
        return replace(self, rates=replace(self.rates, below=below), kinds=kinds)

    def unsettled(self, confidence: float = 0.95) -> Self | None:
        """Return the belief that names nobody yet, this one or the `doubting`; None where both name the same.

        That good candidates never hang, and that one change is all, is likelier, so this belief takes most hangs at
        once for those of its culprit; where either is not so, it names the wrong one too often. That the good end hangs
        as often as the bad one is another matter: if it hangs at all, that is hardly to be told from hanging a little
        more rarely.
        """
        first = self.groups[0]
        if first.mass < confidence:
            return self
        if 0 in first.members:
            return None
        others = self.doubting
        named = next(each for each in others.groups if each.members == first.members)
        return others if named.mass < confidence else None

    def answer(self, confidence: float = 0.95) -> CulpritGroup | None:
        """Return who is to blame with at least so much confidence, also for who doubts that the history is simple."""
        return self.groups[0] if self.unsettled(confidence) is None else None

    def hung_once(self, group: CulpritGroup) -> int | None:
        """Return the candidate whose hang it rests on that a group is to blame, where it hung only once; else None.

        Of those that hung, and are bad if the group is to blame, that is the one which the fewest others would make
        bad. Good candidates that hang now and then are thought to hang rarely: the first hang of one is taken for a bad
        one's, and the second is not.
        """
        bad = np.asarray(self.bad[list(group.members)].all(axis=0))
        hangs = {
            candidate: sum(look.hung for look in looks) for candidate, looks in self.seen.items() if bad[candidate]
        }
        hung = [candidate for candidate, count in hangs.items() if count]
        first = min(hung, key=lambda candidate: int(self.bad[:, candidate].sum()), default=None)
        return first if first is not None and hangs[first] == 1 else None

    def rate(self, share: float = 0.5, level: int = WORST) -> float:
        """Return a quantile of the mean hang rate per trial of a side; 0 where it is likelier that it never hangs."""
        chances = sum(sides.rates[:, level].sum(axis=0) for sides in self.sides)
        below = np.cumsum(chances / np.sum(chances))
        if below[0] >= share:
            return 0.0
        return float(np.exp(np.interp(share, below[1:], np.log(self.rates.mean[1:]))))

    def clean_needed(self, confidence: float = 0.95) -> int:
        """Return how many trials without a hang, in one look, make a candidate good that nobody has looked at yet.

        A bad one would be so quiet with a chance of 1 - confidence at most, by all that is known of the rate; where
        daemons may be duds, it is so many that no more of them would tell.
        """
        chances = [(sides.spread, sides.rates[:, WORST].sum(axis=0)) for sides in self.sides]
        total = sum(chance.sum() for _, chance in chances)
        most = _ENOUGH / self.rate()

        def enough(trials: int) -> bool:
            lengths = np.array([trials])
            quiet = sum(float(chance @ self.rates.quiet(spread, lengths)[:, 0]) for spread, chance in chances)
            return quiet <= (1 - confidence) * total or trials >= most

        return fewest(enough)


def _shares(of: NDArray[np.int64], bad: Bools, weight: Floats) -> Floats:
    """Return which share of each part (rows) has each candidate (columns) bad."""
    total = np.bincount(of, weight)
    members = np.split(np.argsort(of, kind="stable"), np.cumsum(np.bincount(of))[:-1])
    found = np.stack([weight[rows] @ bad[rows] for rows in members])
    return np.divide(found, total[:, None], out=np.zeros_like(found), where=total[:, None] > 0)


def _split(of: NDArray[np.int64], labels: NDArray[np.int64], weight: Floats) -> Floats:
    """Return which share of each part (columns) has each label (rows)."""
    found = np.zeros((labels.max() + 1, of.max() + 1))
    np.add.at(found, (labels, of), weight)
    total = np.bincount(of, weight)
    return np.divide(found, total, out=np.zeros_like(found), where=total > 0)


def _over(logs: Floats, weights: Floats) -> Floats:
    """Return, of (K, r), the logarithm of the sum over g of weights[r, g] exp(logs[K, g])."""
    return _given(logs, weights.T)


def _given(logs: Floats, weights: Floats) -> Floats:
    """Return, of (K, g), the logarithm of the sum over r of weights[r, g] exp(logs[K, r])."""
    top = logs.max(axis=1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    return np.asarray(np.log(np.exp(logs - top) @ weights) + top)


def _either(logs: Floats, p: float) -> tuple[Floats, Floats]:
    """Return how likely what was seen came of the bad rate (rows), or of the good one; but for a constant."""
    seen = np.exp(logs - logs.max())
    return p * seen[:, None], (1 - p) * seen[None, :]
