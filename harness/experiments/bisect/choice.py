"""Where to look next and for how long: what tells most about the culprit per second, all costs counted.

A look of n trials hangs or does not. What that tells is the mutual information of its outcome and the hypothesis: how
uncertain the outcome is, less how uncertain it is for one who knows the culprit. Short looks tell more per trial, long
ones pay a build and a start off; the best quotient weighs these by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from harness.experiments.bisect.belief import Belief, Bools
from harness.experiments.bisect.spread import Floats, Ints

_LENGTHS: Final = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.5, 7.0, 11.0)
"""Of looks, in trials that a hang takes on average."""
_NEGLIGIBLE: Final = 1e-9
"""Hypotheses with no more of a chance than this one among so many are left out of the sums."""
_LEAST_BITS: Final = 1e-5
"""Where no look tells more than this, there is no more to learn."""
_MANY: Final = 256
"""Of more candidates than this not all are thought through."""
_STEPS: Final = 64
"""So finely is the chance of all cut then: a look at one that is off by half a step tells as good as the same."""
_AT_ONCE: Final = 0.1
"""What a look costs of its time that passes anyway: a place that another one could have."""
_SAME: Final = 0.999
"""Candidates within a thousandth of the best are ties: the oldest is chosen, not rounding's."""


@dataclass(frozen=True)
class Costs:
    """What looks take, in seconds."""

    have: Sequence[float]
    """To build or fetch each candidate; 0 where it is there."""
    start: float
    """To start a daemon and to end it, each look again."""
    trial: float
    hang: float = 0.0
    """From a hang to its being told."""
    longest: int = 1_000_000
    """No look has more trials."""


@dataclass(frozen=True)
class Acquisition:
    """A look to be made."""

    candidate: int
    trials: int
    """At most: a hang ends it."""
    gain_bits: float
    """What it is expected to tell of the culprit."""
    seconds: float
    """What it is expected to take, if the candidate can be had."""


def next_look(belief: Belief, costs: Costs, beside: float = 0.0) -> Acquisition | None:
    """Return the look with most bits per second; None where nothing that can be tried tells anything.

    Args:
        belief: what is known.
        costs: what looks take.
        beside: seconds that looks in other places take at the same time: of a look they cost little.
    """
    likely = belief.mass > _NEGLIGIBLE
    open_ = np.setdiff1d(_worth_a_thought(belief, costs), list(belief.skipped)).astype(np.int64)
    if not len(open_):
        return None
    trials = _lengths(belief, costs)
    clean, bits, made = _foresight(belief, likely, open_, trials)
    have = np.asarray(costs.have, dtype=np.float64)[open_]
    works = np.where(have > 0, chance_to_work(belief, open_), 1.0)[:, None]
    seconds = costs.start + costs.trial * made + costs.hang * (1 - clean)
    passing = np.maximum(seconds - beside, _AT_ONCE * seconds) if beside else seconds
    worth = works * bits / (have[:, None] + works * passing)
    if (works * bits).max() <= _LEAST_BITS:
        return None
    row = int(np.argmax(worth.max(axis=1) >= _SAME * worth.max()))
    column = int(np.argmax(worth[row]))
    expected = float(have[row] + seconds[row, column])
    return Acquisition(int(open_[row]), int(trials[column]), float(bits[row, column]), expected)


def next_looks(belief: Belief, costs: Costs, places: int) -> list[Acquisition]:
    """Return what is looked at next in so many places at once, the most telling first; nothing where nothing is.

    Candidates are built one after the other, and looked at side by side. Each choice is made as if those before it had
    come to what is likelier, so that they do not all ask the same. What it tells counts by how likely that is: one
    is built only if the batch then tells no less in a second. All but the first are chosen by the likeliest way alone
    in which rates differ, as long as that leaves anything open.
    """
    chosen: list[Acquisition] = []
    bits = passed = beside = 0.0
    likely, plain = 1.0, belief.plain
    choice = next_look(belief, costs)
    while choice:
        build = costs.have[choice.candidate]
        if likely * choice.gain_bits * passed < bits * build:
            break
        chosen.append(choice)
        if len(chosen) == places:
            break
        longer = max(choice.seconds - build - beside, 0.0)
        bits, passed, beside = bits + likely * choice.gain_bits, passed + build + longer, beside + longer
        quiet = _chance_of_silence(plain, choice)
        likely *= max(quiet, 1 - quiet)
        belief, plain = (each.saw(choice.candidate, choice.trials, hung=quiet < 0.5) for each in (belief, plain))
        have = [0.0 if each == choice.candidate else cost for each, cost in enumerate(costs.have)]
        costs = replace(costs, have=have)  # another look at it in the same batch needs no second build
        choice = next_look(plain, costs, beside) or next_look(belief, costs, beside)
    return chosen


def _worth_a_thought(belief: Belief, costs: Costs) -> Ints:
    """Return the candidates among which the best is found: of a few all, of many those that say about as much as any.

    What a look at one tells hardly differs from what one at its neighbour does.
    """
    count = belief.bad.shape[1]
    if count <= _MANY:
        return np.arange(count)
    there = np.flatnonzero(np.asarray(costs.have, dtype=np.float64) == 0)
    return np.unique(np.concatenate([belief.of_each_part(_STEPS), there, [*belief.seen]])).astype(np.int64)


def _chance_of_silence(belief: Belief, choice: Acquisition) -> float:
    """Return how likely no hang comes of a look."""
    of_one, trials = np.array([choice.candidate]), np.array([choice.trials])
    clean, _, _ = _foresight(belief, belief.mass > _NEGLIGIBLE, of_one, trials)
    return float(clean[0, 0])


def _lengths(belief: Belief, costs: Costs) -> Ints:
    unit = 1 / belief.rate()
    return np.unique(np.clip(np.ceil(unit * np.array(_LENGTHS)), 1, costs.longest)).astype(np.int64)


def _foresight(belief: Belief, likely: Bools, open_: Ints, trials: Ints) -> tuple[Floats, Floats, Floats]:
    """Return the chance of no hang, the bits told, and the trials made: of each candidate and number of trials."""
    shape = len(open_), len(trials)
    clean, bits, made = np.empty(shape), np.empty(shape), np.empty(shape)
    seen = [(belief.seen.get(int(candidate), ()), belief.bad_at_random(int(candidate))) for candidate in open_]
    chance = belief.mass[likely][:, None, None]
    shares = belief.shares(open_)[likely]
    for looks, at_random in set(seen):
        these = np.array([one == (looks, at_random) for one in seen])
        share = shares[:, :, these].reshape(-1, these.sum()).T
        quiet, until = np.zeros((2, likely.sum(), 3, len(trials)))
        no_order_quiet, no_order_until = np.zeros((2, len(trials)))
        for sides in belief.sides:
            next_quiet = belief.rates.quiet(sides.spread, trials, looks)
            next_until = belief.rates.until_hang(sides.spread, trials, looks)
            quiet += sides.rates[likely] @ next_quiet
            until += sides.rates[likely] @ next_until
            if belief.kinds[2]:
                rates = belief.rates_at_random(sides, looks, at_random)
                no_order_quiet += rates @ next_quiet
                no_order_until += rates @ next_until
        uncertain = (chance * _coin(quiet / chance)).reshape(-1, len(trials))
        uncertain_at_random = belief.no_order * _coin(no_order_quiet / max(belief.no_order, 1e-300))
        clean[these] = share @ quiet.reshape(-1, len(trials)) + no_order_quiet
        bits[these] = _coin(clean[these]) - share @ uncertain - uncertain_at_random
        made[these] = share @ until.reshape(-1, len(trials)) + no_order_until
    return clean, bits, made


def _coin(chance: Floats) -> Floats:
    """Return how uncertain an event of such a chance is, in bits."""
    p = np.clip(chance, 1e-15, 1 - 1e-15)
    return -(p * np.log2(p) + (1 - p) * np.log2(1 - p))


def chance_to_work(belief: Belief, open_: Ints) -> Floats:
    """Return the chance that each candidate builds and starts: those broken are often neighbours."""
    tried = sorted(belief.skipped | set(belief.seen))
    failed = np.array([candidate in belief.skipped for candidate in tried], dtype=np.float64)
    near = 1 / (1 + np.abs(np.subtract.outer(open_, tried)))
    return np.asarray(1 - (near @ failed + 0.1) / (near.sum(axis=1) + 2))
