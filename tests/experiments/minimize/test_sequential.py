"""The sequential test: how often it is wrong, counted over many seeds of coins that know nothing of it."""

from random import Random

import pytest

from harness.experiments.minimize.sequential import Bounds, Decision, Tally, comes_every_time, decide, reference_is_next

SEEDS = 60
ALLOWED = 8
"""Of 60 at 5 %: 3 are expected, and more than 8 come by chance in less than one of two hundred."""


def decided(seed: int, rate: float, changed: float, known: int) -> Decision:
    """Return what is decided of a change, after so many attempts at what it changes."""
    random, bounds = Random(seed), Bounds()
    reference = Tally(sum(random.random() < rate for _ in range(known)), known)
    change, decision, group = Tally(), None, max(1, round(0.5 / rate))
    while decision is None:
        if reference_is_next(reference, change):
            reference = reference.with_one(hung=random.random() < rate)
        else:
            change = change.with_one(hung=random.random() < changed)
        if (reference.trials + change.trials) % group == 0:  # the bounds hold whenever one looks
            decision = decide(reference, change, bounds)
    return decision


@pytest.mark.parametrize(("rate", "known"), [(0.1, 40), (0.5, 10), (0.9, 7), (1.0, 7)])
def test_errors_are_within_their_bounds(rate: float, known: int) -> None:
    """A change that halves the rate is rarely kept, one that leaves it rarely dropped; once in ten as always."""
    wrong = sum(decided(seed, rate, rate / 2, known) == "keep" for seed in range(SEEDS))
    assert wrong <= ALLOWED
    assert sum(decided(seed, rate, rate, known) == "drop" for seed in range(SEEDS)) <= ALLOWED


def test_a_change_that_never_hangs_is_never_kept() -> None:
    """Without a hang nothing is kept, and what hangs more often than before is."""
    assert {decided(seed, 0.3, 0.0, 10) for seed in range(20)} == {"drop"}
    assert [decided(seed, 0.3, 0.9, 10) for seed in range(20)].count("keep") >= 18


def test_certainty_of_a_hang_that_comes_every_time() -> None:
    """It takes seven hangs in a row to say that a hang comes every time, and two silences to say that it does not."""
    assert [comes_every_time(Tally(hangs, hangs)) for hangs in (6, 7)] == [None, "keep"]
    assert [comes_every_time(Tally(0, trials)) for trials in (1, 2)] == [None, "drop"]
