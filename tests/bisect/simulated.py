"""Searches over candidates that are made up: culprits, hang rates, failures and the clock are drawn from a seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from harness.bisect.belief import Belief, hypotheses, line
from harness.bisect.choice import Costs, next_look
from harness.bisect.rates import Rates

BUILD: Final = 60.0
START: Final = 5.0
TRIAL: Final = 0.5


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

    def __init__(self, setting: Setting, seed: int) -> None:
        self.setting = setting
        self.chance = np.random.default_rng(seed)
        n = setting.count
        self.culprit = int(self.chance.integers(1, n))
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


def search(
    setting: Setting, seed: int, *, rates: Rates | None = None, confidence: float = 0.95, calibrate: int = 3
) -> Told:
    """Search one world as `repro bisect` does: calibrate on the bad end, then look where it tells most."""
    world = World(setting, seed)
    n = setting.count
    belief = Belief(hypotheses(line(n)), rates or Rates.flat())
    world.have(n - 1)
    for _ in range(calibrate):
        trials, hung = world.look(n - 1, 10**9)
        belief = belief.saw(n - 1, trials, hung=hung)
    while (answer := belief.answer(confidence)) is None:
        have = [0.0 if x in world.had else BUILD for x in range(n)]
        choice = next_look(belief, Costs(have, START, TRIAL))
        assert choice is not None
        if not world.have(choice.candidate):
            belief = belief.skip(choice.candidate)
            continue
        trials, hung = world.look(choice.candidate, choice.trials)
        belief = belief.saw(choice.candidate, trials, hung=hung)
    return Told(
        answer.members, world.culprit in answer.members, answer.mass, world.seconds, world.tried, world.looks
    )


def fixed(setting: Setting, seed: int, clean: int, *, calibrate: int = 1) -> Told:
    """Search the same world as `git bisect` does with so many clean trials for "good": halves, and git's way to skip."""
    world = World(setting, seed)
    low, high = 0, setting.count - 1
    skipped: set[int] = set()
    if calibrate:
        world.have(high)
        for _ in range(calibrate):
            world.look(high, 10**9)
    while left := [x for x in range(low + 1, high) if x not in skipped]:
        candidate = _halfway(low, high, left, skipped)
        if not world.have(candidate):
            skipped.add(candidate)
        elif world.look(candidate, clean)[1]:
            high = candidate
        else:
            low = candidate
    members = tuple(range(low + 1, high + 1))
    return Told(members, world.culprit in members, math.nan, world.seconds, world.tried, world.looks)


def _halfway(low: int, high: int, left: Sequence[int], skipped: set[int]) -> int:
    """Return what git tries next: the middle, or, if that was skipped, one away from it by chance (`skip_away`)."""
    order = sorted(left, key=lambda x: -min(x - low, high - x))
    every = sorted(range(low + 1, high), key=lambda x: -min(x - low, high - x))
    if every[0] not in skipped:
        return order[0]
    count = len(order)
    drawn = (count * 1103515245 + 12345) // 65536 % 32768
    return order[int(count * drawn / 32768 * math.sqrt(drawn / 32768))]
