"""Delays: how each kind is written, drawn and bounded."""

from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from harness.core.delay import NO_DELAY, Delay, Exponential, Fixed, Uniform
from harness.core.rng import Dice

ADAPTER: TypeAdapter[Fixed | Uniform | Exponential] = TypeAdapter(Delay)


@pytest.mark.parametrize(
    ("written", "kind", "least", "dumped"),
    [
        ("2s", Fixed, 2.0, "2s"),
        (0, Fixed, 0.0, "0s"),
        ({"uniform": ["100ms", "1s"]}, Uniform, 0.1, {"uniform": ["100ms", "1s"]}),
        ({"exponential": "2s"}, Exponential, 0.0, {"exponential": "2s"}),
    ],
    ids=["fixed", "zero", "uniform", "exponential"],
)
def test_each_kind(written: object, kind: type, least: float, dumped: object) -> None:
    """Each way to write a delay gives its kind and its shortest wait, and what is written back is read as the same."""
    read = ADAPTER.validate_python(written)
    assert type(read) is kind
    assert read.least == pytest.approx(least)
    assert ADAPTER.dump_python(read, mode="json") == dumped
    assert ADAPTER.validate_python(dumped) == read


@pytest.mark.parametrize(
    ("written", "place", "said"),
    [
        ("2", ("Fixed",), "is no duration"),
        ({"uniform": ["2s", "1s"]}, ("Uniform",), "the first bound of `uniform` is the lower one"),
        ({"uniform": ["2s"]}, ("Uniform", "uniform", 1), "Field required"),
        ({"uniform": ["1s", "2s"], "chance": 1}, ("Uniform", "chance"), "not permitted"),
        ({"exponential": -1}, ("Exponential", "exponential"), "is no duration"),
        ({}, ("Exponential", "exponential"), "Field required"),
    ],
    ids=["unit", "order", "one-bound", "unknown", "negative", "empty"],
)
def test_what_is_no_delay(written: object, place: tuple[str | int, ...], said: str) -> None:
    """A delay that is malformed is one error at its own place, below the class that its kind is read as."""
    with pytest.raises(ValidationError) as caught:
        ADAPTER.validate_python(written)
    [error] = caught.value.errors()
    assert error["loc"] == place
    assert said in error["msg"]


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers())
def test_draws_keep_to_their_bounds(one: int, other: int, seed: int) -> None:
    """No draw is below the shortest wait; a uniform one is not above its bound, a fixed one is always the same."""
    low, high = sorted((one, other))
    uniform = ADAPTER.validate_python({"uniform": [f"{low}ms", f"{high}ms"]})
    assert low / 1000 - 1e-9 <= uniform.draw(Dice(seed, "any").throw(1)) <= high / 1000 + 1e-9
    fixed = ADAPTER.validate_python(f"{low}ms")
    assert fixed.draw(Dice(seed, "any").throw(1)) == fixed.least == pytest.approx(low / 1000)
    assert ADAPTER.validate_python({"exponential": f"{high}ms"}).draw(Dice(seed, "any").throw(1)) >= 0.0


def test_exponential_is_by_its_mean() -> None:
    """The value of `exponential` is the mean of the gaps, not their rate, and its spread is as wide as its mean."""
    delay, random = ADAPTER.validate_python({"exponential": "4s"}), Dice(1, "any").throw(1)
    draws = [delay.draw(random) for _ in range(20_000)]
    assert fmean(draws) == pytest.approx(4.0, rel=0.05)  # the mean's deviation is 4 / sqrt(20000), or 0.7 %
    assert fmean(draw > 4.0 for draw in draws) == pytest.approx(0.3679, abs=0.02)  # exp(-1)


def test_no_wait_at_all() -> None:
    """A mean of nothing is no wait, and no division by it."""
    assert ADAPTER.validate_python({"exponential": 0}).draw(Dice(1, "any").throw(1)) == 0.0
    assert NO_DELAY.draw(Dice(1, "any").throw(1)) == NO_DELAY.least == 0.0
