"""A build without a client: a daemon of ours reads the context within its session, and says how the build goes."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from grpclib.client import Channel, StreamStreamMethod
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.protocol import H2Protocol
from grpclib.server import Server, Stream

from harness.buildkit.messages import SERVICE
from harness.buildkit.solve import DATA, FILE_SYNC, FINISHED, REQUEST, STAT, Packet
from harness.buildkit.wire import fields, message, nested, text
from harness.daemons.api_build import ApiBuild, ApiRequest, api_build
from harness.daemons.control import BytesCodec, Control
from harness.daemons.served_folders import _Tunnel

pytestmark = pytest.mark.anyio


class Inside(Channel):
    """The daemon's end of a session."""

    def __init__(self, stream: Stream[bytes, bytes]) -> None:
        super().__init__(codec=BytesCodec())
        self.tunnel, self._made = _Tunnel(stream), anyio.Event()

    async def _create_connection(self) -> H2Protocol:
        self.protocol = self._protocol_factory()
        self.protocol.connection_made(self.tunnel)
        self._made.set()
        return self.protocol

    async def carry(self) -> None:
        """Carry bytes both ways, until the client ends it."""
        async with anyio.create_task_group() as tasks:
            await self._made.wait()
            tasks.start_soon(self.tunnel.send)
            await self.tunnel.receive(self.protocol)
            tasks.cancel_scope.cancel()


@dataclass
class Buildkitd:
    """A daemon that reads a folder for each build, and says what it is told to."""

    error: str = ""
    hangs: bool = False
    read: dict[str, bytes] = field(default_factory=dict)
    """By path, what was read; folders are empty."""
    asked: dict[str, str] = field(default_factory=dict)
    left: anyio.Event = field(default_factory=anyio.Event)
    """Set once a session is over."""
    _inside: Inside | None = None
    _there: anyio.Event = field(default_factory=anyio.Event)

    def __mapping__(self) -> dict[str, Handler]:
        """Return the table of methods, as the library asks for it."""
        kinds = {"Session": Cardinality.STREAM_STREAM, "Solve": Cardinality.UNARY_UNARY}
        methods = {"Session": self.session, "Solve": self.solve, "Status": self.status}
        return {
            f"/{SERVICE}/{name}": Handler(method, kinds.get(name, Cardinality.UNARY_STREAM), bytes, bytes)
            for name, method in methods.items()
        }

    async def session(self, stream: Stream[Any, Any]) -> None:
        """Take a session."""
        self._inside = Inside(stream)
        self._there.set()
        try:
            await self._inside.carry()
        finally:
            self._inside.close()
            self.left.set()

    async def solve(self, stream: Stream[Any, Any]) -> None:
        """Read the context, and end."""
        request = await stream.recv_message() or b""
        self.asked = {
            text(entry[1]): text(entry.get(2, b""))
            for key, value in fields(request)
            if key == 7
            for entry in [dict(fields(nested(value)))]
        }
        await self._there.wait()
        await self._read_folder()
        if self.hangs:
            await anyio.sleep_forever()
        if self.error:
            raise GRPCError(Status.UNKNOWN, self.error)
        await stream.send_message(b"")

    async def status(self, stream: Stream[Any, Any]) -> None:
        """Say that it exports."""
        await stream.recv_message()
        await stream.send_message(
            message([(1, message([(1, "d"), (3, "exporting to image"), (5, message([(1, 1)]))]))])
        )

    async def _read_folder(self) -> None:
        assert self._inside
        files: list[str] = []
        call = StreamStreamMethod(self._inside, FILE_SYNC, bytes, bytes)
        async with call.open(metadata={"dir-name": "context"}) as stream:
            await stream.send_request()
            asked, ended = 0, 0
            async for data in stream:
                packet, stat = Packet.decoded(data), dict(fields(data)).get(2)
                if packet.kind == STAT and stat is not None:
                    files.append(text(dict(fields(nested(stat)))[1]))
                    if "." in files[-1]:
                        await stream.send_message(Packet(REQUEST, len(files) - 1).encoded())
                        asked += 1
                    self.read[files[-1]] = b""
                elif packet.kind == DATA:
                    self.read[files[packet.file]] += packet.data
                    ended += not packet.data
                elif packet.kind == FINISHED:
                    await stream.end()
                if packet.kind == DATA and ended == asked:
                    await stream.send_message(Packet(FINISHED).encoded())


@asynccontextmanager
async def building(daemon: Buildkitd, tmp_path: Path) -> AsyncIterator[ApiBuild]:
    """Have a build of a folder go on."""
    folder = tmp_path / "context"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "x.bin").write_bytes(bytes(100_000))
    (folder / "a.txt").write_text("a")
    server = Server([daemon], codec=BytesCodec())
    await server.start(path=str(tmp_path / "s"))
    control = Control(tmp_path / "s")
    request = ApiRequest({"context": folder}, {"build-arg:N": "7"}, no_cache=True, exporter="image", tag="a:latest")
    try:
        async with api_build(control, request) as build:
            yield build
        with anyio.fail_after(60):
            await daemon.left.wait()
    finally:
        control.close()
        server.close()
        await server.wait_closed()


async def output_of(build: ApiBuild) -> bytes:
    """Return all that a build prints."""
    with anyio.fail_after(60):
        return b"".join([piece async for piece in build.output()])


async def test_a_build_sends_its_context(tmp_path: Path) -> None:
    """The daemon gets each file whole, in order, and the request's options; its progress is printed."""
    daemon = Buildkitd()
    async with building(daemon, tmp_path) as build:
        assert b'"name":"exporting to image"' in await output_of(build)
        assert await build.wait() == 0
    assert [*daemon.read] == ["a.txt", "b", "b/x.bin"]
    assert daemon.read["b/x.bin"] == bytes(100_000)
    assert daemon.asked == {"build-arg:N": "7", "no-cache": ""}


async def test_a_build_that_fails_says_why(tmp_path: Path) -> None:
    """The daemon's error is the last line, as a client prints it."""
    async with building(Buildkitd(error="parent snapshot sha256:x does not exist"), tmp_path) as build:
        assert (await output_of(build)).endswith(b"ERROR: failed to solve: parent snapshot sha256:x does not exist\n")
        assert await build.wait() == 1


async def test_a_build_that_is_killed_lets_go(tmp_path: Path) -> None:
    """Nothing is waited for, the session ends, and the status is the signal's."""
    daemon = Buildkitd(hangs=True)
    async with building(daemon, tmp_path) as build:
        with anyio.fail_after(60):
            while not daemon.read.get("b/x.bin"):
                await anyio.sleep(0.005)
            assert build.returncode is None
            build.signal(signal.SIGTERM, group=True)
            assert await build.wait() == -signal.SIGTERM
