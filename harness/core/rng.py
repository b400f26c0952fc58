"""Reproducible chance: everything random in a run follows from its seed, an actor's name and a count."""

import secrets
from dataclasses import dataclass
from random import Random
from typing import Final

SEED_BITS: Final = 32


def first_seed(*given: int | None) -> int:
    """Return the first seed that is given, or else a random one."""
    return next((seed for seed in given if seed is not None), secrets.randbits(SEED_BITS))


@dataclass(frozen=True)
class Dice:
    """The chance of one actor in one run. Two throws share nothing, so the order in which they are made is free."""

    seed: int
    actor: str

    def throw(self, count: int) -> Random:
        """Return the generator for the actor's `count`-th act."""
        return Random(f"{self.seed}:{self.actor}:{count}")  # noqa: S311 — a plan of actions, not a secret
