"""Searches over candidates that are made up: culprits, hang rates, failures and the clock are drawn from a seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from harness.experiments.bisect.belief import Belief, hypotheses, line
from harness.experiments.bisect.choice import Costs, next_look, next_looks
from harness.experiments.bisect.rates import Rates

BUILD: Final = 60.0
START: Final = 5.0
TRIAL: Final = 0.5
"""Seconds."""
HANGS: Final = 3
"""Seen on the bad end before the search. One leaves the rate too open, and more than three cost what they save."""


@dataclass(frozen=True)
class Setting:
    """What world is drawn."""

    rate: float
    count: int = 64
    shape: float = math.inf
    """By how much the hang rates of bad candidates differ: Beta(shape, …) about the rate; inf: not at all."""
    unbuildable: float = 0.05
    infra: float = 0.01


@dataclass(frozen=True)
class Told:
    """What a search ended with."""

    members: tuple[int, ...]
    right: bool
    mass: float
    seconds: float
    builds: int
    looks: int


class World:
    """One made-up history, and the clock of a search in it."""

    def __init__(self, setting: Setting, seed: int, culprit: int | None = None) -> None:
        self.setting = setting
        self.chance = np.random.default_rng(seed)
        n = setting.count
        drawn = int(self.chance.integers(1, n))
        self.culprit = drawn if culprit is None else culprit
        self.builds = self.chance.random(n) >= setting.unbuildable
        self.builds[n - 1] = True  # an end that does not build is said before a search
        if math.isinf(setting.shape):
            own = np.full(n, setting.rate)
        else:
            own = self.chance.beta(setting.shape, setting.shape * (1 - setting.rate) / setting.rate, n)
        self.rates = np.where(np.arange(n) >= self.culprit, own, 0.0)
        self.had: set[int] = set()
        self.tried = 0
        self.looks = 0
        self.seconds = 0.0

    def have(self, candidate: int) -> bool:
        """Build a candidate, unless it is there."""
        if candidate not in self.had:
            self.seconds += BUILD
            self.tried += 1
            if self.builds[candidate]:
                self.had.add(candidate)
        return candidate in self.had

    def look(self, candidate: int, trials: int) -> tuple[int, bool]:
        """Look until it says something; how many trials were made, and whether the last one hung."""
        rate = self.rates[candidate]
        while True:
            self.looks += 1
            until = int(self.chance.geometric(rate)) if rate else trials + 1
            made = min(until, trials)
            if self.chance.random() < self.setting.infra:
                self.seconds += START + TRIAL * made * self.chance.random()
                continue
            self.seconds += START + TRIAL * made
            return made, until <= trials

    def told(self, members: tuple[int, ...], mass: float) -> Told:
        """Return what the search ends with."""
        return Told(members, self.culprit in members, mass, self.seconds, self.tried, self.looks)


def search(
    setting: Setting, seed: int, *, rates: Rates | None = None, confidence: float = 0.95, culprit: int | None = None
) -> Told:
    """Search one world as `repro bisect` does: see the bad end hang three times, then look where it tells most."""
    world = World(setting, seed, culprit)
    end = setting.count - 1
    belief = Belief(hypotheses(line(setting.count)), rates or Rates.flat())
    world.have(end)
    for _ in range(HANGS):
        trials, hung = world.look(end, 10**9)
        belief = belief.saw(end, trials, hung=hung)
    while (answer := belief.answer(confidence)) is None:
        have = [0.0 if candidate in world.had else BUILD for candidate in range(setting.count)]
        choice = next_look(belief, Costs(have, START, TRIAL))
        assert choice is not None, "short of an answer something can be told"
        if world.have(choice.candidate):
            trials, hung = world.look(choice.candidate, choice.trials)
            belief = belief.saw(choice.candidate, trials, hung=hung)
        else:
            belief = belief.skip(choice.candidate)
    return world.told(answer.members, answer.mass)


def search_on(setting: Setting, seed: int, places: int, *, confidence: float = 0.95) -> Told:
    """Search one world in so many places at once, as `Search` does it on a fleet.

    What is to be looked at next is built one after the other, then looked at side by side; all looks of such a batch
    are over before the next is chosen. `seconds` are those that pass.
    """
    world, passed = World(setting, seed), 0.0
    end = setting.count - 1
    belief = Belief(hypotheses(line(setting.count)), Rates.flat())
    world.have(end)
    passed += BUILD

    def took(candidate: int, trials: int) -> tuple[int, bool, float]:
        before = world.seconds
        made, hung = world.look(candidate, trials)
        return made, hung, world.seconds - before

    for batch in _batches(HANGS, places):
        looks = [took(end, 10**9) for _ in range(batch)]
        passed += max(seconds for *_, seconds in looks)
        for trials, hung, _ in looks:
            belief = belief.saw(end, trials, hung=hung)
    while (answer := belief.answer(confidence)) is None:
        have = [0.0 if candidate in world.had else BUILD for candidate in range(setting.count)]
        choices = next_looks(belief, Costs(have, START, TRIAL), places)
        assert choices, "short of an answer something can be told"
        for candidate in {choice.candidate for choice in choices} - world.had - belief.skipped:
            passed += BUILD
            if not world.have(candidate):
                belief = belief.skip(candidate)
        able = [choice for choice in choices if choice.candidate not in belief.skipped]
        seen = [(choice.candidate, *took(choice.candidate, choice.trials)) for choice in able]
        passed += max((seconds for *_, seconds in seen), default=0.0)
        for candidate, trials, hung, _ in seen:
            belief = belief.saw(candidate, trials, hung=hung)
    told = world.told(answer.members, answer.mass)
    return replace(told, seconds=passed)


def _batches(count: int, places: int) -> list[int]:
    """Return how many of so many are made at once, each time."""
    return [min(places, count - begun) for begun in range(0, count, places)]


def fixed(setting: Setting, seed: int, multiple: float, *, oracle: bool) -> Told:
    """Search the same world as `git bisect` does: halves, its way to skip, and so many clean trials for "good".

    Args:
        setting: the kind of world.
        seed: the world.
        multiple: of the trials that a hang takes on average, how many make "good".
        oracle: whether that average is known beforehand, so that the bad end is only seen to hang once; else it is
            learned as by `search`.
    """
    world = World(setting, seed)
    low, high = 0, setting.count - 1
    world.have(high)
    took = [world.look(high, 10**9)[0] for _ in range(1 if oracle else HANGS)]
    clean = math.ceil(multiple * (1 / setting.rate if oracle else sum(took) / len(took)))
    skipped: set[int] = set()
    while left := [candidate for candidate in range(low + 1, high) if candidate not in skipped]:
        candidate = _halfway(low, high, left, skipped)
        if not world.have(candidate):
            skipped.add(candidate)
        elif world.look(candidate, clean)[1]:
            high = candidate
        else:
            low = candidate
    return world.told(tuple(range(low + 1, high + 1)), math.nan)


def _halfway(low: int, high: int, left: Sequence[int], skipped: set[int]) -> int:
    """Return what git tries next: the middle, or, if that was skipped, one away from it by chance (`skip_away`)."""
    every = sorted(range(low + 1, high), key=lambda candidate: -min(candidate - low, high - candidate))
    if every[0] not in skipped:
        return every[0]
    order = sorted(left, key=every.index)
    drawn = (len(order) * 1103515245 + 12345) // 65536 % 32768 / 32768
    return order[int(len(order) * drawn * math.sqrt(drawn))]
