"""Dice: the same chance again for the same seed, actor and count, and another for any other."""

import os
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from harness.core.rng import Dice

NAMES = st.from_regex(r"\A[a-z0-9][a-z0-9_-]{0,10}\Z")


@given(st.integers(0, 2**32), NAMES, st.integers(1, 10**6))
def test_the_same_again(seed: int, actor: str, count: int) -> None:
    """A throw depends on nothing but seed, actor and count: not on throws before it, nor on the object."""
    dice = Dice(seed, actor)
    first = [dice.throw(count).random() for _ in range(2)]
    dice.throw(count + 1).random()
    assert [*first, Dice(seed, actor).throw(count).random()] == [first[0]] * 3


@given(st.integers(0, 2**32), NAMES, NAMES, st.integers(1, 10**6))
def test_all_three_count(seed: int, actor: str, other: str, count: int) -> None:
    """Another seed, another actor or another count is another throw."""
    throws = {
        (seed, actor, count),
        (seed + 1, actor, count),
        (seed, actor, count + 1),
        (seed, other, count),
        (count, actor, seed),
    }
    assert len({Dice(a, b).throw(c).random() for a, b, c in throws}) == len(throws)


def test_the_same_in_another_process() -> None:
    """A plan of actions can be had again later: Python's own hash seed, which differs each time, is not in it."""
    program = "from harness.core.rng import Dice; print(Dice(7, 'ci').throw(3).random())"

    def told(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        return subprocess.run(
            [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
        ).stdout

    assert float(told("1")) == float(told("2")) == Dice(7, "ci").throw(3).random()


def test_throws_are_spread_evenly() -> None:
    """First numbers of throws in a row, as `chance` uses them, are as even as chance is."""
    dice = Dice(1, "ci")
    below = sum(dice.throw(count).random() < 0.3 for count in range(1, 10_001))
    assert abs(below - 3000) < 250  # sqrt(10000 * 0.3 * 0.7) is 46
