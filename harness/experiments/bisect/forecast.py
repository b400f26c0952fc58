"""How long a search will take still: futures of it are played out, each with a culprit and hang rates as believed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from harness.analysis.rates import quantile
from harness.core.rng import SEED_BITS
from harness.experiments.bisect.belief import WORST, Belief
from harness.experiments.bisect.choice import Costs, chance_to_work, next_looks
from harness.experiments.bisect.spread import Drawn

_FUTURES: Final = 25
_FEWEST: Final = 5
"""Fewer futures say nothing."""
_CHOICES: Final = 40_000
"""Once so many looks are chosen, times candidates, no future is begun: a second with 64 candidates, some with 1,000."""
_LOOKS: Final = range(150, 601)
"""So few, and so many looks are chosen before that, however many candidates there are."""
_ENDLESS: Final = 300
"""A future that takes more looks than this is not played to its end."""


@dataclass(frozen=True)
class Forecast:
    """Between what two numbers of seconds it will be, in four of five cases."""

    low80: float
    high80: float


def forecast(belief: Belief, costs: Costs, confidence: float, seed: int, places: int = 1) -> Forecast | None:
    """Return how many seconds a search will take until it answers, or finds nothing more to learn.

    None where that takes so many looks that to play them out would take too long.

    Args:
        belief: what is believed now.
        costs: what looks take.
        confidence: with which it answers.
        seed: of the futures that are drawn.
        places: how many looks are made at once.
    """
    if not _next(belief, costs, confidence, places):  # who plays futures is of plainer belief, and would look on
        return Forecast(0.0, 0.0)
    chance = np.random.default_rng(seed % 2**SEED_BITS)
    most = min(max(_CHOICES // belief.bad.shape[1], _LOOKS[0]), _LOOKS[-1])
    seconds: list[float] = []
    looks = 0
    while len(seconds) < _FUTURES and looks < most:  # one that is begun is ended: to drop the longest would flatter
        future = _future(belief, costs, confidence, chance, places)
        if future is None:
            return None
        seconds.append(future.seconds)
        looks += future.looks
    low, high = (quantile(seconds, share) for share in (0.1, 0.9))
    return None if low is None or high is None or len(seconds) < _FEWEST else Forecast(low, high)


@dataclass(frozen=True)
class _Future:
    seconds: float
    looks: int


def _future(
    belief: Belief, costs: Costs, confidence: float, chance: np.random.Generator, places: int
) -> _Future | None:
    """Play one future out; None if it seems to have no end."""
    belief = belief.plain
    hangs_at = _world(belief, chance)
    have, seconds, looks = list(costs.have), 0.0, 0
    while batch := _next(belief, replace(costs, have=have), confidence, places):
        if looks >= _ENDLESS:
            return None
        looks += len(batch)
        longest = 0.0
        for candidate, most in batch:
            seconds += have[candidate]  # one after the other: a build takes all cores
            if have[candidate] and chance.random() > chance_to_work(belief, np.array([candidate]))[0]:
                belief = belief.skip(candidate)
                continue
            have[candidate] = 0.0
            until = hangs_at(candidate)
            hung, trials = until <= most, min(until, most)
            longest = max(longest, costs.start + costs.trial * trials + costs.hang * hung)
            belief = belief.saw(candidate, trials, hung=hung)
        seconds += longest
    return _Future(seconds, looks)


def _next(belief: Belief, costs: Costs, confidence: float, places: int) -> list[tuple[int, int]]:
    """Return the candidates of the next looks, and their trials at most; none at the end of a search."""
    unsettled = belief.unsettled(confidence)
    if unsettled is not None:
        return [(choice.candidate, choice.trials) for choice in next_looks(unsettled, costs, places)]
    once = belief.hung_once(belief.groups[0])
    return [] if once is None else [(once, belief.clean_needed())]


def _world(belief: Belief, chance: np.random.Generator) -> Callable[[int], int]:
    """Draw a culprit and hang rates; return what draws the trial at which a look at a candidate hangs."""
    [sides], rates = belief.sides, belief.rates
    drawn = int(
        chance.choice(sides.rates[:, WORST].size, p=sides.rates[:, WORST].ravel() / sides.rates[:, WORST].sum())
    )
    part, worst = np.unravel_index(drawn, sides.rates[:, WORST].shape)
    culprit = int(chance.choice(len(belief.bad), p=belief.members(int(part))))
    good = chance.choice(len(rates.mean), p=belief.good_rates(int(part), int(worst)))
    daemons: dict[int, Drawn] = {}

    def hangs_at(candidate: int) -> int:
        mean = float(rates.mean[worst if belief.bad[culprit, candidate] else good])
        if not mean:
            return np.iinfo(np.int64).max
        if candidate not in daemons:
            daemons[candidate] = sides.spread.draw(mean, chance, belief.seen.get(candidate, ()))
        return int(chance.geometric(daemons[candidate]()))

    return hangs_at
