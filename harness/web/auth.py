"""Who may look: on the loopback whoever names it, elsewhere whoever has the token."""

import hashlib
import hmac
import ipaddress
import secrets
from typing import Final
from urllib.parse import urlencode

from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from harness.core.errors import UsageError

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1", "[::1]")
"""The names by which a browser on this host reaches it; any other belongs to a page elsewhere."""
_LEAST: Final = 16
_REFUSED: Final = "a token is needed: open the address that `repro serve` printed, or say `Authorization: Bearer`\n"


class WeakToken(UsageError):
    """A token that could be guessed."""

    def __init__(self) -> None:
        super().__init__(f"--token is shorter than {_LEAST} characters; without --token, one is drawn")


def is_loopback(host: str) -> bool:
    """Whether only this host can reach what listens at `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def token_for(host: str, given: str | None) -> str | None:
    """Return the token to ask for at `host`: the one given, one drawn where others can reach it, or none.

    Raises:
        WeakToken: the one given could be guessed.
    """
    if given is None:
        return None if is_loopback(host) else secrets.token_urlsafe(24)
    if len(given) < _LEAST:
        raise WeakToken
    return given


class TokenGuard:
    """Lets through who has the token: once in the address, from then on in a cookie; or as a bearer."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token.encode()
        # cookies know no port: two of these on one host each have their own
        self._cookie = f"repro-{hashlib.sha256(self._token).hexdigest()[:8]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        kind, _, bearer = request.headers.get("authorization", "").partition(" ")
        if self._is_right(request.query_params.get("token", "")):
            answer = RedirectResponse(_without_token(request.url), 303, {"Cache-Control": "no-store"})
            answer.set_cookie(self._cookie, self._token.decode(), httponly=True, samesite="strict")
            await answer(scope, receive, send)
        elif self._is_right(request.cookies.get(self._cookie, "")) or (
            kind.lower() == "bearer" and self._is_right(bearer.strip())
        ):
            await self._app(scope, receive, send)
        else:
            refused = PlainTextResponse(_REFUSED, 401, {"WWW-Authenticate": "Bearer"})
            await refused(scope, receive, send)

    def _is_right(self, said: str) -> bool:
        return hmac.compare_digest(said.encode(errors="replace"), self._token)


def _without_token(url: URL) -> str:
    query = url.remove_query_params("token").query
    return "/" + url.path.lstrip("/") + (f"?{query}" if query else "")


def address_of(host: str, port: int, token: str | None) -> str:
    """Return what to open in a browser."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"?{urlencode({'token': token})}" if token else "")
