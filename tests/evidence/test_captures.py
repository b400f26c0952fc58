"""The captures one by one, on real processes and files, and on daemons that answer as they are told."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.client.watched_build import Watch
from harness.core.errors import CaptureError
from harness.core.manifest import DaemonFacts
from harness.daemons.base import BuildRecords, BuildRequest
from harness.evidence.base import Capture
from harness.evidence.beside import Beside
from harness.evidence.client import ClientDump
from harness.evidence.database import DatabaseCopy
from harness.evidence.goroutines import GoroutineDumps
from harness.evidence.host import HostFigures, _cgroups
from harness.evidence.info import EngineInfo
from harness.evidence.log import LogTail
from harness.evidence.page import Page
from harness.evidence.process import Processes
from harness.evidence.records import BuildList, CacheList
from harness.host.attended_clock import AttendedClock
from harness.host.proc import Command, child
from tests.buildkit.test_bbolt import REAL

pytestmark = pytest.mark.anyio
Start = Callable[..., subprocess.Popen[str]]
Ask = Callable[[Callable[[], bool]], bool]


def facts(**known: Any) -> DaemonFacts:
    """Return what is known of a daemon: next to nothing, and `known`."""
    return DaemonFacts(kind="dockerd", version="", toolchain="", address="", private=True, **known)


@dataclass
class Silent:
    """A daemon that can be asked for nothing."""

    facts: DaemonFacts = field(default_factory=facts)


@dataclass
class Talks(Silent):
    """A daemon that answers everything."""

    dump: str = "goroutine 1 [running]:\n"

    async def goroutine_count(self) -> int:
        """It has one."""
        return 1

    async def goroutine_dump(self, deadline: float) -> str:  # noqa: ARG002 — it answers at once
        """Show it."""
        return self.dump

    async def page(self, path: str, deadline: float, **query: int) -> bytes | None:  # noqa: ARG002 — it answers at once
        """Serve one page."""
        return b"\x1f\x8b" + str(query).encode() if path == "/here" else None

    async def info(self) -> dict[str, Any]:
        """Count."""
        return {"NGoroutines": 56, "NFd": 34}

    async def build_records(self) -> BuildRecords:
        """List two."""
        return BuildRecords("STARTED\ta\nCOMPLETE\tb\n", ("STARTED\ta",))

    async def cache_records(self) -> str:
        """List none."""
        return "Total:\t0B\n"


async def capture(one: Capture, daemon: Silent, folder: Path) -> None:
    """Make one capture."""
    with anyio.fail_after(one.deadline):
        await one.capture(daemon, folder)


PAGE = Page("cpu profile", "cpu.pprof", "/here", "nobody has it", (("seconds", 5),))


async def test_of_a_daemon_that_talks(tmp_path: Path) -> None:
    """What a daemon answers is written as it came, with the running builds apart."""
    for one in (GoroutineDumps(apart=0.0), PAGE, EngineInfo(), BuildList(), CacheList()):
        await capture(one, Talks(), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix != ".json"} == {
        **{f"goroutines-{number}.txt": b"goroutine 1 [running]:\n" for number in range(3)},
        "cpu.pprof": b"\x1f\x8b{'seconds': 5}",
        "histories.txt": b"STARTED\ta\nCOMPLETE\tb\n",
        "histories-running.txt": b"STARTED\ta\n",
        "du.txt": b"Total:\t0B\n",
    }
    assert json.loads((tmp_path / "info.json").read_text())["NFd"] == 34


STANDS = "goroutine 1 [select]:\ngithub.com/moby/buildkit/control.(*Controller).Solve(0x1)\n\t/src/control.go:1 +0x1\n"
TURNS = "goroutine 1 [running]:\ngithub.com/moby/buildkit/solver.(*exporter).ExportTo(0x1)\n\t/src/solver.go:1 +0x1\n"


@pytest.mark.parametrize(("dump", "count"), [(TURNS, 3), (STANDS, 6)])
async def test_further_dumps_while_they_do_not_say(dump: str, count: int, tmp_path: Path) -> None:
    """Dumps that say what it is are enough; of a daemon of which they do not, further ones are made."""
    await GoroutineDumps(apart=0.0, further=(0.0, 0.0, 0.0)).capture(Talks(dump=dump), tmp_path)
    assert len([*tmp_path.iterdir()]) == count


async def test_later_dumps_go_on_where_the_first_ended(tmp_path: Path) -> None:
    """They are made only where the first do not say what it is, and take none of their names."""
    later = GoroutineDumps(count=0, further=(0.0, 0.0))
    with pytest.raises(CaptureError, match="or there are none"):
        await later.capture(Talks(dump=STANDS), tmp_path)
    assert not [*tmp_path.iterdir()], "there is nothing to be unsure of"
    for one in (GoroutineDumps(apart=0.0, further=()), later):
        await one.capture(Talks(dump=STANDS), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"goroutines-{number}.txt" for number in range(5)]


@pytest.mark.parametrize(
    "one",
    [
        *(GoroutineDumps(), PAGE, EngineInfo(), BuildList(), CacheList(), Processes(over=0.0), LogTail()),
        *(DatabaseCopy("cache.db"), Beside(())),
    ],
    ids=lambda one: one.name,
)
async def test_of_a_daemon_that_cannot_be_asked(one: Capture, tmp_path: Path) -> None:
    """What cannot be obtained is refused with a reason, and leaves no file."""
    with pytest.raises(CaptureError):
        await capture(one, Silent(), tmp_path)
    assert not [*tmp_path.iterdir()]


async def test_page_that_is_not_served(tmp_path: Path) -> None:
    """For a page that this daemon does not serve, the reason says who does."""
    page = Page("metrics", "metrics.txt", "/there", "only another has it")
    with pytest.raises(CaptureError, match="serves no /there: only another has it"):
        await capture(page, Talks(), tmp_path)


async def test_stopped_process(process: Start, eventually: Ask, tmp_path: Path) -> None:
    """A stopped process is said to be so, with its threads, descriptors and children, and no CPU used."""
    daemon = process("sh", "-c", "sleep 60 & wait")
    state = Path(f"/proc/{daemon.pid}/stat")
    assert eventually(lambda: len(Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()) == 1)
    os.kill(daemon.pid, signal.SIGSTOP)
    assert eventually(lambda: ") T " in state.read_text())
    await capture(Processes(over=0.1), Silent(facts(pid=daemon.pid)), tmp_path)
    told = json.loads((tmp_path / "process.json").read_text())
    assert (told["pid"], told["stopped"], told["cores"], told["name"]) == (daemon.pid, True, 0.0, "sh")
    assert told["open_files"]["pipe"] == 1
    assert [thread["state"] for thread in told["threads"]] == ["T"]
    [below] = told["others"]
    assert (below["name"], below["parent"], below["stopped"]) == ("sleep", daemon.pid, False)


async def test_busy_process(process: Start, eventually: Ask, tmp_path: Path) -> None:
    """A process that turns in a circle is not stopped, and the CPU that it and its thread use is seen."""
    daemon = process("sh", "-c", "while :; do :; done")
    assert eventually(lambda: ") R " in Path(f"/proc/{daemon.pid}/stat").read_text())
    await capture(Processes(), Silent(facts(pid=daemon.pid)), tmp_path)
    told = json.loads((tmp_path / "process.json").read_text())
    assert not told["stopped"]
    assert told["cores"] == pytest.approx(told["threads"][0]["cores"], abs=0.05)  # two files, read one after the other
    assert told["cores"] > 0.05
    assert told["rss"] > 0


async def test_end_of_the_log(tmp_path: Path) -> None:
    """The last lines of the log are kept, and behind them stands when that was."""
    log = tmp_path / "whole.log"
    log.write_text("".join(f"line {number}\n" for number in range(50)))
    await capture(LogTail(lines=2), Silent(facts(log=log)), tmp_path)
    lines = (tmp_path / "daemon.log").read_text().splitlines()
    assert lines[:-1] == ["line 48", "line 49"]
    assert lines[-1].startswith("---- repro: the finding was captured here, at 2")


@pytest.mark.parametrize(
    "place",
    [
        *("cache.db", "runc-overlayfs/cache.db", "buildkit/cache_c8d.db", "buildkit/containerd-overlayfs/cache.db"),
        *("volumes/buildx_buildkit_repro0_state/_data/cache.db",),
    ],
)
async def test_database_is_found(place: str, tmp_path: Path) -> None:
    """A database is found where the kinds of daemons keep theirs, and copied under its usual name."""
    (tmp_path / "root" / place).parent.mkdir(parents=True)
    shutil.copyfile(REAL, tmp_path / "root" / place)
    await capture(DatabaseCopy("cache.db"), Silent(facts(root=tmp_path / "root")), tmp_path)
    assert (tmp_path / "cache.db").read_bytes() == REAL.read_bytes()


async def test_host_figures(tmp_path: Path) -> None:
    """The kernel's files stand below their paths; a daemon without a cgroup of its own has the host's alone."""
    await capture(HostFigures(), Silent(), tmp_path)
    assert "==> /proc/loadavg <==\n" in (tmp_path / "host.txt").read_text()


def test_cgroup_folders(tmp_path: Path) -> None:
    """The daemon's cgroup is found with its leaves, in every hierarchy of version 1 and in the one of version 2."""
    for folder in ("memory/repro-x/daemon", "cpu/repro-x", "memory/another", "repro-x/daemon"):
        (tmp_path / folder).mkdir(parents=True)
    found = {str(path.relative_to(tmp_path)) for path in _cgroups("repro-x", tmp_path)}
    assert found == {"memory/repro-x", "memory/repro-x/daemon", "cpu/repro-x", "repro-x", "repro-x/daemon"}
    assert not [*_cgroups(None, tmp_path)]


GO = "trap 'echo goroutine 1 [select]:; exit 2' QUIT; echo ready; while :; do sleep 0.05; done"
"""Does on SIGQUIT what a Go program does."""


@pytest.mark.parametrize(("script", "dumps"), [(GO, True), ("trap '' QUIT; echo ready; sleep 60", False)])
async def test_client_dump(script: str, dumps: bool, tmp_path: Path) -> None:
    """A client's stacks are caught as it prints them on SIGQUIT; one that prints none is told, in bounded time."""
    request = BuildRequest(7, tmp_path, {}, "t", ("load",))
    async with child(Command(("sh", "-c", script))) as client, anyio.create_task_group() as tasks:
        watch = Watch("ci", request, client, AttendedClock())
        tasks.start_soon(watch.listen)
        with anyio.fail_after(20):
            while "ready" not in watch.progress.messages:
                await anyio.sleep(0.01)
        one = ClientDump(watch, each=2.0 if dumps else 0.2)
        if dumps:
            await capture(one, Silent(), tmp_path)
            assert "goroutine 1 [select]:" in (tmp_path / "client-goroutines.txt").read_text()
        else:
            with pytest.raises(CaptureError, match="no goroutines"):
                await capture(one, Silent(), tmp_path)
        tasks.cancel_scope.cancel()


async def test_client_that_has_returned(tmp_path: Path) -> None:
    """A client that has ended by the time that it is asked, as after a thaw, is told so."""
    async with child(Command(("true",))) as client:
        await client.wait()
        watch = Watch("ci", BuildRequest(7, tmp_path, {}, "t", ("load",)), client, AttendedClock())
        with pytest.raises(CaptureError, match="returned"):
            await capture(ClientDump(watch), Silent(), tmp_path)


async def test_builds_beside_it(tmp_path: Path) -> None:
    """Of a build beside the hung one it is kept which one it is, where it stood, and what it said last."""
    async with child(Command(("true",))) as client:
        watch = Watch("ci", BuildRequest(8, tmp_path, {}, "t", ("load",)), client, AttendedClock())
        watch.progress.feed(b'{"vertexes":[{"digest":"a","name":"[1/2] RUN"}]}\nERROR: no\n', 1.0)
        await capture(Beside((watch,)), Silent(), tmp_path)
    about, *said = (tmp_path / "beside-8.jsonl").read_text().splitlines()
    assert json.loads(about) == {"iteration": 8, "actor": "ci", "phase": "solving", "killed": None}
    assert said == ['{"vertexes":[{"digest":"a","name":"[1/2] RUN"}]}', "ERROR: no"]
