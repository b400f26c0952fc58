"""A relay before a server that speaks HTTP, which knows requests: it can answer them itself, as a server in trouble.

The run's registry has one, and its collector of traces.
"""

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import anyio

from harness.host.relay import PIECE, Connection, Fault, Relay

_LONGEST_HEAD: Final = 64 << 10
_CONNECTION: Final = re.compile(rb"\r\nconnection:[^\r]*", re.IGNORECASE)
_HOST: Final = re.compile(rb"\r\nhost:[ \t]*([^\r]*)", re.IGNORECASE)
_REALM: Final = "/token"


@dataclass(frozen=True)
class HttpFault(Fault):
    """What becomes of requests while it is there."""

    answer: int | None = None
    """Requests get this HTTP status, and never come to the server."""
    asks_for_a_token: bool = False
    """Requests get a 401 that names where a token is to be had; who asks there gets no answer."""
    matching: str = ""
    """A regular expression: only requests in whose method and path it is found, ``PUT /v2/…``."""

    def concerns(self, connection: Connection) -> bool:
        """Whether it comes upon a request."""
        return re.search(self.matching, connection.title) is not None


class HttpRelay(Relay):
    """Passes on one request a connection, so that each of them can meet a fault.

    The head that goes on says ``Connection: close``; the server's answer then says so too.
    """

    async def greet(self, connection: Connection) -> bytes | None:
        """Read a request's head, and answer it where the fault has it so."""
        said = b""
        while b"\r\n\r\n" not in said and len(said) < _LONGEST_HEAD:
            said += await connection.client.receive(PIECE)
        head, _, body = said.partition(b"\r\n\r\n")
        connection.title = head.split(b" HTTP/", 1)[0].decode(errors="replace")
        if _REALM in connection.title.partition("?")[0].split("/v2/")[0]:
            await self._no_token(connection)
            return None
        fault = self.fault_of(connection)
        if isinstance(fault, HttpFault) and (fault.asks_for_a_token or fault.answer):
            self.touch(connection, fault)
            await connection.client.send(_answered(fault, head))
            await _drained(connection)
            return None
        return _CONNECTION.sub(b"", head) + b"\r\nConnection: close\r\n\r\n" + body

    async def _no_token(self, connection: Connection) -> None:
        """Give no token: for as long as the fault is there, not even an answer."""
        await self.lifted()
        await connection.client.send(_message(HTTPStatus.SERVICE_UNAVAILABLE, ""))


async def _drained(connection: Connection) -> None:
    """Read what a client still sends of a request that has its answer: closed at once, it would never see that."""
    await connection.client.send_eof()
    with anyio.move_on_after(5.0):
        while True:
            await connection.client.receive(PIECE)


def _answered(fault: HttpFault, head: bytes) -> bytes:
    if fault.answer:
        return _message(fault.answer, "")
    host = _HOST.search(head)
    where = host[1].decode(errors="replace") if host else ""
    asked = f'Www-Authenticate: Bearer realm="http://{where}{_REALM}",service="repro"\r\n'
    return _message(HTTPStatus.UNAUTHORIZED, asked)


def _message(status: int, headers: str) -> bytes:
    phrase = next((each.phrase for each in HTTPStatus if each == status), "No Phrase")
    body = f'{{"errors":[{{"code":"UNKNOWN","message":"{phrase}, as the scenario has it"}}]}}'
    return (
        f"HTTP/1.1 {status} {phrase}\r\nDocker-Distribution-Api-Version: registry/2.0\r\n{headers}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    ).encode()
