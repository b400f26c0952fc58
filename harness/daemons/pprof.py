"""Go's pprof and metrics pages, over a unix socket or TCP, each request with a deadline of its own."""

import re
from http import HTTPStatus
from pathlib import Path
from typing import Final

import anyio
import httpx

from harness.core.errors import CaptureError

_COUNT_SECONDS: Final = 2.0
_COUNT: Final = re.compile(r"goroutine profile: total (\d+)")


class PprofOff(CaptureError):
    """A daemon that answers, and serves no pprof."""

    def __init__(self, how: str = "") -> None:
        super().__init__(f"the daemon's pprof is off: it serves no /debug/pprof/goroutine{how}")


class Pprof:
    """The debug pages of one daemon."""

    def __init__(self, place: Path | str) -> None:
        """Take a unix socket, or an address such as ``tcp://127.0.0.1:6060``."""
        if isinstance(place, Path):
            transport, base = httpx.AsyncHTTPTransport(uds=str(place)), "http://daemon"
        else:
            transport, base = httpx.AsyncHTTPTransport(), place.replace("tcp://", "http://", 1)
        self._client = httpx.AsyncClient(transport=transport, base_url=base)

    async def page(self, path: str, deadline: float, **query: str | int) -> bytes | None:
        """Return one page; None where there is none at this path.

        Raises:
            CaptureError: it did not come by the deadline (seconds).
        """
        try:
            with anyio.fail_after(deadline):
                response = await self._client.get(path, params=query, timeout=deadline)
        except (httpx.HTTPError, TimeoutError) as error:
            raise CaptureError(
                f"{path} did not answer within {deadline:g} s: {type(error).__name__} {error}"
            ) from error
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        if response.is_error:
            raise CaptureError(f"{path} answered {response.status_code}: {response.text.strip()}")
        return response.content

    async def goroutine_count(self) -> int | None:
        """Return how many goroutines there are; None where the daemon does not say so in time."""
        try:
            page = await self._goroutines(_COUNT_SECONDS, debug=1)
        except CaptureError:
            return None
        match = _COUNT.match(page)
        return int(match[1]) if match else None

    async def goroutine_dump(self, deadline: float) -> str:
        """Return the stacks of all goroutines (``debug=2``)."""
        return await self._goroutines(deadline, debug=2)

    async def _goroutines(self, deadline: float, *, debug: int) -> str:
        page = await self.page("/debug/pprof/goroutine", deadline, debug=debug)
        if page is None:
            raise PprofOff
        return page.decode(errors="replace")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
