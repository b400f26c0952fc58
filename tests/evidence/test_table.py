"""Captures: none keeps the others from being made, none outlives its deadline, and the gentle ones come first."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import anyio
import pytest

from harness.client.watched_build import Watch
from harness.core.errors import CaptureError
from harness.evidence.base import Subject
from harness.evidence.goroutines import GoroutineDumps
from harness.evidence.page import Page
from harness.evidence.process import Processes
from harness.evidence.steps import Steps
from harness.evidence.table import OF_DAEMON, Stages, capture_all, of_build

pytestmark = pytest.mark.anyio
NOBODY = cast("Subject", None)


@dataclass
class Works:
    """A capture that writes a file."""

    name: str = "works"
    deadline: float = 5.0

    async def capture(self, daemon: Subject, folder: Path) -> None:  # noqa: ARG002 — asks no daemon
        """Write it."""
        (folder / "works.txt").write_text("evidence")


@dataclass
class Refuses:
    """A capture that cannot be obtained, or that has a fault."""

    error: Exception
    name: str = "refuses"
    deadline: float = 5.0

    async def capture(self, daemon: Subject, folder: Path) -> None:  # noqa: ARG002 — asks no daemon
        """Say why."""
        raise self.error


@dataclass
class Hangs:
    """A capture of a daemon that does not answer."""

    name: str = "hangs"
    deadline: float = 0.2
    cancelled: list[bool] = field(default_factory=list)

    async def capture(self, daemon: Subject, folder: Path) -> None:  # noqa: ARG002 — asks no daemon
        """Wait for ever."""
        try:
            await anyio.sleep_forever()
        finally:
            self.cancelled.append(True)


@dataclass
class Meets:
    """A capture that is done only once another has begun."""

    name: str
    mine: anyio.Event
    other: anyio.Event
    deadline: float = 5.0

    async def capture(self, daemon: Subject, folder: Path) -> None:  # noqa: ARG002 — asks no daemon
        """Wait for the other."""
        self.mine.set()
        await self.other.wait()


@dataclass
class Follows:
    """A capture that must not begin before all of the stage above are done."""

    above: Hangs
    name: str = "follows"
    deadline: float = 5.0

    async def capture(self, daemon: Subject, folder: Path) -> None:  # noqa: ARG002 — asks no daemon
        """Check it."""
        assert self.above.cancelled


async def test_each_capture_stands_alone(tmp_path: Path) -> None:
    """What hangs is given up at its deadline, what fails says why, and what comes after them is still captured."""
    hanging = Hangs()
    stages: Stages = (
        [hanging],
        [Refuses(CaptureError("no\n  pprof here")), Refuses(KeyError("x"), "breaks")],
        [Works()],
    )
    with anyio.fail_after(10):
        results = await capture_all(NOBODY, tmp_path, stages)
    assert results == {
        "hangs": "gave up after 0.2 s",
        "refuses": "no pprof here",
        "breaks": "broke: KeyError: 'x'",
        "works": "captured",
    }
    assert hanging.cancelled
    assert (tmp_path / "works.txt").read_text() == "evidence"


async def test_a_stage_is_captured_at_once(tmp_path: Path) -> None:
    """Captures of one stage go on side by side, and those of the next wait for the slowest of them."""
    one, two, hanging = anyio.Event(), anyio.Event(), Hangs()
    stages: Stages = ([Meets("one", one, two), Meets("two", two, one), hanging], [Follows(hanging)])
    results = await capture_all(NOBODY, tmp_path, stages)
    assert [*results.values()] == ["captured", "captured", "gave up after 0.2 s", "captured"]


def test_all_end_within_a_minute() -> None:
    """Even where every capture is given up at its deadline, all of them take less than sixty seconds."""
    stages = of_build(cast("Watch", None), (), Steps((), 0.0))
    assert sum(max(capture.deadline for capture in captures) for captures in stages) < 60


def test_what_decides_is_had_within_six_seconds() -> None:
    """Dumps and build records come before what puts the daemon to work, and no more than five seconds are waited."""
    names = [[capture.name for capture in captures] for captures in OF_DAEMON]
    decides = next(number for number, captures in enumerate(names) if "goroutines" in captures)
    assert "build records" in names[decides]
    assert "cpu profile" in [name for captures in names[decides + 1 :] for name in captures]
    looks = [capture.over for captures in OF_DAEMON[:decides] for capture in captures if isinstance(capture, Processes)]
    dumps = next(capture for capture in OF_DAEMON[decides] if isinstance(capture, GoroutineDumps))
    assert sum(looks) + (dumps.count - 1) * dumps.apart + sum(dumps.further) <= 5


def test_nothing_that_may_end_the_daemon() -> None:
    """No execution trace is asked for: as one ends, Go may end the program that is traced (golang/go#70454)."""
    paths = [capture.path for captures in OF_DAEMON for capture in captures if isinstance(capture, Page)]
    assert "/debug/pprof/profile" in paths
    assert "/debug/pprof/trace" not in paths


def test_order_and_names() -> None:
    """What ends the client comes last, and names are unique, as they are the keys of the list of what was captured."""
    stages = of_build(cast("Watch", None), (), Steps((), 0.0))
    names = [capture.name for captures in stages for capture in captures]
    assert len(set(names)) == len(names)
    assert names[-1] == "client"
    assert "client" not in [capture.name for captures in OF_DAEMON for capture in captures]
