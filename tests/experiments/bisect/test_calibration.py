"""Seeded searches: what is said to be sure is as sure as it is said to be, and costs less than sureness by halves.

`tests/benchmarks/bisect.py` has the full figures.
"""

import math
from collections.abc import Sequence
from functools import cache
from statistics import fmean

import pytest

from harness.experiments.bisect.rates import Rates
from tests.experiments.bisect.simulated import BUILD, Setting, Told, fixed, search

COUNTS = {0.3: 12, 0.03: 16}


@cache
def searched(rate: float, shape: float) -> tuple[Told, ...]:
    """Search so many worlds as the rate allows in a few seconds."""
    return tuple(search(Setting(rate, shape=shape), seed) for seed in range(COUNTS[rate]))


def right(told: Sequence[Told]) -> float:
    """Return the share of right answers."""
    return fmean(one.right for one in told)


@pytest.mark.parametrize("shape", [4.0, math.inf], ids=["spread", "alike"])
def test_answers_are_as_right_as_they_say(shape: float) -> None:
    """Of 28 answers given at 0.95, over two hang rates, at most two are wrong, and they say no less than 0.95."""
    told = [one for rate in COUNTS for one in searched(rate, shape)]
    assert sum(not one.right for one in told) <= 2
    assert min(one.mass for one in told) >= 0.95


def test_a_wrong_rate_would_show() -> None:
    """A search that holds the hang rate for four times what it is, and knows it for sure, is wrong: it would show."""
    told = [search(Setting(0.03), seed, rates=Rates.known(0.12)) for seed in range(12)]
    assert right(told) < 0.9


@pytest.mark.parametrize(("rate", "shape", "multiple"), [(0.03, 4.0, 12), (0.03, math.inf, 10)])
def test_it_costs_less_than_halves(rate: float, shape: float, multiple: float) -> None:
    """A bisect by a fixed number of clean trials, learned from the same hangs, costs more where it is no more right."""
    told = searched(rate, shape)
    halves = [fixed(Setting(rate, shape=shape), seed, multiple, oracle=False) for seed in range(400)]
    assert right(halves) < 0.99
    assert right(told) >= right(halves) - 0.02
    assert fmean(one.seconds for one in told) < 0.95 * fmean(one.seconds for one in halves)


def test_answers_are_few() -> None:
    """Where a third does not build, answers are right as often, and name the few that cannot be told apart."""
    told = [search(Setting(0.3, unbuildable=0.3), seed) for seed in range(12)]
    assert sum(not one.right for one in told) <= 1
    assert fmean(len(one.members) for one in told) < 2.5
    assert 1 < max(len(one.members) for one in told) < 8


def test_the_good_end_is_bad() -> None:
    """Where all candidates are bad the search says so, and does not name the second."""
    told = [search(Setting(0.3, count=16), seed, culprit=0) for seed in range(4)]
    assert sum(one.members == (0,) or (0 in one.members and len(one.members) == 2) for one in told) == 4


def test_halves_are_a_fair_rival() -> None:
    """With as many clean trials as it likes the rival is always right, and needs no more builds than halves do."""
    told = [fixed(Setting(0.3, unbuildable=0.0), seed, 50, oracle=True) for seed in range(50)]
    assert right(told) == 1.0
    assert max(one.builds for one in told) <= 1 + math.ceil(math.log2(63))
    assert min(one.seconds for one in told) > 6 * BUILD
