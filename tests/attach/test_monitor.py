"""The watch, beside a process that goes for a dockerd, with a client that lists builds as a file says."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest

from harness.attach.capture import Captured
from harness.attach.checks import HealthThresholds
from harness.attach.monitor import Event, Monitor
from harness.core.outcome import ExitCode
from tests.support.pretend_daemon import start

pytestmark = pytest.mark.anyio
Start = Callable[..., subprocess.Popen[str]]
RESTS = {"vertexes": [{"digest": "b", "name": "exporting to image", "started": "2026", "completed": "2026"}]}
BUILDX = """#!/bin/sh
case "$1 $2" in
"history ls") cat {folder}/builds ;;
"history logs") cat {folder}/progress ;;
esac
"""
"""What buildx prints of builds, from files."""


@dataclass
class Scene:
    """A folder with the daemon's socket, and the client beside the daemon's program."""

    folder: Path
    process: Start
    patience: HealthThresholds = field(default_factory=lambda: HealthThresholds(0.4, 60.0, 0.1))

    def __post_init__(self) -> None:
        (self.folder / "docker-buildx").write_text(BUILDX.format(folder=self.folder))
        (self.folder / "docker-buildx").chmod(0o755)
        (self.folder / "progress").write_text(json.dumps(RESTS) + "\n")
        self.run()

    def run(self, *refs: str) -> None:
        """Have these builds running."""
        lines = (json.dumps({"ref": f"default/default/{ref}", "status": "Running"}) for ref in refs)
        (self.folder / "builds").write_text("".join(f"{line}\n" for line in lines))

    def start(self) -> subprocess.Popen[str]:
        """Start the daemon, at its place."""
        (self.folder / "d.sock").unlink(missing_ok=True)
        return start(self.process, self.folder / "d.sock", name=str(self.folder / "dockerd"))

    def watchman(self, spec: str, tell: Callable[[Event], None], **how: Any) -> Monitor:
        """Return a watchman beside it."""
        return Monitor(spec, self.patience, self.folder / "captures", tell, **how)


@pytest.fixture
def scene(process: Start, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A daemon's place, where to capture takes no time."""

    async def captured(_daemon: object, _place: object, folder: Path, why: str) -> Captured:
        (folder / "why").write_text(why)
        return Captured(folder, {"process": "captured"}, None, 0.0)

    monkeypatch.setattr("harness.attach.monitor.capture_daemon", captured)
    with TemporaryDirectory(prefix="repro-") as folder:
        yield Scene(Path(folder), process)


async def test_ends_with_a_process(scene: Scene) -> None:
    """A watch of a pid ends, with a sentence, when that process does."""
    daemon = scene.start()
    events: list[Event] = []
    async with anyio.create_task_group() as tasks:

        async def watch() -> None:
            assert await scene.watchman(str(daemon.pid), events.append).watch() is ExitCode.CLEAN

        tasks.start_soon(watch)
        await until(lambda: len(events) == 1)
        daemon.kill()
    assert [event.kind for event in events] == ["watching", "gone"]
    assert str(daemon.pid) in events[0].text
    assert events[1].text.endswith("has ended, and with it the watch")


async def test_goes_on_with_the_next_daemon(scene: Scene) -> None:
    """A watch of a socket waits out a restart, and watches the daemon that comes then."""
    daemon, events = scene.start(), list[Event]()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scene.watchman(str(scene.folder / "d.sock"), events.append).watch)
        await until(lambda: len(events) == 1)
        daemon.kill()
        daemon.wait()
        await until(lambda: len(events) == 2)
        successor = scene.start()
        await until(lambda: len(events) == 3)
        scene.run("x")
        await until(lambda: len(events) == 5)
        tasks.cancel_scope.cancel()
    assert [event.kind for event in events] == ["watching", "gone", "watching", "hang", "captured"]
    assert str(successor.pid) in events[2].text


async def test_captures_three_times(scene: Scene) -> None:
    """What is found after the third capture is told, and not captured; the progress of a build is kept with it."""
    scene.start()
    scene.run(*"abcde")
    events: list[Event] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scene.watchman(str(scene.folder / "d.sock"), events.append).watch)
        await until(lambda: [event.kind for event in events].count("hang") == 5)
        tasks.cancel_scope.cancel()
    folders = [*(scene.folder / "captures").iterdir()]
    assert len(folders) == [event.kind for event in events].count("captured") == 3
    for folder in folders:
        assert json.loads((folder / "progress.jsonl").read_text()) == RESTS
        assert (folder / "why").read_text().startswith("hang: build ")


async def test_once(scene: Scene) -> None:
    """With `once` the watch ends with its first capture, and a hang is an exit code of 1."""
    scene.start()
    scene.run("x")
    events: list[Event] = []
    with anyio.fail_after(120):
        assert await scene.watchman(str(scene.folder / "d.sock"), events.append, once=True).watch() is ExitCode.HANG
    assert [event.kind for event in events] == ["watching", "hang", "captured"]


async def until(true: Callable[[], bool]) -> None:
    """Wait for something, for a while."""
    with anyio.fail_after(120):
        while not true():
            await anyio.sleep(0.02)
