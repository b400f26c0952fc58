"""A process that goes for a dockerd by its name and its API, for tests of what we find; `start` starts one."""

import json
import os
import socket
import socketserver
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any, Final

DUMPS: Final = sorted((Path(__file__).parents[1] / "data" / "goroutines").glob("hang-*.txt"))
_VERSION: Final = {"Version": "28.3.3", "ApiVersion": "1.51", "MinAPIVersion": "1.24", "Components": []}


class Engine(BaseHTTPRequestHandler):
    """Answers what Docker's API does, and hands out one dump after the other of a daemon that hangs."""

    def do_GET(self) -> None:
        """Answer."""
        path = self.path.partition("?")[0].removeprefix("/v1.51")
        if path == "/_ping":
            self._send(b"OK")
        elif path == "/version":
            self._send(json.dumps(_VERSION).encode())
        elif path == "/info":
            self._send(b'{"NGoroutines": 70}')
        elif path == "/debug/pprof/goroutine" and "debug=2" in self.path:
            self._send(DUMPS[len(self.served) % len(DUMPS)].read_bytes())
            self.served.append(path)
        elif path == "/debug/pprof/goroutine":
            self._send(b"goroutine profile: total 70\n")
        else:
            self.send_error(404)

    served: list[str] = []  # noqa: RUF012 — of the whole process

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Api-Version", "1.51")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 — http.server's name
        """Say nothing."""


def start(
    process: Callable[..., subprocess.Popen[str]], path: Path, *options: str, name: str = "dockerd"
) -> subprocess.Popen[str]:
    """Start one that listens on `path`, with `options` on its command line, and wait until it does."""
    called: Sequence[str] = (name, __file__, str(path), *options)
    popen = process("bash", "-c", f'exec -a "$0" {sys.executable} "$@"', *called)
    give_up = time.monotonic() + 120
    while not _listens(path):
        assert time.monotonic() < give_up
        time.sleep(0.01)
    return popen


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Serves many at once."""

    daemon_threads = True

    def get_request(self) -> tuple[Any, Any]:
        """Return a connection with an address as http.server wants it."""
        connection, _ = super().get_request()
        return connection, ("", 0)


def burn() -> None:
    """Use what CPU there is."""
    while True:
        pass


if __name__ == "__main__":
    with Server(sys.argv[1], Engine) as server:
        if "--busy" in sys.argv:
            Thread(target=burn, daemon=True).start()
        held = [os.open(word, os.O_RDONLY) for word in sys.argv[2:] if word.endswith(".db")]
        server.serve_forever()
