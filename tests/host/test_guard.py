"""The guard: what lives in a cgroup of ours does not outlive a harness that was killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from harness.host.cgroup import Cgroup
from harness.host.guard import guarded
from harness.host.proc import Identity
from tests.actors.stages import daemons_cgroup

Eventually = Callable[[Callable[[], bool]], bool]
Process = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    """A cgroup that can be used here; removed with the test."""
    with daemons_cgroup() as made:
        yield made


def test_nobody_outlives_a_killed_harness(cgroup: Cgroup, process: Process, eventually: Eventually) -> None:
    """After SIGKILL of the harness all of its cgroup ends, also what left its session and its parents."""
    member = process("sh", "-c", "setsid sleep 1000 > /dev/null & echo $!; wait")
    assert member.stdout is not None
    apart = int(member.stdout.readline())
    cgroup.adopt(member.pid)
    cgroup.adopt(apart)
    script = f"""
        import time
        from harness.host.guard import guarded
        with guarded({cgroup.name!r}):
            print("guarded", flush=True)
            time.sleep(1000)
    """
    harness = process(sys.executable, "-c", dedent(script))
    assert harness.stdout is not None
    assert harness.stdout.readline() == "guarded\n"
    members = [Identity.of(member.pid), Identity.of(apart)]
    assert all(each.alive() for each in members)
    os.kill(harness.pid, signal.SIGKILL)
    assert eventually(lambda: not any(each.alive() for each in members))


def test_nobody_of_a_group_outlives_a_killed_harness(process: Process, eventually: Eventually) -> None:
    """After SIGKILL of the harness the whole group of a program ends, also what does not die with its leader."""
    script = """
        import anyio
        from harness.host.guard import guarded_groups
        from harness.host.proc import Command, running
        async def main():
            method = "trap '' HUP PIPE; (trap '' HUP PIPE; while :; do sleep 1; done) & echo $!; wait"
            async with running(Command(("sh", "-c", method))) as program:
                with guarded_groups(program.child.pid):
                    while not program.out.tell():
                        await anyio.sleep(0.01)
                        program.out.seek(0, 2)
                    program.out.seek(0)
                    print(program.child.pid, program.out.read().decode().strip(), flush=True)
                    await anyio.sleep(1000)
        anyio.run(main)
    """
    harness = process(sys.executable, "-c", dedent(script))
    assert harness.stdout is not None
    members = [Identity.of(int(pid)) for pid in harness.stdout.readline().split()]
    assert len(members) == 2
    os.kill(harness.pid, signal.SIGKILL)
    assert eventually(lambda: not any(each.alive() for each in members))


def test_a_unified_hierarchy(process: Process, eventually: Eventually) -> None:
    """With version 2 of cgroups all below ours ends at once, by `cgroup.kill`, in nested ones too."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    root = next((Path(mount[1]) for mount in mounts if mount[2] == "cgroup2"), None)
    top = (root or Path("/")) / f"repro-test-{os.getpid()}"
    try:
        for folder in (top, top / "daemon", top / "daemon" / "step"):
            folder.mkdir()
        member = process("sleep", "1000")
        (top / "daemon" / "step" / "cgroup.procs").write_text(str(member.pid))
    except OSError as error:
        pytest.skip(f"no cgroup can be made in version 2 here: {error}")
    script = f"""
        import time
        from pathlib import Path
        from harness.host import guard
        guard.ROOT = Path({str(root)!r})
        with guard.guarded({top.name!r}):
            print("guarded", flush=True)
            time.sleep(1000)
    """
    harness = process(sys.executable, "-c", dedent(script))
    assert harness.stdout is not None
    assert harness.stdout.readline() == "guarded\n"
    os.kill(harness.pid, signal.SIGKILL)
    try:
        assert eventually(lambda: member.poll() is not None)
    finally:
        for folder in (top / "daemon" / "step", top / "daemon", top):
            eventually(lambda folder=folder: "populated 0" in (folder / "cgroup.events").read_text())  # type: ignore[misc]
            folder.rmdir()


def test_an_orderly_end_touches_nothing(cgroup: Cgroup, process: Process) -> None:
    """A harness that leaves in order ends what it started by itself: the guard goes, and does nothing."""
    member = process("sleep", "1000")
    cgroup.adopt(member.pid)
    with guarded(cgroup.name):
        pass
    assert member.poll() is None


def test_a_cgroup_that_is_not_there() -> None:
    """On a host without cgroups there is nobody to end, and no problem."""
    with guarded("repro-test-nowhere"):
        pass
