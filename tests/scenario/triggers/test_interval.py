"""``interval``: a pause before each act, from the end of the one before, and the same for the same seed."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from itertools import pairwise

import anyio
import pytest
from pydantic import TypeAdapter, ValidationError

from harness.core.rng import Dice
from harness.scenario.triggers import Firing, IntervalTrigger, Signals, When

pytestmark = pytest.mark.anyio

ADAPTER: TypeAdapter[object] = TypeAdapter(When)


class Silence:
    """A run in which nothing may be listened to."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"an interval does not ask for {name}")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that only sleeping moves: the time of each waking, the last one being now."""
    wakings = [100.0]

    async def sleep_until(deadline: float) -> None:
        assert deadline >= wakings[-1]
        wakings.append(deadline)

    monkeypatch.setattr(anyio, "sleep_until", sleep_until)
    monkeypatch.setattr(anyio, "current_time", lambda: wakings[-1])
    return wakings


def trigger(interval: object) -> IntervalTrigger:
    """Return a trigger as a scenario writes it."""
    return IntervalTrigger.model_validate({"interval": interval})


def moments(of: IntervalTrigger, dice: Dice) -> AsyncGenerator[Firing, None]:
    """Return the moments of a run that has nothing to listen to."""
    silence: Signals = Silence()  # type: ignore[assignment]
    return of.moments(dice, silence)


async def first(count: int, of: IntervalTrigger, dice: Dice) -> list[Firing]:
    """Return the first moments."""
    taken: list[Firing] = []
    async with aclosing(moments(of, dice)) as coming:
        async for moment in coming:
            taken.append(moment)
            if len(taken) == count:
                break
    return taken


def gaps(taken: Sequence[Firing]) -> list[float]:
    """Return the pauses between moments."""
    return [later.due - earlier.due for earlier, later in pairwise(taken)]


async def test_a_fixed_pause(clock: list[float]) -> None:
    """The first act comes after the first pause, not at once, and acts are counted from 1."""
    taken = await first(4, trigger("2s"), Dice(1, "p"))
    assert taken == [Firing(1, 102.0), Firing(2, 104.0), Firing(3, 106.0), Firing(4, 108.0)]
    assert clock == [100.0, 102.0, 104.0, 106.0, 108.0]


async def test_the_pause_follows_the_act(clock: list[float]) -> None:
    """However long an act takes, the pause after it is whole."""
    due = []
    async with aclosing(moments(trigger("2s"), Dice(1, "p"))) as coming:
        async for moment in coming:
            due.append(moment.due)
            clock.append(clock[-1] + 30.0)  # the act
            if len(due) == 3:
                break
    assert due == [102.0, 134.0, 166.0]


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("interval", [{"uniform": ["1s", "9s"]}, {"exponential": "3s"}], ids=["uniform", "exponential"])
async def test_the_same_seed_the_same_gaps(interval: object) -> None:
    """Gaps come again with the seed and the actor's name, and differ with another of either, and among themselves."""
    again = [gaps(await first(20, trigger(interval), dice)) for dice in (Dice(1, "p"), Dice(1, "p"))]
    assert again[0] == pytest.approx(again[1])
    assert len({round(gap, 6) for gap in again[0]}) == len(again[0])
    for other in (Dice(2, "p"), Dice(1, "q")):
        assert gaps(await first(20, trigger(interval), other)) != pytest.approx(again[0])


@pytest.mark.usefixtures("clock")
async def test_random_gaps_keep_to_their_bounds() -> None:
    """Uniform gaps lie between their bounds, and use the room there."""
    drawn = gaps(await first(200, trigger({"uniform": ["1s", "9s"]}), Dice(1, "p")))
    assert 1.0 <= min(drawn) < 2.0
    assert 8.0 < max(drawn) <= 9.0


@pytest.mark.parametrize(
    ("interval", "earliest"), [("5m", 300.0), ({"uniform": ["2s", "9s"]}, 2.0), ({"exponential": "9s"}, 0.0)]
)
def test_the_earliest(interval: object, earliest: float) -> None:
    """A trigger knows before which time it cannot fire, and that no build is needed for it."""
    assert trigger(interval).earliest == earliest
    assert trigger(interval).listens_to is None


def test_as_written() -> None:
    """`interval:` selects it among the triggers, with how long a disturbance lasts, and nothing else beside it."""
    read = ADAPTER.validate_python({"interval": "5m", "lasting": "6s"})
    assert isinstance(read, IntervalTrigger)
    assert (read.earliest, read.lasting) == (300.0, 6.0)
    with pytest.raises(ValidationError, match="chance"):
        ADAPTER.validate_python({"interval": "5m", "chance": 0.5})


async def test_a_real_clock() -> None:
    """On the real clock no pause is cut short."""
    began = anyio.current_time()
    taken = await first(3, trigger("20ms"), Dice(1, "p"))
    assert taken[0].due - began >= 0.02
    assert min(gaps(taken)) >= 0.02
