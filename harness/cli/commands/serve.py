"""`repro serve`: the runs as a local web page."""

import signal
import socket
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Annotated, Final

import typer

from harness.cli.console import Console
from harness.cli.options import RESULTS
from harness.core.errors import UsageError
from harness.core.outcome import ExitCode
from harness.web.auth import Keys, address_of, is_loopback

_PORT: Final = 8321


class CannotListen(UsageError):
    """An address that this host cannot listen on."""

    def __init__(self, host: str, port: int, why: str | None) -> None:
        super().__init__(f"cannot listen at {host}, port {port}: {why}; give another with --host or --port")


class NoRuns(UsageError):
    """A folder that is not there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"there is no folder {folder}: give the one in which `repro run` keeps its runs")


def serve(
    results: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[RESULTS]...", help="Where run folders are kept: this host's, and copies of others'."),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Where to listen; elsewhere than on the loopback, who looks needs a token."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="0 takes one that is free.")] = _PORT,
    token: Annotated[
        str | None,
        typer.Option(metavar="T", envvar="REPRO_TOKEN", help="The token, also to look; without it, one is drawn."),
    ] = None,
) -> int:
    """Serve the runs as a page that follows them, and as metrics for Prometheus, until Ctrl-C."""
    from harness.web.app import make_app  # noqa: PLC0415 — Bokeh takes 0.7 s to load: only the page waits for it
    from harness.web.server import run_server  # noqa: PLC0415 — uvicorn, likewise

    folders = results or [RESULTS]
    for folder in folders:
        if not folder.is_dir():
            raise NoRuns(folder)
    keys, look_freely = Keys.of(token), token is None and is_loopback(host)
    app = make_app(folders, keys=keys, look_freely=look_freely, host=host)
    with _listening(host, port) as listener:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C; uvicorn raises it again once it is done
        shown = listener.getsockname()[1]
        say = partial(Console(highlight=False).print, soft_wrap=True, markup=False)
        say(f"serving {' and '.join(map(str, folders))} at {address_of(host, shown)}")
        what = "to start, stop and resume runs there" if look_freely else "to log in there"
        say(f"{what}: {address_of(host, shown, keys.code)} (works once, within the hour)")
        if token is None:
            say(f"the token, to log in again, and for scripts: {keys.token}")
        Thread(target=app.state.warm_up, daemon=True).start()
        run_server(app, listener)
    return ExitCode.CLEAN


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()  # who opens the address as soon as it is printed waits
    except OSError as error:
        raise CannotListen(host, port, error.strerror) from error
    return listener
