"""A browser for the application, without a socket; what goes wrong in it is raised."""

from pathlib import Path
from typing import Any

import anyio
import httpx

from harness.web.app import make_app
from harness.web.auth import Keys, is_loopback


class Client:
    """Keeps its cookies, and follows no redirect."""

    def __init__(self, *results: Path, token: str | None = None, host: str = "127.0.0.1") -> None:
        self.keys = Keys.of(token)
        look_freely = token is None and is_loopback(host)
        self._app = make_app(results, keys=self.keys, look_freely=look_freely, host=host)
        self._cookies = httpx.Cookies()

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask for something."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            base = "http://127.0.0.1:8321"
            async with httpx.AsyncClient(transport=transport, base_url=base, cookies=self._cookies) as client:
                answer = await client.request(method, path, **options)
                self._cookies = client.cookies
                return answer

        return anyio.run(ask)

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Ask for something with GET."""
        return self.request("GET", path, **options)

    def post(self, path: str, **fields: str) -> httpx.Response:
        """Send a form, as a page of the application would."""
        headers = {"Origin": "http://127.0.0.1:8321"}
        return self.request("POST", path, data=fields | {"csrf": self.keys.csrf}, headers=headers)

    def log_in(self) -> None:
        """Have the cookie from now on."""
        self.post("/login", token=self.keys.token)
