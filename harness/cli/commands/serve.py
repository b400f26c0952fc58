"""`repro serve`: the runs as a local web page."""

import signal
import socket
from pathlib import Path
from typing import Annotated, Final

import typer
import uvicorn
from rich.console import Console

from harness.cli.options import RESULTS
from harness.core.errors import UsageError
from harness.core.outcome import ExitCode
from harness.web.auth import address_of, is_loopback, token_for

_PORT: Final = 8321
_GRACE: Final = 2


class CannotListen(UsageError):
    """An address that cannot be had."""

    def __init__(self, host: str, port: int, why: str | None) -> None:
        super().__init__(f"cannot listen at {host}, port {port}: {why}; give another with --host or --port")


class NoRuns(UsageError):
    """A folder that is not there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"there is no folder {folder}: give the one in which `repro run` keeps its runs")


def serve(
    results: Annotated[Path, typer.Argument(metavar="[RESULTS]", help="Where run folders are kept.")] = RESULTS,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Where to listen; elsewhere than on the loopback, who looks needs a token."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="0 takes one that is free.")] = _PORT,
    token: Annotated[
        str | None, typer.Option(metavar="T", help="The token; without it, one is drawn where one is needed.")
    ] = None,
) -> int:
    """Serve the runs as a page that follows them, and as metrics for Prometheus, until Ctrl-C."""
    from harness.web.app import make_app  # noqa: PLC0415 — Bokeh takes 0.7 s to load: only the page waits for it

    if not results.is_dir():
        raise NoRuns(results)
    token = token_for(host, token)
    app = make_app(results, token=token, loopback=is_loopback(host), host=host)
    with _listening(host, port) as listener:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C; uvicorn raises it again once it is done
        address = address_of(host, listener.getsockname()[1], token)
        Console(highlight=False).print(f"serving {results} at {address}", soft_wrap=True, markup=False)
        config = uvicorn.Config(
            app,
            access_log=False,
            log_level="warning",
            lifespan="off",
            ws="none",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE,
        )
        uvicorn.Server(config).run(sockets=[listener])
    return ExitCode.CLEAN


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        raise CannotListen(host, port, error.strerror) from error
    return listener
