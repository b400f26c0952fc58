"""External programs: each in a process group of its own, with a deadline, and never waited for without bound."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import anyio

from harness.core.errors import CommandError, CommandMissing, CommandTimeout

REAP_SECONDS: Final = 5.0
"""How long a killed process may take to be reaped before we go on without it (it is in uninterruptible sleep)."""
STARTED_BY: Final = ("REPRO_STARTED_BY", secrets.token_hex(8))
"""A variable that every program has which this process starts, and what it starts in turn: so they can be told."""
_TOLD_BYTES: Final = 4000
_READ_BYTES: Final = 65536


@dataclass(frozen=True)
class Command:
    """A program to start: argv, what its environment has beside ours, its working folder, the cores it is to run on."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    cores: tuple[int, ...] = ()
    """By the kernel's numbers; without any, on all."""


@dataclass(frozen=True)
class Completed:
    """What a program that ended left: its exit status (negative: a signal) and what it printed."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Identity:
    """One process for good: pids come again, a pid with its start time in this boot does not."""

    pid: int
    start_ticks: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> "Identity":
        """Return the identity of a living process.

        Raises:
            ProcessLookupError: no such process.
        """
        return cls(pid, _start_ticks(pid), boot_id())

    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        try:
            return self == Identity.of(self.pid)
        except ProcessLookupError:
            return False


def boot_id() -> str:
    """Return the kernel's random id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start_ticks(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError as error:
        raise ProcessLookupError(pid) from error
    after_name = stat[stat.rindex(")") + 2 :].split()
    if after_name[0] in "ZX":
        raise ProcessLookupError(pid)
    return int(after_name[19])  # proc(5): starttime is field 22, the state is field 3


class Child:
    """A running program that we started, at the head of a process group of its own.

    Once it has ended it stays a zombie until `finish`: so its pid, and with it the group's, is never another's, and
    signals are safe at any time.
    """

    def __init__(self, popen: subprocess.Popen[bytes], output: int | None) -> None:
        self._popen = popen
        self._pidfd = os.pidfd_open(popen.pid)
        self._output = output
        self._returncode: int | None = None
        self._finished = False

    @property
    def pid(self) -> int:
        """Process id, and the id of its process group."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        if self._returncode is None:
            ended = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is not None:
                self._returncode = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        return self._returncode

    async def wait(self) -> int:
        """Wait until it ends."""
        watched = (
            os.dup(self._pidfd) if self.returncode is None else None
        )  # of its own, for a descriptor has one waiter
        try:
            while watched is not None and self.returncode is None:
                await anyio.wait_readable(watched)
        finally:
            if watched is not None:
                os.close(watched)
        assert self._returncode is not None  # noqa: S101 — what ended the loop
        return self._returncode

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to it, or to all of its group that still runs; nothing where there is none."""
        with suppress(ProcessLookupError):
            if group:
                os.killpg(self.pid, number)
            else:
                signal.pidfd_send_signal(self._pidfd, number)

    async def output(self) -> AsyncIterator[bytes]:
        """Yield what it prints, as it comes, until every holder of the pipe has closed it."""
        if self._output is None:
            return
        while True:
            await anyio.wait_readable(self._output)
            chunk = os.read(self._output, _READ_BYTES)
            if not chunk:
                return
            yield chunk

    async def end(self, grace: float) -> bool:
        """SIGTERM the group, and `finish`; return whether it ended within `grace` seconds, before it was killed.

        Without any grace it is killed at once.
        """
        if grace > 0:
            self.signal(signal.SIGTERM, group=True)
        with anyio.move_on_after(grace, shield=True) as patience:
            await self.wait()
        await self.finish()
        return not patience.cancelled_caught

    async def finish(self) -> None:
        """SIGKILL what still runs of the group, and reap it; in bounded time, also in uninterruptible sleep.

        Nothing is done the second time.
        """
        if self._finished:
            return
        self._finished = True
        self.signal(signal.SIGKILL, group=True)
        with anyio.move_on_after(REAP_SECONDS, shield=True):
            await self.wait()
        if self._returncode is not None:
            self._popen.wait()
        self.detach()

    def detach(self) -> None:
        """Close the descriptors; the process is not touched."""
        os.close(self._pidfd)
        if self._output is not None:
            os.close(self._output)


def spawn(
    command: Command,
    *,
    output: IO[bytes] | None = None,
    stdout: IO[bytes] | None = None,
    dies_with_us: bool = False,
) -> Child:
    """Start a program in a new session, with no standard input.

    Args:
        command: what to start.
        output: a file for what it prints; else a pipe that `Child.output` reads.
        stdout: a file for standard output alone.
        dies_with_us: have the kernel SIGKILL it when the harness dies, however that dies.

    Raises:
        CommandMissing: there is no such program, or the kernel will not start it.
    """
    environment = {**os.environ, **dict([STARTED_BY]), **command.env}
    if shutil.which(command.argv[0], path=environment.get("PATH")) is None:  # setpriv would start, and only then fail
        raise CommandMissing(command.argv[0])
    bound = (shutil.which("setpriv") or "setpriv", "--pdeathsig", "KILL", "--") if dies_with_us else ()
    pinned = ("taskset", "--cpu-list", ",".join(map(str, command.cores))) if command.cores else ()
    argv = [*bound, *pinned, *command.argv]
    reader, writer = (None, output.fileno()) if output else os.pipe()
    try:
        popen = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=stdout or writer,
            stderr=writer,
            env=environment,
            cwd=command.cwd,
            start_new_session=True,
        )
    except OSError as error:
        if reader is not None:
            os.close(reader)
        raise CommandMissing(command.argv[0], f"{error.strerror}; install it, or put it on PATH") from error
    finally:
        if not output:
            os.close(writer)
    return Child(popen, reader)


@asynccontextmanager
async def child(command: Command) -> AsyncIterator[Child]:
    """Start a program with a pipe to read; on leaving, what still runs of its group is SIGKILLed.

    It dies with the harness, however that dies.
    """
    started = spawn(command, dies_with_us=True)
    try:
        yield started
    finally:
        await started.finish()


@dataclass(frozen=True)
class Running:
    """A program on its way to its end, what it prints going to files."""

    command: Command
    child: Child
    out: IO[bytes]
    err: IO[bytes]

    async def completed(self, deadline: float, *, check: bool = True) -> Completed:
        """Wait until it ends, and return what it printed.

        Args:
            deadline: seconds until its group is killed.
            check: raise where it reports failure.

        Raises:
            CommandTimeout: it did not end by the deadline; the message has what it had printed.
            CommandError: it ended with another status than 0, and `check`; the message has what it printed.
        """
        status = None
        with anyio.move_on_after(deadline):
            status = await self.child.wait()
        await self.child.finish()
        stdout, stderr = _text(self.out), _text(self.err)
        if status is None:
            raise CommandTimeout(self.command.argv, deadline, (stdout + stderr)[-_TOLD_BYTES:])
        if check and status != 0:
            raise CommandError(self.command.argv, status, (stdout + stderr)[-_TOLD_BYTES:])
        return Completed(status, stdout, stderr)


@asynccontextmanager
async def running(command: Command, *, dies_with_us: bool = True) -> AsyncIterator[Running]:
    """Start a program; on leaving, what still runs of its group is SIGKILLed.

    It dies with the harness, however that dies, where the host has what binds it so.

    Raises:
        CommandMissing: it could not be started.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = spawn(
            command, output=err, stdout=out, dies_with_us=dies_with_us and shutil.which("setpriv") is not None
        )
        try:
            yield Running(command, started, out, err)
        finally:
            await started.finish()


async def run(
    argv: Sequence[str | Path],
    *,
    deadline: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    check: bool = True,
    dies_with_us: bool = True,
) -> Completed:
    """Run a program to its end and return what it printed.

    Args:
        argv: program and arguments.
        deadline: seconds until its group is killed.
        env: variables beside our own environment.
        cwd: working folder.
        check: raise where it reports failure.
        dies_with_us: start it bound to the harness; without, what the kernel says of a file that it refuses is told.

    Raises:
        CommandMissing: it could not be started.
        CommandTimeout, CommandError: see `Running.completed`.
    """
    command = Command(tuple(str(part) for part in argv), env or {}, cwd)
    async with running(command, dies_with_us=dies_with_us) as program:
        return await program.completed(deadline, check=check)


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode(errors="replace")
