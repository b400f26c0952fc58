"""The control API: what a server of ours sends is read, and what it refuses is an error with the method's name."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.server import Server, Stream

from harness.buildkit.messages import SERVICE, PruneMessage
from harness.buildkit.wire import entries, message
from harness.core.errors import CaptureError
from harness.core.trace import parent_of
from harness.daemons.base import ITERATION_ARG
from harness.daemons.control import BytesCodec, Control, ControlError, NotServed

pytestmark = pytest.mark.anyio

Answer = Callable[[Stream[Any, Any]], Awaitable[None]]


class Service:
    """A control API with some methods."""

    def __init__(self, methods: Mapping[str, Answer]) -> None:
        self._methods = methods

    def __mapping__(self) -> dict[str, Handler]:
        """Return the table of methods, as the library asks for it."""
        return {
            f"/{SERVICE}/{method}": Handler(answer, Cardinality.UNARY_STREAM, bytes, bytes)
            for method, answer in self._methods.items()
        }


@asynccontextmanager
async def served(folder: Path, method: str, answer: Answer, **others: Answer) -> AsyncIterator[Control]:
    """Serve one method, or several, on a socket in a folder."""
    server = Server([Service({method: answer, **others})], codec=BytesCodec())
    await server.start(path=str(folder / "s"))
    control = Control(folder / "s")
    try:
        yield control
    finally:
        control.close()
        server.close()
        await server.wait_closed()


async def test_running_builds(tmp_path: Path) -> None:
    """A record with its end is no running build; one of another's has no iteration."""

    async def answer(stream: Stream[bytes, bytes]) -> None:
        assert await stream.recv_message() == b"\x08\x01\x18\x01"  # running ones alone, and no more than there are now
        for ref, end, told in [("a", b"", "7"), ("b", b"\x08\x01", "8"), ("c", b"", "x")]:
            record = message([(1, ref), *entries(3, {f"build-arg:{ITERATION_ARG}": told}), (7, end)])
            await stream.send_message(message([(2, record)]))

    async with served(tmp_path, "ListenBuildHistory", answer) as control:
        assert [(build.ref, build.iteration) for build in await control.running_builds()] == [("a", 7), ("c", None)]


async def test_builds_that_are_over_are_forgotten(tmp_path: Path) -> None:
    """The records of those are deleted, one by one; that of a running build stays."""
    deleted: list[object] = []

    async def told(stream: Stream[bytes, bytes]) -> None:
        await stream.recv_message()
        for ref, end in [("a", b"\x08\x01"), ("b", b""), ("c", b"\x08\x01")]:
            await stream.send_message(message([(2, message([(1, ref), (7, end)]))]))

    async def update(stream: Stream[bytes, bytes]) -> None:
        deleted.append(await stream.recv_message())
        await stream.send_message(b"")

    async with served(tmp_path, "ListenBuildHistory", told, UpdateBuildHistory=update) as control:
        assert await control.forget_builds() == 2
    assert deleted == [message([(1, ref), (3, True)]) for ref in ("a", "c")]


async def test_a_prune_tells_what_it_removes(tmp_path: Path) -> None:
    """Each record comes as it is removed."""

    async def answer(stream: Stream[bytes, bytes]) -> None:
        await stream.recv_message()
        for size in (5, 7):
            await stream.send_message(message([(1, f"r{size}"), (4, size)]))

    async with served(tmp_path, "Prune", answer) as control, control.pruning(PruneMessage(all=True)) as removed:
        assert [(record.id, record.size) async for record in removed] == [("r5", 5), ("r7", 7)]


async def test_a_prune_says_whose_it_is(tmp_path: Path) -> None:
    """What the daemon's log is to name is sent along, where there is any."""
    sent: list[object] = []

    async def answer(stream: Stream[bytes, bytes]) -> None:
        await stream.recv_message()
        sent.append(stream.metadata.get("traceparent") if stream.metadata is not None else None)

    async with served(tmp_path, "Prune", answer) as control:
        for parent in (parent_of("loop", 7), ""):
            async with control.pruning(PruneMessage(), parent) as removed:
                assert [record async for record in removed] == []
    assert sent == [parent_of("loop", 7), None]


async def test_connection_is_made_ahead(tmp_path: Path) -> None:
    """A request goes over the connection that is there; where there is no daemon, that is an error as any other."""
    asked: list[object] = []

    async def answer(stream: Stream[bytes, bytes]) -> None:
        asked.append(await stream.recv_message())

    async with served(tmp_path, "Prune", answer) as control:
        await control.connect()
        (tmp_path / "s").unlink()  # nobody could connect any more
        async with control.pruning(PruneMessage()) as removed:
            assert [record async for record in removed] == []
    assert len(asked) == 1
    with pytest.raises(ControlError, match="connect"):
        await Control(tmp_path / "missing").connect()


async def test_what_a_daemon_refuses(tmp_path: Path) -> None:
    """Its own words are the error's."""

    async def answer(_: Stream[bytes, bytes]) -> None:
        raise GRPCError(Status.INVALID_ARGUMENT, "no such filter")

    async with served(tmp_path, "Prune", answer) as control:
        with pytest.raises(ControlError, match="control API, Prune: no such filter"):
            async with control.pruning(PruneMessage()) as removed:
                assert [record async for record in removed] == []


async def test_an_old_daemon_serves_less(tmp_path: Path) -> None:
    """What it does not know can be asked of its client."""

    async def answer(_: Stream[bytes, bytes]) -> None:
        raise GRPCError(Status.UNIMPLEMENTED, "unknown method")

    async with served(tmp_path, "ListenBuildHistory", answer) as control:
        with pytest.raises(NotServed, match="ListenBuildHistory"):
            await control.running_builds()


async def test_silence_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that hangs does not have us hang."""
    monkeypatch.setattr("harness.daemons.control._ANSWER_SECONDS", 0.1)

    async def answer(_: Stream[bytes, bytes]) -> None:
        await anyio.sleep_forever()

    async with served(tmp_path, "ListenBuildHistory", answer) as control:
        with pytest.raises(ControlError, match=r"no answer within 0\.1 s"):
            await control.running_builds()


async def test_whether_it_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon answers that lists its workers; one that is silent, or not there, does not."""
    assert not await Control(tmp_path / "s").answers()

    async def answer(stream: Stream[bytes, bytes]) -> None:
        await stream.recv_message()
        await stream.send_message(b"")

    async with served(tmp_path, "ListWorkers", answer) as control:
        assert await control.answers()

    async def silent(_: Stream[bytes, bytes]) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr("harness.daemons.control._ANSWER_SECONDS", 0.1)
    async with served(tmp_path, "ListWorkers", silent) as control:
        assert not await control.answers()


async def test_no_daemon(tmp_path: Path) -> None:
    """Evidence that could not be had, as with a client."""
    with pytest.raises(CaptureError, match=r"ListenBuildHistory: .*No such file"):
        await Control(tmp_path / "s").running_builds()


@pytest.mark.parametrize("head", [b"HTTP/1.1 404 Not Found\r\n\r\n", b""])
async def test_an_engine_that_does_not_upgrade(tmp_path: Path, head: bytes) -> None:
    """An engine without BuildKit's API says no, or hangs up."""

    async def refuse(client: Any) -> None:
        async with client:
            await client.receive()
            await client.send(head or b"\r\n")

    async with await anyio.create_unix_listener(tmp_path / "s") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, refuse)
        with pytest.raises(NotServed, match="POST /grpc"):
            await Control(tmp_path / "s", engine=True).running_builds()
        group.cancel_scope.cancel()
