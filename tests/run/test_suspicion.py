"""Suspicions: when a build is looked at early, and what it takes for that to be a hang."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.client.watched_build import Watch
from harness.core.manifest import DaemonFacts
from harness.daemons.base import Daemon, RunningBuild
from harness.run import suspicion
from harness.run.suspicion import Suspicions, Tails
from harness.scenario.model import Detect

DUMPS = sorted((Path(__file__).parents[1] / "data" / "goroutines").glob("hang-*.txt"))
IDLE = Path(__file__).parents[1] / "data" / "goroutines" / "healthy-sleep-buildkitd-v0.25.1-0.txt"


class Turning:
    """A daemon that hands out dumps, one after the other, and holds one build to be running."""

    def __init__(self, dumps: Sequence[Path] = DUMPS, running: Sequence[int] = (7,)) -> None:
        self.facts = DaemonFacts("buildkitd", "v0.23.2", "path:/x", "unix:///s", private=True)
        self._dumps, self._running, self.asked = dumps, running, 0
        self.on_dump: Callable[[], None] = lambda: None

    async def goroutine_count(self) -> int | None:
        """Return some count."""
        return 70

    async def goroutine_dump(self, deadline: float) -> str:  # noqa: ARG002 — it always answers
        """Return the next dump."""
        self.asked += 1
        self.on_dump()
        return self._dumps[(self.asked - 1) % len(self._dumps)].read_text()

    async def builds(self) -> Sequence[RunningBuild]:
        """Return the records; the second way of telling whose they are is asked too."""
        return [RunningBuild(str(number)) for number in self._running]

    async def iteration_of(self, ref: str) -> int | None:
        """Return which iteration a record is of."""
        return int(ref)

    async def progress(self, ref: str) -> bytes:  # noqa: ARG002 — nobody asks
        """Return nothing."""
        return b""


def build(since_export: float | None, number: int = 7) -> Watch:
    """Return as much of a build as is looked at."""
    return cast("Watch", SimpleNamespace(iteration=number, since_export=since_export))


def suspicions(daemon: object, folder: Path, tails: Tails | None = None) -> tuple[Suspicions, list[str]]:
    """Return those of a daemon, and what they tell."""
    told: list[str] = []
    return Suspicions(cast("Daemon", daemon), tails or Tails(), folder, told.append), told


def test_a_tail_is_suspicious_by_the_longest_so_far() -> None:
    """Never below a second; above the longest tail by half; later where CPU is waited for."""
    tails = Tails()
    assert tails.suspicious() == 1.0
    tails.add(0.005)
    assert tails.suspicious() == 1.0
    tails.add(4.0)
    tails.add(0.2)
    assert tails.suspicious() == 6.0
    assert tails.suspicious(waiting=0.5) == 9.0


def test_when_a_build_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once its tail is suspicious, again each time that it has doubled; never before its export, nor without pprof."""
    monkeypatch.setattr(suspicion, "cpu_waiting_share", lambda: 0.0)
    looks, _ = suspicions(Turning(), tmp_path)
    assert not looks.is_due(build(None))
    assert [looks.is_due(build(waited)) for waited in (0.9, 1.0, 1.2, 1.9, 2.1, 4.1, 4.3)] == [
        *(False, True, False, False, True, False, True),
    ]
    assert looks.is_due(build(1.0, number=8))
    assert not suspicions(SimpleNamespace(facts=None), tmp_path)[0].is_due(build(30.0))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("daemon", "returns", "is_hang"),
    [
        pytest.param(Turning(), False, True, id="it turns"),
        pytest.param(Turning(running=()), False, False, id="the daemon is done with it"),
        pytest.param(Turning(running=(6,)), False, False, id="another build runs"),
        pytest.param(Turning([IDLE]), False, False, id="nothing turns"),
        pytest.param(Turning(), True, False, id="it returned meanwhile"),
    ],
)
async def test_what_confirms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, daemon: Any, returns: bool, is_hang: bool
) -> None:
    """Goroutines that turn in one call, and a record that runs, of a build that has still not returned: all three."""
    monkeypatch.setattr(suspicion, "_APART", 0.01)
    looks, told = suspicions(daemon, tmp_path)
    watch = build(2.1)
    if returns:
        daemon.on_dump = lambda: setattr(watch, "since_export", None)
    shown = await looks.confirmed(watch)
    assert (shown is not None) == is_hang
    assert told == ["build 7 exported 2.1 s ago and has not returned: looking at why"]
    assert daemon.asked == 3
    if shown:
        assert len([*shown.glob("goroutines-*.txt")]) == 3
    assert [*tmp_path.iterdir()] == ([shown] if shown else []), "nothing is kept of what was no hang"


def test_auto_is_the_usual() -> None:
    """`export_hang: auto` leaves the last threshold as it is; `suspect: never` leaves it alone."""
    assert Detect.model_validate({"export_hang": "auto"}) == Detect()
    assert Detect.model_validate({"export_hang": "5s"}).suspect == "auto"
    assert Detect.model_validate({"suspect": "never"}).suspect == "never"
