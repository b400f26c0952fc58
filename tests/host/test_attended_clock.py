"""Attended time: which beats count, for how much, and that a quiet host counts nearly all."""

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.host import attended_clock as attention_module
from harness.host.attended_clock import BEAT, LATE, AttendedClock


@pytest.mark.parametrize(
    ("elapsed", "stalled", "attended"),
    [
        (BEAT, 0.0, BEAT),
        (BEAT + 0.5, 0.0, BEAT + 0.5),
        (BEAT + LATE, 0.0, BEAT + LATE),
        (BEAT + LATE + 0.01, 0.0, BEAT),
        (8 * 3600.0, 0.0, BEAT),
        (BEAT, 0.05, BEAT),
        (BEAT, 0.19, 0.0),
        (60.0, 59.0, 0.0),
        (60.0, 1.0, BEAT),
    ],
    ids=["ordinary", "slow", "just", "late", "suspended", "some-stall", "stalled", "late-stalled", "late-little"],
)
def test_one_beat(elapsed: float, stalled: float, attended: float) -> None:
    """An ordinary beat counts whole, a late one as one beat, and one that was stalled on memory not at all."""
    clock = AttendedClock()
    clock.beat(elapsed, stalled)
    assert clock.attended == pytest.approx(attended)
    assert clock.unattended == pytest.approx(elapsed - attended)
    assert clock.worst_lag == pytest.approx(elapsed - BEAT)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1)), max_size=30))
def test_no_time_is_lost(beats: list[tuple[float, float]]) -> None:
    """All time is either attended or not; the clock never goes back and never runs faster than time."""
    clock, before = AttendedClock(), 0.0
    for elapsed, share in beats:
        clock.beat(elapsed, share * elapsed)
        assert before <= clock.attended <= before + elapsed + 1e-6
        before = clock.attended
    assert clock.attended + clock.unattended == pytest.approx(sum(elapsed for elapsed, _ in beats))
    assert clock.worst_lag == pytest.approx(max([elapsed - BEAT for elapsed, _ in beats] + [0.0]))


def test_a_suspended_night_is_no_hang() -> None:
    """A host that sleeps for hours adds one beat to what is waited for: far below any threshold."""
    clock = AttendedClock()
    for _ in range(10):
        clock.beat(BEAT, 0.0)
    clock.beat(10 * 3600.0, 0.0)
    assert clock.attended == pytest.approx(11 * BEAT)


def test_worst_lag_starts_again() -> None:
    """Who reads the worst lag sets it back, and the next one is that of later beats only."""
    clock = AttendedClock()
    clock.beat(5.0, 0.0)
    clock.worst_lag = 0.0
    clock.beat(BEAT + 0.1, 0.0)
    assert clock.worst_lag == pytest.approx(0.1)


class Host:
    """A clock of our own: how late each beat comes, and how much of it the host stood still for memory."""

    def __init__(self, *beats: tuple[float, float | None]) -> None:
        self.now, self.stalled = 100.0, 50.0
        self.beats = [*beats]
        self.psi = all(stall is not None for _, stall in beats)

    async def sleep(self, seconds: float) -> None:
        """Let one beat pass."""
        if not self.beats:
            await anyio.sleep_forever()
        late, stalled = self.beats.pop(0)
        self.now += seconds + late
        self.stalled += stalled or 0.0

    def memory_stall_seconds(self) -> float | None:
        """Return the total so far."""
        return self.stalled if self.psi else None


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("beats", "attended", "unattended"),
    [
        ([(0.01, 0.0)] * 5, 5 * BEAT + 0.05, 0.0),
        ([(0.0, 0.0), (3600.0, 0.0), (0.0, 0.0)], 3 * BEAT, 3600.0),
        ([(0.0, 0.0), (0.0, BEAT), (0.0, 0.0)], 2 * BEAT, BEAT),
        ([(0.0, None), (3600.0, None)], 2 * BEAT, 3600.0),
    ],
    ids=["ordinary", "suspended", "stalled", "without-psi"],
)
async def test_keeping_it(
    monkeypatch: pytest.MonkeyPatch, beats: list[tuple[float, float | None]], attended: float, unattended: float
) -> None:
    """Each beat is counted by what passed since the one before it, not since the start, and looked at once."""
    host, clock, looks = Host(*beats), AttendedClock(), 0
    real_sleep = anyio.sleep

    def look() -> None:
        nonlocal looks
        looks += 1

    monkeypatch.setattr(attention_module, "memory_stall_seconds", host.memory_stall_seconds)
    monkeypatch.setattr(anyio, "current_time", lambda: host.now)
    monkeypatch.setattr(anyio, "sleep", host.sleep)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(clock.keep, look)
        await real_sleep(0.01)
        while host.beats:
            await real_sleep(0.01)
        tasks.cancel_scope.cancel()
    assert looks == len(beats)
    assert (clock.attended, clock.unattended) == pytest.approx((attended, unattended))


@pytest.mark.anyio
async def test_it_beats_by_itself() -> None:
    """On a real host the clock goes on, and sees nearly all the time that passes."""
    clock, enough = AttendedClock(), anyio.Event()
    began = anyio.current_time()

    def look() -> None:
        if clock.attended > 3 * BEAT:
            enough.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(clock.keep, look)
        await enough.wait()
        tasks.cancel_scope.cancel()
    assert clock.attended <= anyio.current_time() - began
