"""The server beneath the page: no visitor, slow, silent or many, keeps others from an answer.

uvicorn speaks HTTP. Added here is what it leaves to a proxy in front: how many connections there may be, how long one
may take over a request, and how much is logged about it.
"""

import asyncio
import logging
import resource
import socket
import time
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

_REQUEST_SECONDS: Final = 10.0
"""A request that has not come whole by then does not come, nor is an answer read of which nothing was by then."""
_MOST_CONNECTIONS: Final = 256
_IN_A_ROW: Final = 8
"""Connections that asyncio accepts before it looks at what they sent; up to four times as many are open by then."""
_WAITING: Final = 4096
"""Connections that the kernel keeps until they are accepted."""
_OWN_FILES: Final = 64
"""Files that the page itself may have open."""
_GRACE: Final = 2
_LINES: Final = 5
_LINES_SECONDS: Final = 60.0


class BoundedProtocol(H11Protocol):
    """A connection that is closed where its request does not come or its answer is not read, and the one to go where
    there are too many.

    What does not read goes first, then the oldest of the many: of those that have sent no whole request, or of those
    that are being answered, whichever are more. So who asks, and reads, like anybody is answered before it is his turn.
    """

    most_connections = _MOST_CONNECTIONS

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self.is_full = False
        self.since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, and close another where it is one too many."""
        super().connection_made(transport)
        self._await_progress()
        if len(self.connections) > self.most_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._stop_waiting()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Answer what has come; a request that is whole is waited for no longer."""
        super().handle_events()
        cycle: RequestResponseCycle | None = self.cycle  # none before the first request, and then the last
        if cycle is not None and not cycle.more_body and not cycle.response_complete:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        if not self.is_full:  # else its answer is not read yet
            self._await_progress()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait for what was sent to be read."""
        self.is_full = True
        self._await_progress()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Send on, or wait for the next request where that was all."""
        self.is_full = False
        if self.cycle.response_complete:
            self._await_progress()
        else:
            self._stop_waiting()
        super().resume_writing()

    @property
    def is_waiting(self) -> bool:
        """Whether its client has to do something: to send the rest of a request, or to read."""
        return self._deadline is not None

    def _make_room(self) -> None:
        """Close one of the connections that there are."""
        there = [each for each in self.connections if isinstance(each, BoundedProtocol)]
        full = [each for each in there if each.is_full]
        waiting = [each for each in there if each.is_waiting]
        answered = [each for each in there if not each.is_waiting]
        most = waiting if len(waiting) >= len(answered) else answered
        min(full or most, key=lambda each: each.since).drop()

    def drop(self) -> None:
        """Close the connection at once."""
        self.connections.discard(self)
        self.transport.abort()

    def _await_progress(self) -> None:
        self._stop_waiting()
        self.since = self.loop.time()
        self._deadline = self.loop.call_later(_REQUEST_SECONDS, self.drop)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class FewLines(logging.Filter):
    """Lets through a handful of lines a minute, and then says how many there were."""

    def __init__(self) -> None:
        super().__init__()
        self._since, self._count = 0.0, 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is let through."""
        now = time.monotonic()
        if now - self._since >= _LINES_SECONDS:
            left_out, self._since, self._count = self._count - _LINES, now, 0
            if left_out > 0:
                record.msg = f"{record.getMessage()} (and {left_out:,} more lines before, left out)"
                record.args = ()
        self._count += 1
        return self._count <= _LINES


def run_server(app: ASGIApp, listener: socket.socket) -> None:
    """Serve until a signal ends it, which is raised again once it is done."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(_IN_A_ROW, min(_MOST_CONNECTIONS, files - _OWN_FILES - 4 * _IN_A_ROW))
    config = uvicorn.Config(
        app,
        http=type("Protocol", (BoundedProtocol,), {"most_connections": most}),
        loop="asyncio",
        backlog=_IN_A_ROW,
        access_log=False,
        log_level="error",
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE,
    )
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).addFilter(FewLines())
    _Server(config).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Accepts a few in a row, and lets many wait."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen; asyncio knows one figure for both."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_WAITING)
