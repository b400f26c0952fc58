"""A session of a build that is asked of the control API: the daemon reads the client's folders through it.

Within it the daemon is the one that asks: it is a connection on which we are the gRPC server, for files
(``FileSync.DiffCopy``) and for whether we are still there. buildkitd has it as a stream of bytes in its control API,
``Control.Session``; dockerd upgrades a connection of its own, ``POST /session``.
"""

import asyncio
import hashlib
import secrets
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import anyio
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.server import Server
from multidict import MultiDict

from harness.buildkit.solve import DATA, FAILED, FILE_SYNC, FINISHED, REQUEST, STAT, Packet, told, wanted
from harness.buildkit.wire import fields, message, nested
from harness.daemons.control import BytesCodec, Control

_HEALTH: Final = "/grpc.health.v1.Health/Check"
_SERVING: Final = message([(1, 1)])
_HEADER: Final = "x-docker-expose-session-"
_CHUNK_BYTES: Final = 32 << 10
_SENT_BACK: Final = "/moby.filesync.v1.FileSend/DiffCopy"
"""The method by which a daemon sends an archive."""


class ServedFolders:
    """What the daemon may read: folders by the names that the build's request gives them."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = folders

    def __mapping__(self) -> dict[str, Handler]:
        """Return the methods that are served."""
        return {
            FILE_SYNC: Handler(self._send, Cardinality.STREAM_STREAM, bytes, bytes),
            _SENT_BACK: Handler(_throw_away, Cardinality.STREAM_STREAM, bytes, bytes),
            _HEALTH: Handler(_is_well, Cardinality.UNARY_UNARY, bytes, bytes),
        }

    async def _send(self, stream: Any) -> None:
        """Tell of a folder's files, send those that are asked for, and end as the daemon has what it wanted."""
        asked = stream.metadata
        folder = self._folders.get(str(asked.get("dir-name", "")))
        if folder is None:
            raise GRPCError(Status.NOT_FOUND, f"no access allowed to dir {asked.get('dir-name')!r}")
        if asked.get("exclude-patterns"):
            raise GRPCError(Status.UNIMPLEMENTED, "a build by the API reads no .dockerignore: use a client")
        files = []
        for path, packet in _listed(folder, [*asked.getall("include-patterns", ()), *asked.getall("followpaths", ())]):
            files.append(path)
            await stream.send_message(packet.encoded())
        await stream.send_message(Packet(STAT).encoded())  # that was the last
        async for data in stream:
            packet = Packet.decoded(data)
            if packet.kind == REQUEST:
                await _send_file(stream, packet.file, files[packet.file])
            elif packet.kind == FINISHED:
                await stream.send_message(Packet(FINISHED).encoded())
                return
            elif packet.kind == FAILED:
                raise GRPCError(Status.ABORTED, packet.data.decode(errors="replace"))


async def _throw_away(stream: Any) -> None:
    async for _ in stream:
        continue


async def _is_well(stream: Any) -> None:
    await stream.recv_message()
    await stream.send_message(_SERVING)


async def _send_file(stream: Any, number: int, path: Path) -> None:
    with path.open("rb") as file:
        while data := file.read(_CHUNK_BYTES):
            await stream.send_message(Packet(DATA, number, data).encoded())
    await stream.send_message(Packet(DATA, number).encoded())


def _listed(folder: Path, patterns: Sequence[str]) -> Iterator[tuple[Path, Packet]]:
    """Yield what is in a folder, in the order in which the daemon expects it: by path, name by name."""
    found = [(path, path.relative_to(folder).as_posix(), path.lstat()) for path in folder.rglob("*")]
    if any(path.is_symlink() for path, _, _ in found):
        patterns = ()  # what a link leads to is wanted too
    for path, name, seen in sorted(found, key=lambda each: each[1].split("/")):
        if wanted(name, patterns):
            link = str(path.readlink()) if path.is_symlink() else ""
            yield path, told(name, seen.st_mode, seen.st_size, seen.st_mtime_ns, link)


@asynccontextmanager
async def serving_folders(control: Control, folders: Mapping[str, Path]) -> AsyncIterator[str]:
    """Serve folders to the daemon behind a control API; yields the name of the session.

    Raises:
        ControlError: the daemon takes no session, or the connection was lost.
    """
    session = secrets.token_hex(12)
    shared = hashlib.sha256("\0".join(map(str, folders.values())).encode()).hexdigest()
    headers = MultiDict(
        [
            (f"{_HEADER}uuid", session),
            (f"{_HEADER}sharedkey", shared),
            *((f"{_HEADER}grpc-method", method) for method in (FILE_SYNC, _SENT_BACK, _HEALTH)),
        ]
    )
    server = Server([ServedFolders(folders)], codec=BytesCodec())
    protocol = server._protocol_factory()  # noqa: SLF001 — it listens on nothing; the connection is the session's
    async with control.session(headers) as carrier:
        if isinstance(carrier, socket.socket):
            _, _ = await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, carrier)
            try:
                yield session
            finally:
                protocol.connection.close()
            return
        async with anyio.create_task_group() as tasks:
            tunnel = _Tunnel(carrier)
            protocol.connection_made(tunnel)
            tasks.start_soon(tunnel.send)
            tasks.start_soon(tunnel.receive, protocol)
            try:
                yield session
            finally:
                protocol.processor.close(reason="the build has ended")
                tasks.cancel_scope.cancel()


class _Tunnel(asyncio.Transport):
    """A connection whose bytes are messages of a stream."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self._stream, self._unsent = stream, bytearray()
        self._more = asyncio.Event()
        self._closed = False

    def write(self, data: Any) -> None:
        """Have bytes sent, with all that are there by then."""
        self._unsent += data
        self._more.set()

    async def send(self) -> None:
        """Send what is written, until cancelled."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._unsent:
                data = bytes(self._unsent[:_CHUNK_BYTES])
                del self._unsent[:_CHUNK_BYTES]
                await self._stream.send_message(message([(1, data)]))

    async def receive(self, protocol: asyncio.Protocol) -> None:
        """Hand on what comes, until the daemon ends it."""
        with suppress(StreamTerminatedError, GRPCError, OSError):
            async for received in self._stream:
                for key, value in fields(received):
                    if key == 1:
                        protocol.data_received(nested(value))
        protocol.connection_lost(None)

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self._closed

    def close(self) -> None:
        """Send nothing any more."""
        self._closed = True
        self._unsent.clear()
