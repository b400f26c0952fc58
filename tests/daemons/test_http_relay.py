"""The relay before a server that speaks HTTP: requests pass one a connection; each fault meets those it concerns."""

from collections.abc import AsyncIterator
from contextlib import suppress

import anyio
import httpx
import pytest
from anyio.abc import SocketStream

from harness.daemons.http_relay import HttpFault, HttpRelay
from tests.support.relayed import relay_before

pytestmark = pytest.mark.anyio


@pytest.fixture
async def relay() -> AsyncIterator[HttpRelay]:
    """A relay in front of a server that answers each request with the request itself."""

    async def serve(client: SocketStream) -> None:
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):  # of a request that is cut off
            async with client:
                await answer(client)

    async def answer(client: SocketStream) -> None:
        said = b""
        while b"\r\n\r\n" not in said:
            said += await client.receive()
        length = int(next((line.split()[1] for line in said.lower().split(b"\r\n") if b"content-length" in line), 0))
        while len(said.split(b"\r\n\r\n", 1)[1]) < length:
            said += await client.receive()
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(said)
        await client.send(head + said)

    async with relay_before(serve, HttpRelay) as relay:
        yield relay


@pytest.fixture
async def client(relay: HttpRelay) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it, which would keep connections."""
    async with httpx.AsyncClient(base_url=f"http://{relay.address}", trust_env=False, timeout=20) as client:
        yield client


async def test_passes_on(client: httpx.AsyncClient) -> None:
    """Requests come to the server with their body, on a connection each, though the client would keep one."""
    for body in (b"", b"x" * 300_000):
        answer = await client.put("/v2/x/blobs/1", content=body)
        assert answer.text.startswith("PUT /v2/x/blobs/1 HTTP/1.1")
        head, _, got = answer.content.partition(b"\r\n\r\n")
        assert b"Connection: close" in head
        assert b"keep-alive" not in head
        assert got == body


async def test_answers(client: httpx.AsyncClient, relay: HttpRelay) -> None:
    """While the fault lasts, the requests that it concerns get its status, whole and in the registry's form."""
    with relay.faulty(HttpFault(answer=413, matching=r"^PUT .*/blobs/")):
        refused = await client.put("/v2/x/blobs/1", content=b"x" * 300_000)
        assert refused.status_code == 413
        assert refused.json()["errors"][0]["message"] == "Request Entity Too Large, as the scenario has it"
        assert (await client.get("/v2/x/blobs/1")).status_code == 200
    assert (await client.put("/v2/x/blobs/1")).status_code == 200
    assert relay.met == 1


async def test_credentials_that_never_come(client: httpx.AsyncClient, relay: HttpRelay) -> None:
    """Who asks gets told where to have a token, and there no answer until the fault has gone."""
    with relay.faulty(HttpFault(asks_for_a_token=True)):
        asked = (await client.get("/v2/")).headers["www-authenticate"]
        assert asked == f'Bearer realm="http://{relay.address}/token",service="repro"'
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/token?service=repro", timeout=httpx.Timeout(20, read=0.05))
    assert (await client.get("/token?service=repro")).status_code == 503
    assert (await client.get("/v2/")).status_code == 200


async def test_reset_in_the_middle(client: httpx.AsyncClient, relay: HttpRelay) -> None:
    """A body of which so much has passed is cut off by a reset; what is smaller comes through."""
    with relay.faulty(HttpFault(reset_after=100_000, matching="/blobs/")):
        assert (await client.put("/v2/x/blobs/1", content=b"x" * 1000)).status_code == 200
        with pytest.raises((httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)):
            await client.put("/v2/x/blobs/1", content=b"x" * 300_000)
    assert relay.met == 1
