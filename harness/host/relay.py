"""A relay on the loopback, between clients and a server: what goes through it can be held, slowed, or cut off.

It stands where the network would: no privilege and no kernel module is needed for it, and each connection can be told
apart, which a packet filter cannot.
"""

import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketListener, SocketStream

from harness.core.errors import InfraError
from harness.host.client_host import ClientHost, client_host

PIECE: Final = 65536
"""Bytes that are passed on at once, at most."""
_LOOPBACK: Final = "127.0.0.1"
_NO_LINGER: Final = struct.pack("ii", 1, 0)
"""What makes the kernel end a connection with RST: `struct linger`, on, for no time."""
Connect = Callable[[], Awaitable[ByteStream]]


class NoRelay(InfraError):
    """Nowhere to listen."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"no relay can listen on the loopback: {error.strerror or error}")


@dataclass(frozen=True)
class Fault:
    """What becomes of connections while it is there; those that it broke stay so."""

    delay: float = 0.0
    """Seconds that each piece waits."""
    rate: int | None = None
    """Bytes a second, of each connection and way."""
    reset_after: int | None = None
    """A connection is reset once so many bytes of it have passed either way, counted from when the fault came."""
    holds: bool = False
    """Nothing passes, and comes late, once the fault has gone: as of a network that is down for a while."""
    swallows: bool = False
    """Nothing ever passes again of a connection, and neither end is told: it is half-open."""
    host: str | None = None
    """Only connections of this client host; without one, those of all."""

    def concerns(self, connection: "Connection") -> bool:
        """Whether it comes upon a connection."""
        return self.host is None or connection.host == self.host


class Connection:
    """One client's connection, on its way through."""

    def __init__(self, client: SocketStream, host: str) -> None:
        self.client = client
        self.host = host
        """The client host that it comes from; nothing where that is ours."""
        self.title = ""
        """What it is for, where the relay reads that."""
        self.met: Fault | None = None
        """The last fault that has had an effect on it."""
        self.lost = False
        """Whether it is half-open."""
        self.passed = 0
        """Bytes that have passed since the fault came upon it."""
        self.scope = anyio.CancelScope()

    def reset(self) -> None:
        """End it with RST."""
        raw = self.client.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.scope.cancel()


class Relay:
    """Passes on what clients and the server behind it say, and has one fault at a time.

    Args:
        connect: makes a connection to the server.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self.address = ""
        """Where it listens, such as ``127.0.0.1:41234``: on our loopback, and on that of each client host."""
        self.hosts: dict[str, ClientHost] = {}
        """The client hosts, by name."""
        self.met = 0
        """How many connections a fault has had an effect on, so far."""
        self._fault: Fault | None = None
        self._lifted = anyio.Event()
        self._open: set[Connection] = set()

    @contextmanager
    def faulty(self, fault: Fault) -> Iterator[None]:
        """Have a fault come upon all connections, and upon those that are made meanwhile.

        Raises:
            Busy: there is one already.
        """
        if self._fault is not None:
            raise Busy
        self._fault, self._lifted = fault, anyio.Event()
        for connection in [*self._open]:
            self._come_upon(connection)
        try:
            yield
        finally:
            self._fault = None
            self._lifted.set()

    def fault_of(self, connection: Connection) -> Fault | None:
        """Return the fault that there is now, where it concerns a connection."""
        return self._fault if self._fault is not None and self._fault.concerns(connection) else None

    async def lifted(self) -> None:
        """Wait until there is no fault."""
        while self._fault is not None:
            await self._lifted.wait()

    def touch(self, connection: Connection, fault: Fault) -> None:
        """Note that a fault has had an effect on a connection."""
        self.met += connection.met is not fault
        connection.met = fault

    def _come_upon(self, connection: Connection) -> None:
        connection.passed = 0
        fault = self.fault_of(connection)
        if fault is None:
            return
        if fault.swallows:
            connection.lost = True
            self.touch(connection, fault)
        if fault.reset_after == 0:
            self.touch(connection, fault)
            connection.reset()

    async def greet(self, connection: Connection) -> bytes | None:  # noqa: ARG002 — of relays that read what passes
        """Return what a client has said already and is to be passed on; None where it has got its answer here."""
        return b""

    async def serve(self, client: SocketStream, host: str = "") -> None:
        """Pass on one client's connection, until either end closes it.

        Args:
            client: its end.
            host: the client host that it comes from.
        """
        connection = Connection(client, host)
        try:
            with connection.scope:
                said = await self.greet(connection)
                if said is not None:
                    self._open.add(connection)
                    self._come_upon(connection)
                    async with await self._connect() as server, anyio.create_task_group() as ways:
                        ways.start_soon(self._pass, connection, client, server, said)
                        ways.start_soon(self._pass, connection, server, client)
        except* (OSError, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # an end that goes away is no news
        finally:
            self._open.discard(connection)
            with anyio.CancelScope(shield=True):
                await client.aclose()

    async def _pass(self, connection: Connection, source: ByteStream, sink: ByteStream, piece: bytes = b"") -> None:
        """Pass on what comes one way, and its end."""
        while True:
            if piece:
                await self._suffer(connection, len(piece))
            if piece and not connection.lost:
                await sink.send(piece)
            try:
                piece = await source.receive(PIECE)
            except anyio.EndOfStream:
                break
        if not connection.lost:
            await self._suffer(connection, 0)
            await sink.send_eof()

    async def _suffer(self, connection: Connection, size: int) -> None:
        """Wait as the fault has it, before a piece goes on."""
        while (fault := self.fault_of(connection)) and fault.holds:
            self.touch(connection, fault)
            await self._lifted.wait()
        if fault is None:
            return
        connection.passed += size
        if fault.reset_after is not None and connection.passed > fault.reset_after:
            self.touch(connection, fault)
            connection.reset()
        if wait := fault.delay + (size / fault.rate if fault.rate else 0.0):
            self.touch(connection, fault)
            await anyio.sleep(wait)


class Busy(InfraError):
    """A second fault where there is one already."""

    def __init__(self) -> None:
        super().__init__("another fault is there already: one at a time")


def to_socket(path: str) -> Connect:
    """Return what connects to a unix socket."""
    return lambda: anyio.connect_unix(path)


def to_address(address: str) -> Connect:
    """Return what connects to ``HOST:PORT``."""
    host, _, port = address.rpartition(":")
    return lambda: anyio.connect_tcp(host, int(port))


@asynccontextmanager
async def listening(relay: Relay, hosts: Iterable[str] = ()) -> AsyncIterator[None]:
    """Have a relay listen on a port of the loopback that the kernel chooses; all its connections end on leaving.

    Args:
        relay: who listens.
        hosts: the names of client hosts to make; it listens on the same port of theirs.

    Raises:
        NoRelay: there is no port to be had.
        NoClientHost: the kernel makes no client host.
    """
    async with AsyncExitStack() as stack:
        try:
            listener = await stack.enter_async_context(await anyio.create_tcp_listener(local_host=_LOOPBACK))
        except OSError as error:
            raise NoRelay(error) from error
        port = listener.extra(SocketAttribute.local_port)
        relay.address = f"{_LOOPBACK}:{port}"
        relay.hosts = {name: stack.enter_context(client_host(port)) for name in hosts}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, relay.serve)
            for name, host in relay.hosts.items():
                there = await stack.enter_async_context(await SocketListener.from_socket(host.listener))
                tasks.start_soon(there.serve, partial(relay.serve, host=name))
            yield
            tasks.cancel_scope.cancel()
