"""Whether a daemon is at work for a build that says nothing."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import pytest

from harness.client.activity import Activity, ProcessSnapshot, Work, look_at
from harness.core.manifest import DaemonFacts
from tests.support.eventually import eventually

RUN, COPY, OTHER = "[2/2] RUN echo 1 && sleep 185", "[1/2] COPY big /", "[2/2] RUN make"
MEBI = 1_048_576


def activity(*looks: ProcessSnapshot) -> Activity:
    """Return one that sees these, in turn."""
    left = [*looks]
    return Activity(lambda: left.pop(0))


def seen(
    running: Sequence[str], *, steps: Sequence[str] = (), moved: int = 0, stopped: bool = False, beside: str = ""
) -> Work:
    """Return what is seen in the second of two looks, ten seconds apart."""
    first, second = (ProcessSnapshot(at, at * moved, steps, stopped) for at in (-20, -10))
    looks = activity(first, second)
    looks.of(running, [beside])
    return looks.of(running, [beside])


@pytest.mark.parametrize(
    ("work", "found"),
    [
        pytest.param(Work.PROCESS, lambda: seen([RUN], steps=["echo 1 && sleep 185"]), id="its process lives"),
        pytest.param(Work.PROCESS, lambda: seen([RUN], steps=["echo ${N} && sleep 185"]), id="a variable in it"),
        pytest.param(Work.NONE, lambda: seen([RUN], steps=["make"], beside=OTHER), id="only another's lives"),
        pytest.param(Work.NONE, lambda: seen([RUN]), id="its process has ended"),
        pytest.param(Work.NONE, lambda: seen([RUN], steps=["echo 1 && sleep 185"], stopped=True), id="stopped daemon"),
        pytest.param(Work.NONE, lambda: seen([RUN], moved=MEBI), id="bytes beside a step that has ended"),
        pytest.param(Work.DATA, lambda: seen([COPY], moved=MEBI), id="bytes for a copy"),
        pytest.param(Work.NONE, lambda: seen([COPY], moved=1000), id="a log's bytes"),
        pytest.param(Work.NONE, lambda: seen([], moved=MEBI, steps=["make"]), id="no step runs"),
    ],
)
@pytest.mark.anyio
async def test_work(work: Work, found: Callable[[], Work]) -> None:
    """A step's process counts where it may be this build's; bytes count where something else than a process runs."""
    assert found() is work


@pytest.mark.anyio
async def test_one_look_says_nothing_of_bytes() -> None:
    """Before the second look it is not known; and nobody looks twice within a second."""
    now = anyio.current_time()
    looks = activity(ProcessSnapshot(now, 0, (), False))
    assert looks.of([COPY]) is Work.UNKNOWN
    assert looks.of([COPY]) is Work.UNKNOWN


def test_a_real_tree(tmp_path: Path) -> None:
    """The first process below a runtime is a step's; what it starts, and the daemon's own helpers, are none."""
    runc = tmp_path / "runc"
    runc.symlink_to(sys.executable)
    code = "import subprocess, sys; subprocess.run(['/bin/sh', '-c', sys.argv[1]])"
    command = "sleep 60; true"
    with subprocess.Popen([runc, "-c", code, command], start_new_session=True) as process:
        try:
            facts = DaemonFacts("buildkitd", "v0", "", "", private=True, pid=os.getpid())
            assert eventually(lambda: bool(look_at(facts, 0.0).steps))
            look = look_at(facts, 0.0)
            assert look.steps == [command]
            assert look.moved > 0
            assert not look.stopped
        finally:
            os.killpg(process.pid, 9)
