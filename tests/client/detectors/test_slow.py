"""A success that took far too long."""

from dataclasses import replace

import pytest

from harness.client.detectors.base import Success
from harness.client.detectors.slow import Slow
from harness.core.outcome import Symptom

BUILD = Success("ci", {"N": "1"}, started=0.0, exited=9.0, tail=0.005, steps=(), uses_cache=True)


@pytest.mark.parametrize(
    ("tail", "usual", "is_slow"),
    [(0.9, 0.005, False), (1.1, 0.005, True), (1.1, 0.02, False), (2.1, 0.02, True), (60.0, None, False)],
    ids=["below a second", "above", "below a hundred times", "above them", "nothing is usual yet"],
)
def test_slow(tail: float, usual: float | None, *, is_slow: bool) -> None:
    """It is slow at a hundred times the usual, and never below a second, or before anything is usual."""
    found = Slow(100.0, lambda: usual).weigh(replace(BUILD, tail=tail))
    assert (found is not None) == is_slow
    if found:
        assert (found.kind, found.waited) == (Symptom.SLOW, tail)
        assert "after its export" in found.error


def test_no_tail_is_not_slow() -> None:
    """Of a build that exported nothing nothing is said."""
    assert Slow(100.0, lambda: 0.005).weigh(replace(BUILD, tail=None)) is None
