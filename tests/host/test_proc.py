"""External programs: deadlines, what is left of them, what their failures become, and who is who."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from harness.core.errors import CommandError, CommandMissing, CommandTimeout
from harness.host.proc import Child, Command, Identity, boot_id, child, run, spawn

pytestmark = pytest.mark.anyio

Eventually = Callable[[Callable[[], bool]], bool]
Process = Callable[..., subprocess.Popen[str]]


def descriptors() -> int:
    """Return how many files this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 — iterdir would keep one open


def gone(pid: int) -> bool:
    """Whether no process of this pid runs."""
    try:
        Identity.of(pid)
    except ProcessLookupError:
        return True
    return False


def zombie(pid: int) -> bool:
    """Whether a process has ended and waits for its parent."""
    return ") Z " in Path(f"/proc/{pid}/stat").read_text()


async def first_line(program: Child) -> str:
    """Return the first line that a program prints."""
    text = b""
    async for chunk in program.output():
        text += chunk
        if b"\n" in text:
            break
    return text.decode().split("\n")[0]


async def test_what_a_program_leaves() -> None:
    """Both outputs come apart and whole, with the status and in the environment and folder that were given."""
    program = 'echo "$GREETING"; pwd; echo fine >&2'
    done = await run(["sh", "-c", program], deadline=60, env={"GREETING": "hi"}, cwd=Path("/"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "hi\n/\n", "fine\n")


async def test_much_output_needs_no_reader() -> None:
    """A program that prints more than a pipe holds comes to its end, and bytes that are no text stay countable."""
    done = await run(["sh", "-c", "head -c 1000000 /dev/zero; printf '\\377'"], deadline=60)
    assert done.stdout == "\0" * 1_000_000 + "�"


async def test_no_program_waits_for_input() -> None:
    """A program that reads standard input finds its end at once."""
    assert (await run(["cat"], deadline=60)).stdout == ""


async def test_a_failure_is_told_with_its_output() -> None:
    """Another status than 0 is a CommandError that has the command, the status and both outputs."""
    with pytest.raises(CommandError) as caught:
        await run(["sh", "-c", "echo out; echo err >&2; exit 3"], deadline=60)
    assert (caught.value.returncode, caught.value.output) == (3, "out\nerr\n")
    assert str(caught.value) == "`sh -c echo out; echo err >&2; exit 3` failed with exit 3:\nout\nerr"


async def test_a_failure_that_is_asked_for() -> None:
    """Where the caller looks at the status itself, no status is an error, not even a signal's."""
    assert (await run(["sh", "-c", "exit 3"], deadline=60, check=False)).returncode == 3
    assert (await run(["sh", "-c", "kill -9 $$"], deadline=60, check=False)).returncode == -signal.SIGKILL


async def test_a_signal_is_told() -> None:
    """A program that a signal ended is a CommandError that names the signal."""
    with pytest.raises(CommandError, match="failed with signal 9"):
        await run(["sh", "-c", "kill -9 $$"], deadline=60)


async def test_only_the_end_of_much_output_is_told() -> None:
    """A message has the end of what was printed, for the error stands there, and not megabytes of it."""
    with pytest.raises(CommandError, match="the last word") as caught:
        await run(["sh", "-c", "yes | head -c 1000000; echo the last word; exit 1"], deadline=60)
    assert len(str(caught.value)) < 10_000


@pytest.mark.parametrize("made", ["absent", "unexecutable", "folder"])
async def test_a_program_that_is_not_there(tmp_path: Path, made: str) -> None:
    """What cannot be started is a CommandMissing that names it and says what to do; no descriptor is left open."""
    program = tmp_path / "program"
    if made == "unexecutable":
        program.write_text("#!/bin/sh\n")
    elif made == "folder":
        program.mkdir()
    before = descriptors()
    with pytest.raises(CommandMissing, match=rf"cannot start {program}: .*install it, or put it on PATH"):
        await run([program], deadline=60)
    for dies_with_us in (False, True):
        with pytest.raises(CommandMissing, match=f"cannot start {program}: "):
            spawn(Command((str(program),)), dies_with_us=dies_with_us)
    assert descriptors() == before


async def test_a_program_that_the_kernel_refuses(tmp_path: Path) -> None:
    """A program that is there and cannot be executed is a CommandMissing that says why; no descriptor is left open."""
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF of another kind")
    program.chmod(0o755)
    before = descriptors()
    with pytest.raises(CommandMissing, match=f"cannot start {program}: Exec format error"):
        spawn(Command((str(program),)))
    assert descriptors() == before


async def test_a_deadline_ends_the_whole_group(eventually: Eventually) -> None:
    """At its deadline a program is killed with all that it started, deaf to SIGTERM as it is; what it said is told."""
    program = "trap '' TERM; sleep 1000 & echo $!; wait"
    with pytest.raises(CommandTimeout, match=r"did not end within 10 s and was killed:\n[0-9]+$") as caught:
        await run(["sh", "-c", program], deadline=10)
    assert eventually(lambda: gone(int(caught.value.output)))


async def test_cancelling_ends_the_whole_group(tmp_path: Path, eventually: Eventually) -> None:
    """A call that is cancelled leaves neither its program nor what that started, and no descriptor."""
    before = descriptors()
    told = tmp_path / "pids"
    async with anyio.create_task_group() as tasks:

        async def call() -> None:
            program = f"cd '{tmp_path}'; sleep 1000 & echo $! $$ > new; mv new {told.name}; wait"
            await run(["sh", "-c", program], deadline=600)

        tasks.start_soon(call)
        while not told.exists():
            await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert all(eventually(lambda pid=pid: gone(int(pid))) for pid in told.read_text().split())  # type: ignore[misc]
    assert descriptors() == before


async def test_a_call_leaves_nothing_of_the_group(eventually: Eventually) -> None:
    """A program that has ended has ended, also while another holds what it printed to; that one is killed then."""
    with anyio.fail_after(60):
        done = await run(["sh", "-c", "sleep 1000 & echo $!"], deadline=600)
    assert done.returncode == 0
    assert eventually(lambda: gone(int(done.stdout)))


async def test_output_that_a_grandchild_holds_open(eventually: Eventually) -> None:
    """A pipe ends only with its last holder, whom a signal to the group reaches although its leader has ended."""
    before = descriptors()
    program = spawn(Command(("sh", "-c", "sleep 1000 & echo $!")))
    output = b""

    async def listen() -> None:
        nonlocal output
        async for chunk in program.output():
            output += chunk
        ended.set()

    ended = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        assert await program.wait() == 0
        await anyio.sleep(0.05)
        assert not ended.is_set()
        assert zombie(program.pid)  # so the group's id is nobody else's
        program.signal(signal.SIGKILL, group=True)
        with anyio.fail_after(60):
            await ended.wait()
    assert eventually(lambda: gone(int(output)))
    program.signal(signal.SIGKILL, group=True)  # where none are left it does nothing
    await program.finish()
    assert not Path(f"/proc/{program.pid}").exists()
    assert program.returncode == 0
    assert descriptors() == before


async def test_a_child_whose_leader_ended_first(eventually: Eventually) -> None:
    """What a child leaves running in its group when it ends is killed when its block is left."""
    async with child(Command(("sh", "-c", "sleep 1000 & echo $!"))) as program:
        left = int(await first_line(program))
        assert await program.wait() == 0
        assert not gone(left)
    assert eventually(lambda: gone(left))
    assert not Path(f"/proc/{program.pid}").exists()


async def test_letting_go(eventually: Eventually) -> None:
    """A program that is let go runs on with its group, and no descriptor of it stays."""
    before = descriptors()
    program = spawn(Command(("sh", "-c", "sleep 1000 & echo $!; wait")))
    below = int(await first_line(program))
    program.detach()
    assert descriptors() == before
    assert not gone(program.pid)
    assert not gone(below)
    os.killpg(program.pid, signal.SIGKILL)
    assert program._popen.wait() == -signal.SIGKILL
    assert eventually(lambda: gone(below))


@pytest.mark.parametrize("how", ["left", "raised", "cancelled"])
async def test_a_child_leaves_nothing(eventually: Eventually, how: str) -> None:
    """However its block is left, a child that runs is killed with its group and reaped, and its descriptors closed."""
    before, pids = descriptors(), []
    with anyio.CancelScope() as scope, suppress(LookupError):
        async with child(Command(("sh", "-c", "trap '' TERM; sleep 1000 & echo $!; wait"))) as program:
            pids += [program.pid, int(await first_line(program))]
            assert not any(map(gone, pids))
            if how == "raised":
                raise LookupError
            if how == "cancelled":
                scope.cancel()
                await anyio.sleep_forever()
    assert not Path(f"/proc/{pids[0]}").exists()  # not even as a zombie
    assert eventually(lambda: gone(pids[1]))
    assert program.returncode == -signal.SIGKILL
    assert descriptors() == before


DIES = """
import sys, time
from harness.host.proc import Command, spawn
process = spawn(Command(("sleep", "1000")), output=sys.stderr.buffer, dies_with_us=True)
print(process.pid, flush=True)
time.sleep(1000)
"""


RUNS = """
import anyio
from harness.host.proc import run
anyio.run(lambda: run(["sh", "-c", "echo $$ >&9; exec sleep 1000"], deadline=900))
"""


async def test_a_command_dies_with_the_harness(tmp_path: Path, process: Process, eventually: Eventually) -> None:
    """So does what is run to its end, such as apt as it fetches: nobody waits for that any more."""
    file = tmp_path / "pid"
    harness = process("sh", "-c", 'exec "$0" -c "$1"', sys.executable, RUNS.replace(">&9", f"> '{file}'"))
    assert eventually(lambda: file.exists() and file.read_text().endswith("\n"))
    os.kill(harness.pid, signal.SIGKILL)
    assert eventually(lambda: gone(int(file.read_text())))


async def test_a_daemon_dies_with_the_harness(process: Process, eventually: Eventually) -> None:
    """What is to die with the harness does so even where the harness is SIGKILLed."""
    harness = process(sys.executable, "-c", DIES)
    assert harness.stdout is not None
    pid = int(harness.stdout.readline())
    assert eventually(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")  # setpriv has done its part
    assert not gone(pid)
    os.kill(harness.pid, signal.SIGKILL)
    assert eventually(lambda: gone(pid))


@pytest.mark.parametrize(
    ("program", "grace", "status", "by_itself"),
    [
        ("echo ready; exec sleep 1000", 600, -signal.SIGTERM, True),
        ("trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done", 600, 7, True),
        ("trap '' TERM; echo ready; while :; do sleep 0.05; done", 0.2, -signal.SIGKILL, False),
        ("echo ready; exec sleep 1000", 0, -signal.SIGKILL, False),
    ],
    ids=["heeds", "tidies", "deaf", "at-once"],
)
async def test_the_end_of_a_program(program: str, grace: float, status: int, by_itself: bool) -> None:
    """SIGTERM first; who does not end on it within the grace is killed, and that is told. All are reaped."""
    before = descriptors()
    started = spawn(Command(("sh", "-c", program)))
    assert await first_line(started) == "ready"
    assert await started.end(grace) is by_itself
    assert started.returncode == status
    assert not Path(f"/proc/{started.pid}").exists()
    assert descriptors() == before


async def test_the_end_of_a_frozen_program(eventually: Eventually) -> None:
    """A program that is stopped, which SIGTERM does not reach, is killed after the grace."""
    started = spawn(Command(("sleep", "1000")))
    started.signal(signal.SIGSTOP)
    assert eventually(lambda: ") T " in Path(f"/proc/{started.pid}/stat").read_text())
    assert not await started.end(0.2)
    assert started.returncode == -signal.SIGKILL


async def test_signals_reach_whom_they_are_for(eventually: Eventually) -> None:
    """A signal to the program leaves its group alone; one to the group does not; one to the dead is nothing."""
    for group in (False, True):
        program = spawn(Command(("sh", "-c", "sleep 1000 & echo $!; wait")))
        grandchild = int(await first_line(program))
        program.signal(signal.SIGKILL, group=group)
        assert await program.wait() == -signal.SIGKILL
        if group:
            assert eventually(lambda pid=grandchild: gone(pid))  # type: ignore[misc]
        else:
            assert not gone(grandchild)
            os.kill(grandchild, signal.SIGKILL)
        program.signal(signal.SIGTERM, group=group)
        await program.finish()


async def test_a_session_of_its_own() -> None:
    """A program is not in our process group, so that a terminal's Ctrl-C does not reach it."""
    async with child(Command(("sleep", "1000"))) as program:
        assert os.getpgid(program.pid) == program.pid != os.getpgid(0)
        assert os.getsid(program.pid) == program.pid


def test_an_identity(process: Process) -> None:
    """A living process is itself, and no process of another start or of another boot that has its pid."""
    sleep = Identity.of(process("sleep", "1000").pid)
    assert sleep.alive()
    assert sleep == Identity.of(sleep.pid)
    assert sleep.boot == boot_id()
    for other in (replace(sleep, start_ticks=sleep.start_ticks - 1), replace(sleep, boot="another")):
        assert not other.alive()


def test_a_zombie_is_not_alive(process: Process, eventually: Eventually) -> None:
    """A process that has ended is not alive, although its parent has not taken note."""
    popen = process("sleep", "1000")
    identity = Identity.of(popen.pid)
    os.kill(popen.pid, signal.SIGKILL)
    assert eventually(lambda: not identity.alive())
    assert Path(f"/proc/{popen.pid}").exists()  # it waits for its parent
    with pytest.raises(ProcessLookupError):
        Identity.of(popen.pid)
    popen.wait()
    assert not identity.alive()


def test_no_such_process() -> None:
    """A pid that no process can have is no living process's."""
    with pytest.raises(ProcessLookupError):
        Identity.of(2**22 + 1)  # Linux gives out pids up to 2**22


def test_a_name_that_looks_like_the_rest(tmp_path: Path, process: Process, eventually: Eventually) -> None:
    """A program's name may have brackets, blanks and letters of states in it: its start is read all the same."""
    name = "x) Z 1 (y"
    (tmp_path / name).write_text("#!/bin/sh\nsleep 1000\nexit 0\n")
    (tmp_path / name).chmod(0o755)
    strange = process(tmp_path / name)
    assert eventually(lambda: name in Path(f"/proc/{strange.pid}/stat").read_text())
    plain = process("sleep", "1000")
    assert 0 <= Identity.of(plain.pid).start_ticks - Identity.of(strange.pid).start_ticks < 6000  # 100 a second
