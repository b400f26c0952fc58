"""Go's pprof and metrics pages over a unix socket, each request with a deadline of its own."""

import re
from pathlib import Path
from typing import Final

import httpx

from harness.errors import CaptureError

_COUNT_SECONDS: Final = 2.0
_COUNT: Final = re.compile(r"goroutine profile: total (\d+)")


class Pprof:
    """The debug pages of one daemon."""

    def __init__(self, socket: Path) -> None:
        self._client = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(socket)), base_url="http://daemon")

    async def get(self, path: str, deadline: float, **query: str | int) -> str:
        """Return the text of one page.

        Raises:
            CaptureError: it did not come by the deadline (seconds).
        """
        try:
            response = await self._client.get(path, params=query, timeout=deadline)
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise CaptureError(
                f"{path} did not answer within {deadline:g} s: {type(error).__name__} {error}"
            ) from error
        return response.text

    async def goroutine_count(self) -> int | None:
        """Return how many goroutines there are; None where the daemon does not say so in time."""
        try:
            page = await self.get("/debug/pprof/goroutine", _COUNT_SECONDS, debug=1)
        except CaptureError:
            return None
        match = _COUNT.match(page)
        return int(match[1]) if match else None

    async def goroutine_dump(self, deadline: float) -> str:
        """Return the stacks of all goroutines (``debug=2``)."""
        return await self.get("/debug/pprof/goroutine", deadline, debug=2)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
