"""The relay: bytes go through as they are, and each fault does to them what it says, and no more."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketStream

from harness.host.relay import Busy, Fault, Relay, listening, to_address
from tests.support.relayed import relay_before

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def echo() -> AsyncIterator[Relay]:
    """A relay in front of a server that says what it hears."""

    async def serve(client: SocketStream) -> None:
        async with client:
            async for said in client:
                await client.send(said)

    async with relay_before(serve, Relay) as relay:
        yield relay


@asynccontextmanager
async def client(relay: Relay) -> AsyncIterator[SocketStream]:
    """A connection through a relay."""
    host, _, port = relay.address.partition(":")
    async with await anyio.connect_tcp(host, int(port)) as stream:
        yield stream


async def heard(stream: SocketStream, said: bytes) -> bytes:
    """Say something, and return what comes back."""
    got = b""
    with anyio.fail_after(120):
        await stream.send(said)
        while len(got) < len(said):
            got += await stream.receive()
    return got


async def silent(stream: SocketStream, said: bytes) -> None:
    """Say something, and fail where anything comes back within a while."""
    await stream.send(said)
    with anyio.move_on_after(0.05):
        raise AssertionError(await stream.receive())


async def met(relay: Relay, times: int) -> None:
    """Wait until a fault has met so many connections."""
    with anyio.fail_after(120):
        while relay.met < times:
            await anyio.sleep(0.005)


async def test_passes_on() -> None:
    """Without a fault everything comes back, the end of what was said too, and nothing is counted."""
    async with echo() as relay, client(relay) as stream:
        said = bytes(range(256)) * 2000
        assert await heard(stream, said) == said
        await stream.send_eof()
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        assert relay.met == 0


async def test_holds() -> None:
    """What is held comes late, once the fault has gone, of connections that were there and of new ones."""
    async with echo() as relay, client(relay) as old:
        assert await heard(old, b"a") == b"a"
        with relay.faulty(Fault(holds=True)):
            async with client(relay) as new:
                await silent(old, b"b")
                await silent(new, b"c")
                await met(relay, 2)
            assert relay.met == 2
        assert await old.receive() == b"b"


async def test_half_open() -> None:
    """A connection that the fault came upon stays dead for good, and is not closed; a later one is not concerned."""
    async with echo() as relay, client(relay) as old:
        assert await heard(old, b"a") == b"a"
        with relay.faulty(Fault(swallows=True)):
            pass
        async with client(relay) as new:
            await silent(old, b"b")
            assert await heard(new, b"c") == b"c"
        assert relay.met == 1


async def test_resets() -> None:
    """A connection is reset, not closed, and not before so many bytes of it have passed."""
    async with echo() as relay, client(relay) as old:
        assert await heard(old, b"a" * 100) == b"a" * 100
        with relay.faulty(Fault(reset_after=50)):
            assert await heard(old, b"b" * 20) == b"b" * 20
            assert relay.met == 0
            with pytest.raises(anyio.BrokenResourceError) as broken:
                await heard(old, b"c" * 50)
        assert isinstance(broken.value.__cause__, ConnectionResetError)
        assert relay.met == 1


async def test_resets_at_once() -> None:
    """With no bytes to pass, all connections are reset as the fault comes."""
    async with echo() as relay, client(relay) as old:
        assert await heard(old, b"a") == b"a"
        with relay.faulty(Fault(reset_after=0)):
            with pytest.raises((anyio.BrokenResourceError, anyio.EndOfStream)):
                await old.receive()
            assert relay.met == 1


@pytest.mark.parametrize("fault", [Fault(delay=0.05), Fault(rate=200)], ids=["delay", "throttle"])
async def test_slows(fault: Fault) -> None:
    """What is slowed takes its time, twice, there and back, and comes whole."""
    async with echo() as relay, client(relay) as stream:
        with relay.faulty(fault):
            began = anyio.current_time()
            assert await heard(stream, b"0123456789") == b"0123456789"
            assert anyio.current_time() - began >= 0.099
        assert relay.met == 1


async def test_one_fault_at_a_time() -> None:
    """A second fault is refused, and the first goes on."""
    async with echo() as relay:
        with relay.faulty(Fault(delay=1)):
            with pytest.raises(Busy, match="one at a time"), relay.faulty(Fault(holds=True)):
                raise AssertionError
            assert relay.fault_of is not None
        with relay.faulty(Fault(delay=1)):
            pass


async def test_without_a_server() -> None:
    """Where nothing listens behind it, a client's connection ends, and the relay goes on."""
    relay = Relay(to_address("127.0.0.1:1"))
    async with listening(relay):
        for _ in range(2):
            async with client(relay) as stream:
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await stream.receive()
