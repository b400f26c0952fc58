"""Requests to the servers that toolchains come from: patient while something comes, tried again where that helps."""

import os
from pathlib import Path
from typing import Final

import anyio
import httpx
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_exponential

_SILENCE_SECONDS: Final = 60.0
"""How long a server may say nothing; a download that goes on may take as long as it needs."""


def client() -> httpx.AsyncClient:
    """Return a client that follows redirects."""
    return httpx.AsyncClient(follow_redirects=True, timeout=_SILENCE_SECONDS)


def asked_by() -> str:
    """Return through which proxy a server is asked, as the end of a sentence; nothing where it is asked directly."""
    named = next(
        (name for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy") if os.environ.get(name)), ""
    )
    return f" (by the proxy of ${named})" if named else ""


def passing(error: BaseException) -> bool:
    """Whether the same request may fare better: the network's fault, or the server's own."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.is_server_error
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)


tried_again: Final = retry(
    retry=retry_if_exception(passing),
    stop=stop_after_attempt(3),
    wait=wait_exponential(multiplier=0.5),
    sleep=anyio.sleep,
    reraise=True,
)
"""Has an async function that asks a server do so up to three times."""


@tried_again
async def get(client: httpx.AsyncClient, url: str) -> httpx.Response:
    """Return what a server answers.

    Raises:
        httpx.HTTPError: it did not, or with a status that is no success.
    """
    response = await client.get(url)
    response.raise_for_status()
    return response


@tried_again
async def download(client: httpx.AsyncClient, url: str, into: Path) -> None:
    """Put what a server has into a file, as it stands there.

    Raises:
        httpx.HTTPError: see `get`.
    """
    async with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
        response.raise_for_status()
        async with await anyio.open_file(into, "wb") as file:
            async for chunk in response.aiter_raw():
                await file.write(chunk)
