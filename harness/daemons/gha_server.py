"""A cache service as GitHub Actions has it, in its first version, for BuildKit's ``type=gha``; a program of its own.

It is started by path, with nothing but Python: ``gha_server.py FOLDER`` keeps what it is given there. BuildKit's client
(tonistiigi/go-actions-cache, ``api.md`` there) asks it for this, below ``/_apis/artifactcache``:

- ``GET cache?keys=A,B``: the newest entry whose key is, or begins with, one of these; 204 where there is none.
- ``POST caches {key}``: a number to upload to; 409 where the key is there already, as none is ever overwritten.
- ``PATCH caches/N``, with ``Content-Range``: a piece of it.
- ``POST caches/N {size}``: it is whole, and found from then on.
- ``GET /blob/N``: the content, all of it or from an offset on.
"""

import json
import re
import sys
import threading
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

_API: Final = "/_apis/artifactcache"
_RANGE: Final = re.compile(r"bytes[ =](\d+)-")


class CacheEntries:
    """What is kept: keys in memory, contents in files named after their numbers.

    Args:
        folder: for the files; it is there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self._reserved: list[str] = []
        """The key of each number, from 1."""
        self._whole: list[int] = []
        """The numbers that can be found, in the order in which they became whole."""

    def file(self, number: int) -> Path:
        """Return where the content of an entry is."""
        return self._folder / str(number)

    def found(self, keys: Sequence[str]) -> tuple[int, str] | None:
        """Return the number and the key of the newest entry for the first of these keys that has one."""
        with self._lock:
            for wanted in keys:
                for number in reversed(self._whole):
                    if (key := self._reserved[number - 1]).startswith(wanted):
                        return number, key
        return None

    def reserve(self, key: str) -> int | None:
        """Return a number for a new entry; None where the key is taken."""
        with self._lock:
            if key in self._reserved:
                return None
            self._reserved.append(key)
            self.file(len(self._reserved)).touch()
            return len(self._reserved)

    def write(self, number: int, offset: int, piece: bytes) -> None:
        """Put a piece of content into its place."""
        with self.file(number).open("r+b") as file:
            file.seek(offset)
            file.write(piece)

    def complete(self, number: int) -> None:
        """Have an entry be found from now on."""
        with self._lock:
            self._whole.append(number)


class CacheHandler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"
    entries: CacheEntries

    def do_GET(self) -> None:
        """Find an entry, or give out its content."""
        asked = urlsplit(self.path)
        if asked.path == "/":
            self._answer(HTTPStatus.OK, b"{}")
        elif asked.path == f"{_API}/cache":
            if (found := self.entries.found(parse_qs(asked.query).get("keys", [""])[0].split(","))) is None:
                self._answer(HTTPStatus.NO_CONTENT)
                return
            where = f"http://{self.headers['Host']}/blob/{found[0]}"
            self._answer_json(HTTPStatus.OK, cacheKey=found[1], scope="", archiveLocation=where)
        elif asked.path.startswith("/blob/") and (file := self.entries.file(self._number)).is_file():
            content = file.read_bytes()
            if match := _RANGE.search(self.headers.get("Range", "")):
                first = int(match[1])
                ranged = f"bytes {first}-{len(content) - 1}/{len(content)}"
                self._answer(HTTPStatus.PARTIAL_CONTENT, content[first:], {"Content-Range": ranged})
            else:
                self._answer(HTTPStatus.OK, content)
        else:
            self._answer_json(HTTPStatus.NOT_FOUND, message="there is nothing here")

    def do_POST(self) -> None:
        """Reserve a number, or complete an entry."""
        body = json.loads(self._body() or b"{}")
        if self.path == f"{_API}/caches":
            number = self.entries.reserve(body["key"])
            if number is None:
                kind = "ArtifactCacheItemAlreadyExistsException"
                self._answer_json(HTTPStatus.CONFLICT, message="Cache already exists", typeKey=kind)
            else:
                self._answer_json(HTTPStatus.CREATED, cacheId=number, cacheID=number)
        else:
            self.entries.complete(self._number)
            self._answer(HTTPStatus.NO_CONTENT)

    def do_PATCH(self) -> None:
        """Take a piece of an entry."""
        match = _RANGE.search(self.headers.get("Content-Range", ""))
        self.entries.write(self._number, int(match[1]) if match else 0, self._body())
        self._answer(HTTPStatus.NO_CONTENT)

    @property
    def _number(self) -> int:
        return int(self.path.rpartition("/")[2])

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer_json(self, status: HTTPStatus, **what: object) -> None:
        self._answer(status, json.dumps(what).encode())

    def _answer(self, status: HTTPStatus, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the base class's name
        """Keep quiet about requests: the run's records have the builds."""


class CacheServer(ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True


def main(folder: Path) -> None:
    """Serve until ended."""
    CacheHandler.entries = CacheEntries(folder)
    CacheServer(("127.0.0.1", 0), CacheHandler).serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
