"""Whoever sends slowly, half, too much or nonsense keeps nobody else from an answer, and fills no log."""

import contextlib
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.eventually import until
from tests.web.runs import ended

_FILES = 128
_MOST = 32
"""Connections that there may be with so many files."""
HALF = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: "
WHOLE = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


class Served:
    """A server of its own process, with few files."""

    def __init__(self, process: subprocess.Popen[str], port: int, log: Path) -> None:
        self.process, self.port, self._log = process, port, log

    def connected(self, sent: bytes) -> socket.socket:
        """Connect, and send something."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=120)
        connection.sendall(sent)
        return connection

    def answer(self) -> bytes:
        """Ask for the list of runs; return what comes."""
        with self.connected(WHOLE) as connection:
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def logged(self) -> list[str]:
        """Return the lines of its log."""
        return self._log.read_text().splitlines()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a run."""
    folder = tmp_path_factory.mktemp("served")
    ended(folder / "results")
    few = ["sh", "-c", f'ulimit -n {_FILES}; exec "$@"', "sh"]
    argv = [*few, sys.executable, "-m", "harness", "serve", str(folder / "results"), "--port", "0"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout
    found = re.search(r"http://127.0.0.1:(\d+)/", process.stdout.readline())
    assert found
    yield Served(process, int(found[1]), folder / "log")
    process.terminate()
    process.communicate(timeout=180)
    assert process.returncode == 130


def test_half_a_request_is_in_nobodys_way(served: Served) -> None:
    """With three times as many half requests as it has files, others are answered, and it does next to nothing."""
    with contextlib.ExitStack() as open_:
        for _ in range(3 * _FILES):
            open_.enter_context(served.connected(HALF))
        watched = psutil.Process(served.process.pid)
        until(lambda: watched.num_fds() < _FILES)
        answers = [served.answer() for _ in range(5)]
        before, began = sum(watched.cpu_times()[:2]), time.monotonic()
        time.sleep(0.5)
        busy = (sum(watched.cpu_times()[:2]) - before) / (time.monotonic() - began)
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    assert busy < 0.5
    assert len(served.logged()) < 10


def test_nonsense_fills_no_log(served: Served) -> None:
    """What is no HTTP is refused, without a line for each."""
    for _ in range(50):
        with served.connected(b"\x16\x03\x01 nonsense\r\n\r\n") as connection:
            assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert served.answer().startswith(b"HTTP/1.1 200")
    assert len(served.logged()) < 10


def test_who_has_been_answered_is_in_nobodys_way(served: Served) -> None:
    """With as many who have had an answer, and keep the connection, as there may be, a browser's six are answered."""
    with contextlib.ExitStack() as open_:
        for _ in range(_FILES):
            had = open_.enter_context(served.connected(b"GET /static/page.css HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"))
            assert had.recv(12) == b"HTTP/1.1 200"
        browser = [open_.enter_context(served.connected(b"")) for _ in range(6)]
        for connection in browser:
            connection.sendall(WHOLE)
        answers = [connection.recv(12) for connection in browser]
    assert answers == [b"HTTP/1.1 200"] * 6


def test_who_does_not_read_is_in_nobodys_way(served: Served) -> None:
    """With as many who ask for much and read nothing as there may be connections, a browser's six are all answered."""
    asked = b"GET /bokeh-1.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 20
    with contextlib.ExitStack() as open_:
        for _ in range(_FILES):
            connection = open_.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", served.port))
            connection.sendall(asked)
        browser = [open_.enter_context(served.connected(b"")) for _ in range(6)]
        for connection in browser:
            connection.sendall(WHOLE)
        answers = [connection.recv(12) for connection in browser]
    assert answers == [b"HTTP/1.1 200"] * 6


ENDLESS = """
import asyncio, resource, socket
from harness.web.server import run_server

async def app(scope, receive, send):
    if scope["path"] == "/endless":
        print("asked", flush=True)
        await asyncio.sleep(1000)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})

resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
run_server(app, listener)
"""


def test_what_is_not_answered_yet_is_in_nobodys_way(tmp_path: Path) -> None:
    """With as many as there may be who are being answered for long, a browser's six are all answered."""
    process = subprocess.Popen([sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    there = Served(process, int(process.stdout.readline()), tmp_path / "log")
    with contextlib.ExitStack() as open_:
        open_.callback(process.kill)
        for _ in range(_MOST):
            open_.enter_context(there.connected(b"GET /endless HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"))
            assert process.stdout.readline() == "asked\n"
        browser = [open_.enter_context(there.connected(b"")) for _ in range(6)]
        for connection in browser:
            connection.sendall(WHOLE)
        answers = [connection.recv(12) for connection in browser]
    process.communicate(timeout=180)
    assert answers == [b"HTTP/1.1 200"] * 6
