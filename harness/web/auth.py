"""Who may look and who may act: a visitor from the loopback may look; everything else needs the token.

The token is typed into a form, or said by a script as ``Authorization: Bearer``. It stands in no address: what is
printed to be opened has a code in it that works once. A browser keeps a cookie that no script sees, that no other site
sends, and that the token cannot be obtained from.
"""

import hashlib
import hmac
import ipaddress
import secrets
import time
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from anyio import fail_after
from jinja2 import Environment, PackageLoader
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from harness.core.errors import UsageError

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1", "[::1]")
"""The names by which a browser on this host reaches it; any other belongs to a page elsewhere."""
LOGIN: Final = "/login"
CSRF: Final = "csrf"
"""The field of a form that shows that a page of ours made it."""
_LEAST: Final = 16
_CODE_SECONDS: Final = 3600.0
_FORM_BYTES: Final = 16_384
_FORM_SECONDS: Final = 10
_REFUSED: Final = "a token is needed: log in with it at /login, or say `Authorization: Bearer TOKEN`\n"
_FOREIGN: Final = "refused: this was sent by no page of this site; reload the page, and try again\n"


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


@dataclass
class Keys:
    """What opens: the token, and a code that is good for one time within the hour."""

    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    code: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    _code_until: float = field(default_factory=lambda: time.monotonic() + _CODE_SECONDS)

    @classmethod
    def of(cls, given: str | None) -> "Keys":
        """Return keys with the token given, or one drawn.

        Raises:
            WeakToken: the one given could be guessed.
        """
        if given is None:
            return cls()
        if len(given) < _LEAST:
            raise WeakToken
        return cls(given)

    @property
    def cookie(self) -> str:
        """The cookie's name: cookies know no port, and two of these on one host each have their own."""
        return f"repro-{self._derived('name')[:8]}"

    @property
    def csrf(self) -> str:
        """What a form of ours has in `CSRF`; no other site can read it."""
        return self._derived("form")

    @property
    def session(self) -> str:
        """The cookie's value."""
        return self._derived("session")

    def redeem(self, code: str) -> bool:
        """Whether a code is the one that was printed; it is good no more."""
        is_right = _same(code, self.code) and time.monotonic() < self._code_until
        if is_right:
            self._code_until = 0.0
        return is_right

    def let_in(self, request: Request) -> bool:
        """Whether a request has the token, or the cookie that comes of it."""
        return _same(request.cookies.get(self.cookie, ""), self.session) or self.is_script(request)

    def is_script(self, request: Request) -> bool:
        """Whether a request says the token itself, which no other site can have a browser do."""
        kind, _, bearer = request.headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and _same(bearer.strip(), self.token)

    def _derived(self, what: str) -> str:
        return hmac.new(self.token.encode(), what.encode(), hashlib.sha256).hexdigest()


class Gate:
    """Refuses, before anything else is done, what may not be: looking, and what is more than looking.

    ``state["may_act"]`` says to what comes after whether who asks has the token; ``state["form"]`` holds what a form
    sent.
    """

    def __init__(self, app: ASGIApp, keys: Keys, *, look_freely: bool) -> None:
        self._app, self._keys, self._look_freely = app, keys, look_freely
        loader = PackageLoader("harness", "web")
        self._form = Environment(loader=loader, autoescape=True).get_template("templates/login.html")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        answer = await self._answer(request)
        await (answer or self._app)(scope, receive, send)

    async def _answer(self, request: Request) -> Response | None:
        """Return what a request is told here; None where it may go on."""
        looks, has_token = request.method in {"GET", "HEAD"}, self._keys.let_in(request)
        request.state.may_act = has_token
        if request.scope["path"] == LOGIN:
            return await self._login(request)
        if not has_token and not (looks and self._look_freely):
            return self._refused(request)
        if not looks:
            request.state.form = await _form_of(request)
            if not self._keys.is_script(request) and not self._is_ours(request, request.state.form):
                return PlainTextResponse(_FOREIGN, 403)
        return None

    async def _login(self, request: Request) -> Response:
        """Give the cookie to a visitor who has the code or the token."""
        if request.method == "POST":
            form = await _form_of(request)
            if _is_here(request) and _same(form.get("token", ""), self._keys.token):
                return self._welcome(form.get("next", "/"))
            return self._asked(form.get("next", "/"), 401, "This is not the token.")
        code = request.query_params.get("code", "")
        if code and self._keys.redeem(code):
            return self._welcome("/")
        why = "This address has been opened before, or is too old: it works once. The token works always."
        return self._asked(request.query_params.get("next", "/"), 401 if code else 200, why if code else "")

    def _welcome(self, next_: str) -> Response:
        answer = RedirectResponse("/" + next_.lstrip("/\\"), 303, {"Cache-Control": "no-store"})
        answer.set_cookie(self._keys.cookie, self._keys.session, httponly=True, samesite="strict")
        return answer

    def _refused(self, request: Request) -> Response:
        if "text/html" in request.headers.get("accept", "") and request.method in {"GET", "HEAD"}:
            return self._asked(request.scope["path"], 401, "")
        return PlainTextResponse(_REFUSED, 401, {"WWW-Authenticate": "Bearer"})

    def _asked(self, next_: str, status: int, why: str) -> Response:
        headers = {"Cache-Control": "no-store"} | ({"WWW-Authenticate": "Bearer"} if status == 401 else {})
        return HTMLResponse(self._form.render(next=next_, why=why), status, headers)

    def _is_ours(self, request: Request, form: dict[str, str]) -> bool:
        return _is_here(request) and _same(form.get(CSRF, ""), self._keys.csrf)


def _is_here(request: Request) -> bool:
    """Whether a page of this very host and port sent a request, as far as its browser says."""
    origin = request.headers.get("origin")
    try:
        return origin is None or urlsplit(origin).netloc == request.headers.get("host")
    except ValueError:  # of an address that is none
        return False


async def _form_of(request: Request) -> dict[str, str]:
    """Return what a form sent; nothing where it is no form, is too long, or does not come."""
    body = b""
    try:
        with fail_after(_FORM_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > _FORM_BYTES:
                    return {}
    except (TimeoutError, ClientDisconnect):
        return {}
    return {name: values[-1] for name, values in parse_qs(body.decode(errors="replace")).items()}


def _same(said: str, right: str) -> bool:
    return hmac.compare_digest(said.encode(errors="replace"), right.encode())


def address_of(host: str, port: int, code: str | None = None) -> str:
    """Return the address to open in a browser; with a code, it admits the first visitor who opens it."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}" + (f"{LOGIN}?{urlencode({'code': code})}" if code else "/")
