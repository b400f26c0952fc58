"""``phase``: acts when a build of a named actor enters a phase; who is busy misses what comes meanwhile."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager, suppress

import anyio
import pytest
from anyio.abc import ObjectReceiveStream
from anyio.lowlevel import checkpoint
from anyio.streams.memory import MemoryObjectSendStream
from pydantic import TypeAdapter, ValidationError

from harness.core.outcome import Phase
from harness.core.rng import Dice
from harness.scenario.triggers import Firing, PhaseTrigger, When
from harness.scenario.triggers.base import Reached

pytestmark = pytest.mark.anyio

ADAPTER: TypeAdapter[object] = TypeAdapter(When)


async def settled() -> None:
    """Let every task come to where it waits."""
    for _ in range(10):
        await checkpoint()


class Run:
    """A run that signals what a test says, to those who listen just then."""

    began = since = 0.0

    def __init__(self) -> None:
        self.listeners: list[tuple[Callable[[Reached], bool], MemoryObjectSendStream[Reached]]] = []

    @asynccontextmanager
    async def listening(self, wanted: Callable[[Reached], bool]) -> AsyncIterator[ObjectReceiveStream[Reached]]:
        """Listen to what is wanted."""
        send, receive = anyio.create_memory_object_stream[Reached](0)
        listener = (wanted, send)
        self.listeners.append(listener)
        try:
            with send, receive:
                yield receive
        finally:
            self.listeners.remove(listener)

    async def signal(self, iteration: int, phase: Phase, *, actor: str = "ci", at: float | None = None) -> None:
        """Have a build enter a phase, now or at another time, and let who listens take note."""
        await settled()
        self.announce(
            Reached(actor, iteration, (f"{actor}:latest",), phase, anyio.current_time() if at is None else at)
        )
        await settled()

    def announce(self, reached: Reached) -> None:
        """Have those hear who listen for it."""
        for wanted, send in self.listeners:
            if wanted(reached):
                with suppress(anyio.WouldBlock):
                    send.send_nowait(reached)


class Listener:
    """Who acts on a trigger, at once or for as long as a test says."""

    def __init__(self, trigger: PhaseTrigger, run: Run, dice: Dice) -> None:
        self.trigger, self.run, self.dice = trigger, run, dice
        self.taken: list[Firing] = []
        self.free = anyio.Event()
        self.free.set()

    async def perform(self) -> None:
        """Act at every moment."""
        async with aclosing(self.trigger.moments(self.dice, self.run)) as moments:
            async for moment in moments:
                self.taken.append(moment)
                await self.free.wait()


@asynccontextmanager
async def listening(run: Run, dice: Dice | None = None, **written: object) -> AsyncIterator[Listener]:
    """Have somebody act on a trigger while a test signals."""
    trigger = PhaseTrigger.model_validate({"phase": "exporting", "of": "ci"} | written)
    listener = Listener(trigger, run, dice or Dice(1, "p"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.perform)
        await settled()
        yield listener
        tasks.cancel_scope.cancel()


def iterations(listener: Listener) -> list[int]:
    """Return the builds that were acted on."""
    return [moment.build.iteration for moment in listener.taken if moment.build]


async def test_only_its_phase_of_its_build() -> None:
    """Other phases and other actors' builds are nothing to it; each of its own is a moment, counted from 1."""
    run = Run()
    async with listening(run) as listener:
        for phase in Phase:
            await run.signal(1, phase, at=50.0)
            await run.signal(2, phase, actor="other")
        await run.signal(3, Phase.EXPORTING, at=60.0)
        assert listener.taken == [
            Firing(1, 50.0, Reached("ci", 1, ("ci:latest",), Phase.EXPORTING, 50.0)),
            Firing(2, 60.0, Reached("ci", 3, ("ci:latest",), Phase.EXPORTING, 60.0)),
        ]


async def test_nobody_listens_afterwards() -> None:
    """Who stops acting stops listening."""
    run = Run()
    async with listening(run):
        assert len(run.listeners) == 1
    assert run.listeners == []


async def test_who_is_busy_misses_it() -> None:
    """While one moment is acted on others pass by, and are not made up for."""
    run = Run()
    async with listening(run) as listener:
        listener.free = anyio.Event()
        for iteration in (1, 2, 3):
            await run.signal(iteration, Phase.EXPORTING)
        listener.free.set()
        await run.signal(4, Phase.EXPORTING)
        assert iterations(listener) == [1, 4]


async def test_who_waits_misses_it_too() -> None:
    """The delay after one signal belongs to that one: what comes meanwhile is missed, and so never acted on late."""
    run = Run()
    async with listening(run, after="100ms") as listener:
        await run.signal(1, Phase.EXPORTING)
        await run.signal(2, Phase.EXPORTING)
        assert listener.taken == []
        while not listener.taken:
            await anyio.sleep(0.01)
        await run.signal(3, Phase.EXPORTING)
        while len(listener.taken) < 2:
            await anyio.sleep(0.01)
        assert iterations(listener) == [1, 3]


async def test_the_delay_counts_from_the_phase() -> None:
    """A moment is due its delay after the phase was entered, not after the signal was heard, and never comes before."""
    run = Run()
    async with listening(run, after="50ms") as listener:
        entered = anyio.current_time()
        await run.signal(1, Phase.EXPORTING, at=entered)
        while not listener.taken:
            await anyio.sleep(0.001)
        assert anyio.current_time() >= entered + 0.05
        assert listener.taken[0].due == pytest.approx(entered + 0.05)
        await run.signal(2, Phase.EXPORTING, at=entered - 3600)
        assert listener.taken[1].due == pytest.approx(entered - 3600 + 0.05)


async def chosen(order: Iterable[int], dice: Dice, chance: float) -> list[int]:
    """Return the builds that are acted on, of those that come in an order."""
    run = Run()
    async with listening(run, dice, chance=chance) as listener:
        for iteration in order:
            await run.signal(iteration, Phase.EXPORTING)
        return iterations(listener)


async def test_chance_goes_by_the_iteration() -> None:
    """Which builds are acted on depends on seed, actor and iteration, not on the order in which builds get there."""
    forwards = await chosen(range(1, 101), Dice(1, "p"), 0.3)
    assert 15 <= len(forwards) <= 45
    assert sorted(await chosen(range(100, 0, -1), Dice(1, "p"), 0.3), key=str) == sorted(forwards, key=str)
    assert await chosen(range(1, 101, 2), Dice(1, "p"), 0.3) == [odd for odd in forwards if odd and odd % 2]
    for other in (Dice(2, "p"), Dice(1, "q")):
        assert await chosen(range(1, 101), other, 0.3) != forwards


async def test_without_chance_every_one() -> None:
    """Without a chance every build is acted on."""
    assert await chosen(range(1, 51), Dice(1, "p"), 1.0) == [*range(1, 51)]


async def test_delays_come_again() -> None:
    """A build's random delay is the same for the same seed, whatever builds came before it."""

    async def delays(order: Iterable[int]) -> dict[int, float]:
        run = Run()
        async with listening(run, after={"uniform": ["0s", "1h"]}) as listener:
            for iteration in order:  # all long ago, so that no delay is waited for
                await run.signal(iteration, Phase.EXPORTING, at=-10_000.0)
            return {moment.build.iteration: moment.due + 10_000.0 for moment in listener.taken if moment.build}

    forwards = await delays(range(1, 21))
    assert await delays(range(20, 0, -1)) == pytest.approx(forwards)
    assert len({round(delay, 3) for delay in forwards.values()}) == 20
    assert all(0.0 <= delay <= 3600.0 for delay in forwards.values())


def test_as_written() -> None:
    """`phase:` selects it among the triggers, and it needs the build that it names."""
    read = ADAPTER.validate_python({"phase": "exported", "of": "ci", "lasting": "6s"})
    assert isinstance(read, PhaseTrigger)
    assert (read.phase, read.listens_to, read.chance, read.lasting) == (Phase.EXPORTED, "ci", 1.0, 6.0)
    assert (read.after.least, read.earliest) == (0.0, 0.0)
    for wrong in ({"of": ""} | {"chance": 0}, {"chance": 1.1}, {"phase": "export"}, {"interval": "1s"}):
        with pytest.raises(ValidationError):
            ADAPTER.validate_python({"phase": "exported", "of": "ci"} | wrong)
    with pytest.raises(ValidationError, match="of"):
        ADAPTER.validate_python({"phase": "exported"})
