"""A relay in front of a small server of the test's own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
from anyio.abc import SocketAttribute, SocketStream

from harness.host.relay import Connect, Relay, listening, to_address

R = TypeVar("R", bound=Relay)


@asynccontextmanager
async def relay_before(
    serve: Callable[[SocketStream], Awaitable[None]], kind: Callable[[Connect], R]
) -> AsyncIterator[R]:
    """Yield a relay of a kind that listens, in front of a server that treats each connection so."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        relay = kind(to_address(f"127.0.0.1:{listener.extra(SocketAttribute.local_port)}"))
        async with listening(relay):
            yield relay
        tasks.cancel_scope.cancel()
