"""The steps of builds around a finding: kept, within bounds, and read again."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.buildkit.progress import Vertex
from harness.client.watched_build import Watch
from harness.core.errors import CaptureError
from harness.daemons.base import BuildRequest
from harness.evidence import steps
from harness.evidence.steps import BuildSteps, RecentBuilds, Steps, read_steps
from harness.host.attended_clock import AttendedClock
from harness.host.proc import Command, child
from tests.evidence.test_captures import Silent

pytestmark = pytest.mark.anyio
BUILD = BuildSteps(7, "ci", {"N": "1"}, 0.5, None, 2.0, (Vertex("sha256:a", "[1/2] COPY", ("sha256:b",)),))


async def test_of_a_build(tmp_path: Path) -> None:
    """A build is told with its steps, and with its times since the run began."""
    async with child(Command(("true",))) as client:
        watch = Watch("ci", BuildRequest(8, tmp_path, {"N": "1"}, "t", ("load",)), client, AttendedClock())
        began = watch.progress.moved - 3.0
        watch.progress.feed(b'{"vertexes":[{"digest":"a","name":"[1/2] RUN","inputs":["b"]}]}\n', began + 4.0)
        watch.killed = began + 5.0
        build = BuildSteps.of(watch, began)
        assert build.started == pytest.approx(3.0)
        assert build.killed == pytest.approx(5.0)
        assert replace(build, started=3.0, killed=5.0) == BuildSteps(
            8, "ci", {"N": "1"}, 3.0, 5.0, None, (Vertex("a", "[1/2] RUN", ("b",)),)
        )


async def test_written_and_read(tmp_path: Path) -> None:
    """What was written is read again as it was; where nothing was, or something else, there is nothing."""
    await Steps([BUILD, replace(BUILD, iteration=8)], 1e9).capture(Silent(), tmp_path)
    read = read_steps(tmp_path)
    assert read
    assert ([*read.builds], read.began) == ([BUILD, replace(BUILD, iteration=8)], 1e9)
    (tmp_path / "steps.json").write_text('{"began": 1, "builds": [{}]}')
    assert read_steps(tmp_path) is read_steps(tmp_path / "none") is None
    with pytest.raises(CaptureError):
        await Steps([], 1e9).capture(Silent(), tmp_path)


def test_learnt_later() -> None:
    """What the daemon says later of a step counts, and what it does not name stays."""
    done = replace(BUILD.steps[0], completed="2026")
    assert BUILD.with_steps([done, Vertex("sha256:c", "export")]).steps == (done, Vertex("sha256:c", "export"))


def test_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of builds that have ended the latest are kept, until together they have too many steps."""
    monkeypatch.setattr(steps, "_MOST_STEPS", 10)
    recent = RecentBuilds()
    for number in range(100):
        recent.add(replace(BUILD, iteration=number, steps=BUILD.steps * 3))
    assert [build.iteration for build in recent] == [97, 98, 99]
    recent.add(replace(BUILD, iteration=100, steps=BUILD.steps * 50))
    assert [build.iteration for build in recent] == [100]
