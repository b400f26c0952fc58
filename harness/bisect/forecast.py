"""How long a search will take still: futures of it are played out, each with a culprit and hang rates as believed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from harness.bisect.belief import Belief, Seen
from harness.bisect.choice import Costs, chance_to_work, next_look
from harness.stats import quantile

_FUTURES: Final = 25
_FEWEST: Final = 5
"""Fewer futures say nothing."""
_CHOICES: Final = 40_000
"""Looks that are chosen, times candidates: about a second or two on one core."""
_LOOKS: Final = range(120, 601)
"""So few, and so many looks are chosen, however many candidates there are."""


@dataclass(frozen=True)
class Forecast:
    """Between what two numbers of seconds it will be, in four of five cases."""

    low80: float
    high80: float


def forecast(belief: Belief, costs: Costs, confidence: float, seed: int) -> Forecast | None:
    """Return how many seconds a search will take until it answers, or finds nothing more to learn.

    None where that takes so many looks that to play them out would take too long.

    Args:
        belief: what is believed now.
        costs: what looks take.
        confidence: with which it answers.
        seed: of the futures that are drawn.
    """
    chance = np.random.default_rng(seed)
    looks = iter(range(min(max(_CHOICES // belief.bad.shape[1], _LOOKS[0]), _LOOKS[-1])))
    futures = (_future(belief, costs, confidence, chance, looks) for _ in range(_FUTURES))
    seconds = [took for took in futures if took is not None]
    low, high = (quantile(seconds, share) for share in (0.1, 0.9))
    return None if low is None or high is None or len(seconds) < _FEWEST else Forecast(low, high)


def _future(
    belief: Belief, costs: Costs, confidence: float, chance: np.random.Generator, looks: Iterator[int]
) -> float | None:
    """Play one future out, and return the seconds that it took; None if no looks were left for its end."""
    hangs_at = _world(belief, chance)
    have, seconds = list(costs.have), 0.0
    while not belief.answer(confidence):
        choice = next_look(belief, replace(costs, have=have))
        if choice is None:
            break
        if next(looks, None) is None:
            return None
        candidate = choice.candidate
        seconds += have[candidate]
        if have[candidate] and chance.random() > chance_to_work(belief, np.array([candidate]))[0]:
            belief = belief.skip(candidate)
            continue
        have[candidate] = 0.0
        until = hangs_at(candidate)
        hung = until <= choice.trials
        trials = min(until, choice.trials)
        seconds += costs.start + costs.trial * trials + costs.hang * hung
        belief = belief.saw(candidate, trials, hung=hung)
    return seconds


def _world(belief: Belief, chance: np.random.Generator) -> Callable[[int], int]:
    """Draw a culprit and hang rates; return what draws the trial at which a look at a candidate hangs."""
    drawn = int(chance.choice(belief.joint.size, p=belief.joint.ravel()))
    culprit, mean = np.unravel_index(drawn, belief.joint.shape)
    rates: dict[int, float] = {}

    def hangs_at(candidate: int) -> int:
        if not belief.bad[culprit, candidate]:
            return np.iinfo(np.int64).max
        if candidate not in rates:
            seen = belief.seen.get(candidate, Seen())
            rates[candidate] = belief.rates.draw(int(mean), chance, seen.clean, seen.hangs)
        return int(chance.geometric(rates[candidate]))

    return hangs_at
