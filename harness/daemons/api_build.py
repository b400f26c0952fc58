"""A build that is asked of the daemon itself, in this process: what stands where a client's process does otherwise."""

import secrets
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import anyio

from harness.buildkit.solve import SolveMessage, progress_line
from harness.buildkit.wire import NotAMessage
from harness.daemons.base import BuildRequest
from harness.daemons.control import Control, ControlError, Controlled
from harness.daemons.served_folders import serving_folders

_LAST_WORDS_SECONDS: Final = 3.0
"""How long the progress may go on after the build's end; clients wait as long."""
_PIECES: Final = 10_000
"""Pieces of progress that wait to be read."""


@dataclass(frozen=True)
class ApiRequest:
    """A build, as the daemon is asked for it."""

    folders: Mapping[str, Path]
    """Those that it may read, by name."""
    options: Mapping[str, str]
    """What the frontend is told."""
    no_cache: bool
    exporter: str
    """Where the result goes, in the daemon's words."""
    tag: str

    def message(self, ref: str, session: str) -> SolveMessage:
        """Return the request for it, under a record's name and with a session's."""
        options = {**self.options, "no-cache": ""} if self.no_cache else self.options
        return SolveMessage(ref, session, options, self.exporter, {"name": self.tag})


@runtime_checkable
class BuildsByApi(Controlled, Protocol):
    """A daemon that can be asked for a build without a client."""

    def asked(self, request: BuildRequest) -> ApiRequest:
        """Return what it is asked for."""
        ...


class ApiBuild:
    """A running build without a client's process; for the rest of the run it is one.

    Ended by a signal, it lets go of the build as a client does that is killed: what it asked for is cancelled, and its
    session is closed.
    """

    pid = None
    """There is no process."""

    def __init__(self, control: Control, request: ApiRequest, parent: str) -> None:
        self.returncode: int | None = None
        self._control, self._request, self._parent = control, request, parent
        self._scope, self._ended = anyio.CancelScope(), anyio.Event()
        self._pieces, self._unread = anyio.create_memory_object_stream[bytes](_PIECES)

    async def wait(self) -> int:
        """Wait until it ends."""
        await self._ended.wait()
        return self.returncode or 0

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:  # noqa: ARG002 — there is no group
        """End it; nothing where it has ended."""
        if self.returncode is None:
            self.returncode = -number
            self._scope.cancel()

    def let_go(self) -> None:
        """End it, and read nothing of it any more."""
        self.signal(signal.SIGKILL)
        self._unread.close()

    async def output(self) -> AsyncIterator[bytes]:
        """Yield its progress as it comes, as rawjson, to its end."""
        with suppress(anyio.ClosedResourceError):
            async for piece in self._unread:
                yield piece

    async def perform(self) -> None:
        """Build."""
        failure = ""
        try:
            with self._scope:
                failure = await self._build()
                self.returncode = 1 if failure else 0
        finally:
            if failure and self._unread.statistics().open_receive_streams:
                self._pieces.send_nowait(f"ERROR: failed to solve: {failure}\n".encode())
            self._pieces.close()
            self._ended.set()

    async def _build(self) -> str:
        """Build; return why it failed, or nothing."""
        ref, request, failure = secrets.token_hex(12), self._request, ""
        try:
            async with serving_folders(self._control, request.folders) as session, anyio.create_task_group() as tasks:
                told = anyio.Event()
                tasks.start_soon(self._follow, ref, told)
                try:
                    await self._control.solve(request.message(ref, session), self._parent)
                except ControlError as error:
                    failure = error.why
                with anyio.move_on_after(_LAST_WORDS_SECONDS):
                    await told.wait()
                tasks.cancel_scope.cancel()
        except ControlError as error:
            failure = failure or error.why
        return failure

    async def _follow(self, ref: str, told: anyio.Event) -> None:
        try:
            async with self._control.progress(ref) as statuses:
                async for status in statuses:
                    await self._pieces.send(progress_line(status))
        except (ControlError, NotAMessage, anyio.BrokenResourceError):  # the build itself says what is wrong
            pass
        finally:
            told.set()


@asynccontextmanager
async def api_build(control: Control, request: ApiRequest, parent: str = "") -> AsyncIterator[ApiBuild]:
    """Begin a build; on leaving, it is let go of.

    Args:
        control: the daemon's.
        request: what it is asked for.
        parent: what the daemon's log is to say of whose build it is; see `core.trace`.
    """
    async with anyio.create_task_group() as tasks:
        build = ApiBuild(control, request, parent)
        tasks.start_soon(build.perform)
        try:
            yield build
        finally:
            build.let_go()
