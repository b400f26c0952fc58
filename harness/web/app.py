"""The routes of `repro serve`: the runs, one of them and its data, its files, the metrics, and what acts on runs."""

import gzip
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

from anyio.to_thread import run_sync
from bokeh.util.paths import bokehjs_path
from markupsafe import Markup
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from harness.core.errors import StoreError
from harness.report.door import Withheld, content_of, is_binary
from harness.report.found import TEMPLATES
from harness.report.overview.digest import digest_of
from harness.report.standing import redactor_for
from harness.store.folder import RunFolder
from harness.store.folders import lies_in, require_no_way_out
from harness.web.acts import Buttons, CannotAct, RunControls
from harness.web.auth import LOOPBACK, Gate, Keys, is_loopback
from harness.web.front import Front
from harness.web.headers import SANDBOX, Headers
from harness.web.metrics import Metrics
from harness.web.pages import Pages
from harness.web.runs import Runs
from harness.web.view import Views

_STATIC: Final = Path(__file__).with_name("static")
_GZIP_LEVEL: Final = 4
_YEAR: Final = 365 * 24 * 3600
_REPORT: Final = Path("report.html")

T = TypeVar("T")


def make_app(results: Sequence[Path], *, keys: Keys, look_freely: bool, host: str = LOOPBACK[0]) -> Starlette:
    """Return the application.

    Args:
        results: where run folders are kept; they need not be there yet.
        keys: what who acts must have, and who looks, where it is not free.
        look_freely: whether everybody may look who reaches it: the loopback's, which is then the only name that it
            answers to, so that no page elsewhere can have its own name lead here.
        host: where it listens.

    Its `state.warm_up` reads all runs, so that the first who asks need not wait for that.
    """
    runs = Runs(*results)
    answers = _Answers(runs, RunControls(results[0]), keys.csrf)
    middleware = [Middleware(Headers)]
    if is_loopback(host):
        middleware.append(Middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, host], www_redirect=False))
    middleware.append(Middleware(Gate, keys=keys, look_freely=look_freely))
    middleware.append(Middleware(GZipMiddleware, compresslevel=_GZIP_LEVEL))
    run = "/runs/{scenario}/{name}"
    app = Starlette(
        routes=[
            Route("/", answers.index, methods=["GET"]),
            Route(f"{run}/", answers.run, methods=["GET"]),
            Route(f"{run}/data.json", answers.data, methods=["GET"]),
            Route(f"{run}/report.html", answers.report, methods=["GET"]),
            Route(f"{run}/findings/{{path:path}}", answers.evidence, methods=["GET"]),
            Route("/metrics", answers.metrics, methods=["GET"]),
            Route("/bokeh-{version}.js", answers.bokeh, methods=["GET"]),
            Route("/overview.html", answers.overview, methods=["GET"]),
            Route("/runs/start", answers.start, methods=["POST"]),
            Route(f"{run}/stop", answers.stop, methods=["POST"]),
            Route(f"{run}/resume", answers.resume, methods=["POST"]),
            Route("/static/page.css", _shared("page.css", "text/css"), methods=["GET"]),
            Route("/static/filters.js", _shared("filters.js", "text/javascript"), methods=["GET"]),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ],
        middleware=middleware,
    )
    app.state.warm_up = runs.digests
    return app


class _Answers:
    """What each route answers; disk and database are read in threads."""

    def __init__(self, runs: Runs, actor: RunControls, csrf: str) -> None:
        self._runs, self._views, self._pages, self._metrics = runs, Views(), Pages(), Metrics(runs)
        self._actor, self._buttons = actor, Buttons(actor, csrf)
        self._front = {may_act: Front(runs, self._buttons if may_act else None) for may_act in (False, True)}

    async def index(self, request: Request) -> Response:
        """All runs: what was found, what goes on, each in a row."""
        may_act = request.state.may_act
        overview, _ = await self._front[may_act].overview_page(self._actor)
        page = self._pages.index(overview, may_act=may_act)
        return HTMLResponse(page, headers={"Cache-Control": "no-store"})

    async def overview(self, request: Request) -> Response:
        """What of that page changes; nothing where the asker has it already."""
        overview, etag = await self._front[request.state.may_act].overview_page(self._actor)
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        if etag.strip('"') in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return HTMLResponse(overview, headers=headers)

    async def run(self, request: Request) -> Response:
        """One run; its script asks for the data, and goes on asking."""
        folder = await self._found(request)
        buttons = self._buttons.of(await run_sync(digest_of, folder)) if request.state.may_act else Markup("")
        page = await run_sync(self._pages.run, folder, buttons)
        return HTMLResponse(page, headers={"Cache-Control": "no-store"})

    async def start(self, request: Request) -> Response:
        """Start a run."""
        return await self._done(self._actor.start, request.state.form, then="/")

    async def stop(self, request: Request) -> Response:
        """End a run."""
        return await self._done(self._actor.stop, await self._found(request), then=".")

    async def resume(self, request: Request) -> Response:
        """Go on with a run."""
        return await self._done(self._actor.resume, await self._found(request), then="/")

    async def _done(self, act: Callable[[T], None], what: T, then: str) -> Response:
        try:
            await run_sync(act, what)
        except CannotAct as error:
            return PlainTextResponse(f"{error}\n", 409)
        return RedirectResponse(then, 303)

    async def data(self, request: Request) -> Response:
        """A run's data; nothing where the asker has it already."""
        view = await self._views.of(await self._found(request))
        headers = {"ETag": view.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if view.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(gzip.decompress(view.packed), media_type="application/json", headers=headers)
        return Response(view.packed, media_type="application/json", headers=headers | {"Content-Encoding": "gzip"})

    async def report(self, request: Request) -> Response:
        """The report that was written at the end, shut off from the rest of the site."""
        return await run_sync(_file_in, await self._found(request), _REPORT)

    async def evidence(self, request: Request) -> Response:
        """A file of the evidence: text to read, all else to download."""
        folder = await self._found(request)
        inner = Path(request.path_params["path"].replace("\0", "?"))
        if inner.is_absolute() or ".." in inner.parts:
            raise HTTPException(404, "there is no such file")
        return await run_sync(_file_in, folder, Path("findings") / inner)

    async def metrics(self, _: Request) -> Response:
        """The runs of now as Prometheus metrics."""
        return Response(await self._metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def bokeh(self, _: Request) -> Response:
        """Bokeh's own script, of the package that is installed."""
        headers = {"Cache-Control": f"private, max-age={_YEAR}, immutable"}
        return FileResponse(bokehjs_path() / "js" / "bokeh.min.js", media_type="text/javascript", headers=headers)

    async def _found(self, request: Request) -> RunFolder:
        folder = await run_sync(self._runs.find, request.path_params["scenario"], request.path_params["name"])
        if folder is None:
            raise HTTPException(404, "there is no such run")
        try:
            await run_sync(require_no_way_out, folder.path)
        except StoreError as error:
            raise HTTPException(404, f"this run is not shown: {error}") from error
        return folder


def _shared(name: str, kind: str) -> Callable[[Request], Response]:
    """Return what answers with a file that reports have in them as well."""
    return lambda _: FileResponse(TEMPLATES / name, media_type=kind, headers={"Cache-Control": "no-cache"})


def _file_in(run: RunFolder, name: Path) -> Response:
    """Return the redacted content of a file that really lies below a run's folder, links resolved."""
    file = run.path / name
    if not lies_in(run.path, file) or not os.path.isfile(file):  # noqa: PTH113 — a name may be too long for any
        raise HTTPException(404, "there is no such file")
    headers = {"Cache-Control": "no-cache"}
    if name == _REPORT:  # it went through the same door when it was written
        return FileResponse(file, media_type="text/html", headers=headers | {"Content-Security-Policy": SANDBOX})
    content = content_of(file, redactor_for(run))
    if isinstance(content, Withheld):
        return PlainTextResponse(f"{file.name} stays on the host: {content.why}\n", status_code=403, headers=headers)
    if is_binary(content):
        headers |= {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name)}"}
        return Response(content, media_type="application/octet-stream", headers=headers)
    if file.suffix == ".html":
        return Response(content, media_type="text/html", headers=headers | {"Content-Security-Policy": SANDBOX})
    return Response(content, media_type="text/plain", headers=headers)
