"""BuildKit's control API, spoken over gRPC on a daemon's own socket: no process of a client is started for it.

buildkitd serves it as it is; dockerd where ``POST /grpc`` asks for an upgrade of the connection to HTTP/2.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

import anyio
from grpclib.client import Channel, StreamStreamMethod, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.const import Status
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError
from grpclib.protocol import H2Protocol
from multidict import MultiDict

from harness.buildkit.messages import (
    SERVICE,
    BuildEvent,
    PruneMessage,
    UsageRecord,
    cache_records,
    disk_usage,
    forgotten,
    history,
)
from harness.buildkit.solve import SolveMessage, status_request
from harness.buildkit.wire import NotAMessage
from harness.core.errors import CaptureError
from harness.daemons.base import ITERATION_ARG, RunningBuild

_ANSWER_SECONDS: Final = 3.0
_ATTRIBUTE: Final = f"build-arg:{ITERATION_ARG}"
_UPGRADE: Final = ("Host: docker", "Connection: Upgrade", "Upgrade: h2c", "Content-Length: 0")
_LONGEST_HEAD: Final = 16 << 10
_NO_HEADERS: Final[Mapping[str, str]] = {}


class ControlError(CaptureError):
    """The control API gave no answer, or not in time."""

    def __init__(self, method: str, why: str) -> None:
        super().__init__(f"the daemon's control API, {method}: {why}")
        self.why = why


class NotServed(ControlError):
    """The daemon does not serve the control API, or not this method: ask its client instead."""


class Control:
    """One daemon's control API. The connection is made at the first request, and again where it was lost.

    Args:
        path: the daemon's socket.
        engine: whether it is dockerd's, where the connection begins as HTTP/1.1.
    """

    def __init__(self, path: Path, *, engine: bool = False) -> None:
        self._path, self._engine = path, engine
        self._channel: Channel | None = None

    async def answers(self) -> bool:
        """Whether the daemon lists its workers. No client is asked: where the daemon hands traces on, each of those
        waits for the collector too (moby/buildkit#6747).
        """
        try:
            with _in_time("ListWorkers"), _errors_of("ListWorkers"):
                await UnaryUnaryMethod(self._connection(), f"/{SERVICE}/ListWorkers", bytes, bytes)(b"")
        except ControlError:
            return False
        return True

    async def running_builds(self) -> Sequence[RunningBuild]:
        """Return the builds that the daemon holds to be running, with their iterations.

        Raises:
            ControlError: it did not say.
        """
        with _in_time("ListenBuildHistory"):
            async with self._stream("ListenBuildHistory", history(active=True, follow=False)) as messages:
                events = [BuildEvent.decoded(data) async for data in messages]
        return [RunningBuild(event.ref, _iteration(event)) for event in events if event.ref and not event.completed]

    async def builds(self) -> Sequence[BuildEvent]:
        """Return the builds that the daemon has records of, those that run first.

        Raises:
            ControlError: it did not say.
        """
        with _in_time("ListenBuildHistory"):
            async with self._stream("ListenBuildHistory", history(active=False, follow=False)) as messages:
                return [BuildEvent.decoded(data) async for data in messages]

    @asynccontextmanager
    async def build_events(self) -> AsyncIterator[AsyncIterator[BuildEvent]]:
        """Yield an endless row of events: one for each build that runs, then one as a build begins, ends or is deleted.

        Raises:
            ControlError: the daemon refused it, or the connection was lost.
        """
        async with self._stream("ListenBuildHistory", history(active=True, follow=True)) as messages:
            yield (BuildEvent.decoded(data) async for data in messages)

    async def forget_builds(self) -> int:
        """Have the daemon delete its records of the builds that are over, with logs and provenance, which no prune
        removes (moby/buildkit#3492); return how many those were.

        Raises:
            ControlError: it did not.
        """
        over = [event.ref for event in await self.builds() if event.completed]
        for ref in over:
            with _in_time("UpdateBuildHistory"), _errors_of("UpdateBuildHistory"):
                ask = UnaryUnaryMethod(self._connection(), f"/{SERVICE}/UpdateBuildHistory", bytes, bytes)
                await ask(forgotten(ref))
        return len(over)

    async def cache_records(self) -> Sequence[UsageRecord]:
        """Return the records of the cache.

        Raises:
            ControlError: it did not say.
        """
        with _in_time("DiskUsage"), _errors_of("DiskUsage"):
            ask = UnaryUnaryMethod(self._connection(), f"/{SERVICE}/DiskUsage", bytes, bytes)
            return cache_records(await ask(disk_usage()))

    @asynccontextmanager
    async def pruning(self, request: PruneMessage, parent: str = "") -> AsyncIterator[AsyncIterator[UsageRecord]]:
        """Prune the cache. Entered once the request is on its way; yields the records as they are removed.

        Args:
            request: what to remove.
            parent: what the daemon's log is to say of whose prune it is; see `core.trace`.

        Raises:
            ControlError: the daemon refused it, or the connection was lost.
        """
        async with self._stream("Prune", request.encoded(), _traced(parent)) as messages:
            yield (UsageRecord.decoded(data) async for data in messages)

    async def solve(self, request: SolveMessage, parent: str = "") -> None:
        """Build, and return once the daemon says that it is done.

        Args:
            request: what to build.
            parent: what the daemon's log is to say of whose build it is; see `core.trace`.

        Raises:
            ControlError: the build failed, with the daemon's words for it; or the connection was lost.
        """
        with _errors_of("Solve"):
            ask = UnaryUnaryMethod(self._connection(), f"/{SERVICE}/Solve", bytes, bytes)
            await ask(request.encoded(), metadata=_traced(parent))

    @asynccontextmanager
    async def progress(self, ref: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield the progress of a build to its end (``StatusResponse``), also from before it is known to the daemon.

        Raises:
            ControlError: there is no such build, or the connection was lost.
        """
        async with self._stream("Status", status_request(ref)) as messages:
            yield messages

    @asynccontextmanager
    async def session(self, headers: MultiDict[str]) -> AsyncIterator[Any]:
        """Open a connection on which the daemon asks us: a socket where it is an engine's, else a stream of
        ``BytesMessage``.

        Args:
            headers: who we are, and what we serve.

        Raises:
            ControlError: the daemon refused it, or the connection was lost.
        """
        with _errors_of("Session"):
            if self._engine:
                lines = [f"{name}: {value}" for name, value in headers.items()]
                yield await _upgraded(str(self._path), "/session", lines)
                return
            call = StreamStreamMethod(self._connection(), f"/{SERVICE}/Session", bytes, bytes)
            async with call.open(metadata=headers) as stream:
                await stream.send_request()
                try:
                    yield stream
                finally:
                    await stream.cancel()

    async def connect(self) -> None:
        """Make the connection, so that the first request need not wait for it.

        Raises:
            ControlError: there is none to be had.
        """
        with _in_time("connect"), _errors_of("connect"):
            await self._connection().__connect__()

    def close(self) -> None:
        """Close the connection; a later request makes another."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    @asynccontextmanager
    async def _stream(
        self, method: str, request: bytes, headers: Mapping[str, str] = _NO_HEADERS
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        with _errors_of(method):
            call = UnaryStreamMethod(self._connection(), f"/{SERVICE}/{method}", bytes, bytes)
            async with call.open(metadata=dict(headers)) as stream:
                await stream.send_message(request, end=True)
                yield aiter(stream)

    def _connection(self) -> Channel:
        if self._channel is None:
            self._channel = _SocketChannel(self._path, self._engine)
        return self._channel


@runtime_checkable
class Controlled(Protocol):
    """A daemon whose control API we can speak."""

    @property
    def control(self) -> Control:
        """Its control API."""
        ...


class BytesCodec(CodecBase):
    """Messages as they are; `harness.buildkit.messages` reads and writes them."""

    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:  # noqa: ARG002 — the library's signature
        """Return the message as it is."""
        return bytes(message)

    def decode(self, data: bytes, message_type: Any) -> Any:  # noqa: ARG002 — the same
        """Return the message as it is."""
        return data


class _SocketChannel(Channel):
    """A channel over a unix socket; on dockerd's the connection is upgraded first."""

    def __init__(self, path: Path, engine: bool) -> None:
        super().__init__(path=str(path), codec=BytesCodec())
        self._engine = engine

    async def _create_connection(self) -> H2Protocol:
        if not self._engine:
            return await super()._create_connection()
        connection = await _upgraded(str(self._path), "/grpc")
        _, protocol = await asyncio.get_running_loop().create_connection(self._protocol_factory, sock=connection)
        return protocol


async def _upgraded(path: str, endpoint: str, headers: Sequence[str] = ()) -> socket.socket:
    """Return a connection to dockerd that speaks HTTP/2 from here on.

    Args:
        path: the socket's.
        endpoint: of its API, ``/grpc`` or ``/session``.
        headers: lines for it.

    Raises:
        NotServed: it answers otherwise, as an engine before 18.09 does.
        OSError: there is no connection.
    """
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        connection = stack.enter_context(socket.socket(socket.AF_UNIX))
        connection.setblocking(False)
        await loop.sock_connect(connection, path)
        request = "\r\n".join((f"POST {endpoint} HTTP/1.1", *_UPGRADE, *headers, "", ""))
        await loop.sock_sendall(connection, request.encode())
        head = b""
        while not head.endswith(b"\r\n\r\n") and len(head) < _LONGEST_HEAD:
            byte = await loop.sock_recv(connection, 1)  # no more: what follows the head is HTTP/2
            if not byte:
                break
            head += byte
        status = head.split(b"\r\n", 1)[0].decode(errors="replace")
        if status.startswith("HTTP/1.1 101"):
            stack.pop_all()
            return connection
    raise NotServed(f"POST {endpoint}", status or "it closed the connection")


def _traced(parent: str) -> Mapping[str, str]:
    return {"traceparent": parent} if parent else _NO_HEADERS


@contextmanager
def _in_time(method: str) -> Iterator[None]:
    try:
        with anyio.fail_after(_ANSWER_SECONDS):
            yield
    except TimeoutError as error:
        raise ControlError(method, f"no answer within {_ANSWER_SECONDS:g} s") from error


@contextmanager
def _errors_of(method: str) -> Iterator[None]:
    try:
        yield
    except GRPCError as error:
        kind = NotServed if error.status is Status.UNIMPLEMENTED else ControlError
        raise kind(method, error.message or error.status.name) from error
    except (StreamTerminatedError, ProtocolError, NotAMessage, OSError) as error:
        raise ControlError(method, str(error) or type(error).__name__) from error


def _iteration(event: BuildEvent) -> int | None:
    version = event.attributes.get(_ATTRIBUTE, "")
    return int(version) if version.isdecimal() else None
