"""Looks at a daemon that others load, on a clock of the test's own."""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from harness.attach.checks import CannotWatch, CheckKind, HealthChecks, HealthThresholds, Sighting
from harness.core.errors import CaptureError, CommandMissing
from harness.daemons.base import RunningBuild
from harness.daemons.buildx import NoHistory
from harness.host.attended_clock import AttendedClock

pytestmark = pytest.mark.anyio
STEP = {"digest": "a", "name": "[1/1] RUN", "started": "2026-01-01T00:00:00Z"}
EXPORT = {"digest": "b", "name": "exporting to image", "started": "2026-01-01T00:00:01Z"}
DONE = {"completed": "2026-01-01T00:00:02Z"}
WORKS = [STEP]
EXPORTS = [STEP | DONE, EXPORT]
RESTS = [STEP | DONE, EXPORT | DONE]


def rawjson(vertexes: Iterable[Mapping[str, str]]) -> bytes:
    """Return progress with these steps."""
    return json.dumps({"vertexes": [*vertexes]}).encode() + b"\n"


@dataclass
class Told:
    """A daemon that says what it is told to."""

    held: dict[str, list[Any]] = field(default_factory=dict)
    """The running builds, with their steps."""
    error: Exception | None = None
    asked: list[str] = field(default_factory=list)
    goroutines: int = 60
    containers: int = 0

    async def builds(self) -> Sequence[RunningBuild]:
        """List them."""
        if self.error:
            raise self.error
        return [RunningBuild(ref) for ref in self.held]

    async def iteration_of(self, ref: str) -> int | None:
        """It is none of ours."""
        raise AssertionError(ref)

    async def progress(self, ref: str) -> bytes:
        """Tell the steps."""
        self.asked.append(ref)
        return rawjson(self.held[ref])

    async def info(self) -> Mapping[str, Any]:
        """Count."""
        return {"NGoroutines": self.goroutines, "ContainersRunning": self.containers}


@dataclass
class Watch:
    """A vigil whose clock goes on by ten seconds a look."""

    daemon: Told = field(default_factory=Told)
    patience: HealthThresholds = field(default_factory=HealthThresholds)

    def __post_init__(self) -> None:
        self.attention = AttendedClock()
        self.vigil = HealthChecks(self.daemon, self.patience, self.attention)

    async def look(self, times: int = 1) -> list[Sighting]:
        """Look so many times, and return all that was seen."""
        seen = []
        for _ in range(times):
            seen += await self.vigil.look()
            self.attention.attended += 10
        return seen

    @property
    def seconds(self) -> float:
        """On the clock."""
        return self.attention.attended


async def test_build_that_does_not_return() -> None:
    """A build with nothing left to do is a hang once it has said the same for the threshold, and only once."""
    watch = Watch(Told({"x": RESTS}))
    seen: list[Sighting] = []
    while not seen:
        seen = await watch.look()
        assert watch.seconds < 200
    assert [each.kind for each in seen] == [CheckKind.HANG]
    assert "build x" in seen[0].because
    assert seen[0].log == rawjson(RESTS)
    assert 60 < watch.seconds <= 30 + 60 + 30 + 10, "asked at 30, at least 60 before it counts, asked every 30"
    assert not await watch.look(50)


async def test_short_builds_are_not_asked_for() -> None:
    """A build that is gone within half the threshold is never asked for: the daemon has no more work by us."""
    watch = Watch()
    for number in range(20):
        watch.daemon.held = {f"b{number}": RESTS}
        assert not await watch.look(3)
    assert not watch.daemon.asked


async def test_long_build_that_goes_on() -> None:
    """A build that makes progress is nothing, however long it takes; once it rests, its time begins."""
    watch = Watch(Told({"x": WORKS}))
    for number in range(100):
        watch.daemon.held["x"] = [*WORKS, {**STEP, "digest": f"s{number}"}]
        assert not await watch.look(1)
    watch.daemon.held["x"] = RESTS
    assert not await watch.look(5)
    assert [each.kind for each in await watch.look(10)] == [CheckKind.HANG]


@pytest.mark.parametrize("steps", [WORKS, EXPORTS], ids=["step", "export"])
async def test_build_without_progress(steps: list[Any]) -> None:
    """A build that says the same for long, with something left to do, is a stall, and not before its own threshold."""
    watch = Watch(Told({"x": steps}))
    assert not await watch.look(60)
    assert [each.kind for each in await watch.look(15)] == [CheckKind.STALL]


async def test_no_more_than_a_few_are_asked_at_once() -> None:
    """Of many long builds a few are asked at each look, in turn, so that all get their turn."""
    watch = Watch(Told({f"b{number}": WORKS for number in range(12)}))
    await watch.look(3)
    for _ in range(3):
        before = len(watch.daemon.asked)
        await watch.look()
        assert len(watch.daemon.asked) - before == 4
    assert len({*watch.daemon.asked}) == 12


async def test_silence() -> None:
    """A daemon that does not answer for the threshold is told once, and again if it falls silent anew."""
    watch = Watch()
    await watch.look(3)
    watch.daemon.error = CaptureError("no answer")
    assert not await watch.look(6)
    [seen] = await watch.look(10)
    assert seen.kind is CheckKind.SILENT
    assert "no answer" in seen.because
    watch.daemon.error = None
    assert not await watch.look(3)
    watch.daemon.error = CaptureError("no answer")
    assert [each.kind for each in await watch.look(10)] == [CheckKind.SILENT]


async def test_short_silence() -> None:
    """A daemon that answers now and then is not silent."""
    watch = Watch()
    for _ in range(10):
        watch.daemon.error = CaptureError("busy")
        assert not await watch.look(5)
        watch.daemon.error = None
        assert not await watch.look(1)


@pytest.mark.parametrize("error", [NoHistory(), CommandMissing("docker-buildx")])
async def test_nothing_to_watch_through(error: Exception) -> None:
    """Without a client that lists builds there is no watch, and the user is told what is missing."""
    watch = Watch(Told(error=error))
    with pytest.raises(CannotWatch, match=r"builds cannot be watched here: .+"):
        await watch.look()


async def looks_with(counts: Iterable[float], watch: Watch) -> list[CheckKind]:
    """Return what is seen over looks at an idle daemon with these numbers of goroutines."""
    kinds = []
    for count in counts:
        watch.daemon.goroutines = round(count)
        kinds += [each.kind for each in await watch.look()]
    return kinds


async def test_leak() -> None:
    """Goroutines that grow slowly and steadily, in noise, are a leak, told once."""
    chance = random.Random(7)
    watch = Watch()
    assert await looks_with((60 + 0.2 * look + chance.gauss(0, 2) for look in range(300)), watch) == [CheckKind.LEAK]


@pytest.mark.parametrize("seed", range(20))
async def test_no_leak_in_noise(seed: int) -> None:
    """Noise about a level, with a step up now and then, is no leak."""
    chance = random.Random(seed)
    watch = Watch()
    level = 60.0
    for look in range(400):
        level += 8 * (look % 150 == 149)
        assert not await looks_with([level + chance.gauss(0, 2)], watch)


async def test_containers_are_no_leak() -> None:
    """What comes with containers that are started, goroutines by the dozen, is no leak of the builder."""
    watch = Watch()
    for number in range(40):
        watch.daemon.containers = number
        assert not await looks_with([60 + 12 * number] * 5, watch)


async def test_builds_are_not_counted() -> None:
    """While builds run, and at the first look after them, goroutines are not counted."""
    watch = Watch()
    for number in range(200):
        watch.daemon.held = {f"b{number}": WORKS} if number % 2 else {}
        assert not await looks_with([60 + 5 * number], watch)


async def test_leak_beside_a_build_that_hangs() -> None:
    """A build that hangs for good, once told, does not keep a leak from being seen."""
    watch = Watch(Told({"x": RESTS}))
    assert await looks_with((60 + 0.5 * look for look in range(150)), watch) == [CheckKind.HANG, CheckKind.LEAK]
