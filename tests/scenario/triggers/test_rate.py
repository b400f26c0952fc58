"""``every: 1m``: moments at a fixed rate since the run began, whatever the acts take."""

from collections.abc import Sequence
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from pydantic import TypeAdapter, ValidationError

from harness.core.rng import Dice
from harness.scenario.triggers import EveryTrigger, RateTrigger, When

pytestmark = pytest.mark.anyio

ADAPTER: TypeAdapter[object] = TypeAdapter(When)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that only sleeping moves, a little too far each time; its last item is now."""
    wakings = [100.0]

    async def sleep_until(deadline: float) -> None:
        wakings.append(max(deadline, wakings[-1]) + 0.01)

    monkeypatch.setattr(anyio, "sleep_until", sleep_until)
    monkeypatch.setattr(anyio, "current_time", lambda: wakings[-1])
    return wakings


async def dues(clock: list[float], every: str, acts: Sequence[float], began: float = 100.0) -> list[float]:
    """Return when an actor acts whose acts take so many seconds."""
    run: Any = SimpleNamespace(began=began)
    taken = []
    async with aclosing(RateTrigger.model_validate({"every": every}).moments(Dice(1, "p"), run)) as moments:
        for count, seconds in enumerate(acts, 1):
            moment = await anext(moments)
            assert moment.count == count
            taken.append(moment.due)
            clock.append(clock[-1] + seconds)
    return taken


async def test_no_drift(clock: list[float]) -> None:
    """A thousand acts, each of which comes late and takes a while, are at the multiples of the time all the same."""
    taken = await dues(clock, "100ms", [0.03] * 1000)
    assert taken == pytest.approx([100 + 0.1 * number for number in range(1, 1001)])


async def test_nothing_piles_up(clock: list[float]) -> None:
    """What comes while an act goes on is missed: after it, the next multiple is awaited, and none is made up for."""
    assert await dues(clock, "2s", [0.0, 7.0, 0.0, 1.98, 0.0]) == [102.0, 104.0, 112.0, 114.0, 116.0]


async def test_a_run_that_goes_on(clock: list[float]) -> None:
    """A run that is resumed, or has a new daemon, goes on where its clock stands: no moment comes twice or early."""
    assert await dues(clock, "1m", [0.0, 0.0], began=100.0 - 150.0) == [130.0, 190.0]


def test_a_number_or_a_time() -> None:
    """A number counts iterations, a time is a rate."""
    assert isinstance(ADAPTER.validate_python({"every": 3}), EveryTrigger)
    rate = ADAPTER.validate_python({"every": "1m", "lasting": "6s"})
    assert isinstance(rate, RateTrigger)
    assert (rate.every, rate.lasting, rate.earliest, rate.most(10, 600)) == (60.0, 6.0, 60.0, 10.0)
    assert rate.model_dump(exclude_none=True) == {"every": "1m", "lasting": "6s"}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"every": "1x"}, "'1x' is no duration"),
        ({"every": "0s"}, "greater than 0"),
        ({"every": 2.5}, "integer"),
        ({"every": "1m", "interval": "1m"}, "is 2 triggers in one, every and interval: keep one of them"),
        ({"every": 3, "phase": "exporting", "of": "ci"}, "is 2 triggers in one, every and phase: keep one of them"),
    ],
    ids=["no-time", "nought", "half", "and-a-pause", "and-a-phase"],
)
def test_what_is_refused(written: dict[str, object], said: str) -> None:
    """A rate is a time above nought, and the only trigger."""
    with pytest.raises(ValidationError, match=said):
        ADAPTER.validate_python(written)
