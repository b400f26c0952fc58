"""`repro serve` under attack, on the loopback and for others, beside a run: it answers, and the run loses nothing."""

import os
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from harness.core.records import Iteration
from tests.adversary.world import Options, Repro, Try, ended, events, traceback_in

_FILES: Final = 1024
_HALF: Final = 2000
_SLOW: Final = 300
_PATIENCE: Final = 20.0
_HIDDEN: Final = "the-content-of-a-file-that-is-no-run-of-theirs"
_TOKEN: Final = "the-key-of-this-attack"  # noqa: S105 — of nothing else
_BUILDS: Final = 150


@dataclass(frozen=True)
class Site:
    """A server of its own process."""

    process: subprocess.Popen[str]
    port: int
    log: Path
    run: str
    """The path of an ended run's page."""

    def ask(self, sent: bytes, *, most: int = 2**20) -> bytes:
        """Send something; return what comes until the connection is closed, or nothing comes for a while."""
        found = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=_PATIENCE) as connection, suppress(OSError):
            connection.sendall(sent)
            connection.settimeout(_PATIENCE if b"close" in sent else 1.0)
            while len(found) < most and (part := connection.recv(65536)):
                found += part
        return found

    def get(self, path: str, *headers: str, method: str = "GET", body: str = "", host: str | None = None) -> bytes:
        """Ask for a path as it stands."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {f'127.0.0.1:{self.port}' if host is None else host}"]
        sent = body.encode(errors="surrogateescape")
        lines += ["Connection: close", *headers, *([f"Content-Length: {len(sent)}"] if sent else [])]
        return self.ask("\r\n".join([*lines, "", ""]).encode(errors="surrogateescape") + sent)

    def answers(self) -> str:
        """Return why it does not answer as ever; nothing where it does."""
        began = time.monotonic()
        try:
            answer = self.get("/", f"Authorization: Bearer {_TOKEN}")
        except OSError as error:
            return f"no answer: {error}"
        if not answer.startswith(b"HTTP/1.1 200"):
            return f"answers {answer[:40]!r}"
        took = time.monotonic() - began
        return f"an answer took {took:.1f} s" if took > _PATIENCE / 2 else ""


def serve(options: Options) -> Iterator[Try]:
    """Attack a server on the loopback and one for others, beside a run of their results."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    repro = Repro(options.place / "repro")
    repro.place.mkdir()
    (options.place / "secret.txt").write_text(_HIDDEN)
    words = ("control-clean", "--daemon", options.daemon, "--results", str(repro.results))
    code, said = repro("run", *words, "--iterations", "20")
    if code:
        yield Try("a run to be shown", f"exits with {code}: {said[-300:]}")
        return
    (repro.results / "secret.txt").write_text(_HIDDEN)
    for host in ("127.0.0.1", "0.0.0.0"):  # noqa: S104 — it is attacked from here
        output = repro.place / f"run-{host}.log"
        process = repro.start("run", *words, "--json", "--iterations", str(_BUILDS), output=output)
        repro.begun(process, before=len(repro.runs()))
        with _served(repro, host, options.place / f"serve-{host}.log") as site:
            for name, problem in _attacks(site):
                wrong = [each for each in (problem, site.answers(), _logged(site)) if each]
                yield Try(f"{host}: {name}", "; ".join(wrong))
        status, run = ended(process), repro.runs()[-1]
        known, told = [each.number for each in run.read(Iteration)], events(output)
        lost = known != [*range(1, _BUILDS + 1)] or len(told) != _BUILDS
        problem = f"exits with {status}; {len(known)} builds of {_BUILDS}, {len(told)} told" if status or lost else ""
        yield Try(f"{host}: the run beside it, of {_BUILDS} builds", problem)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class _served:  # noqa: N801 — a context
    def __init__(self, repro: Repro, host: str, log: Path) -> None:
        few = ("sh", "-c", f'ulimit -n {_FILES}; exec "$@"', "sh")
        argv = [*few, sys.executable, "-m", "harness", "serve", str(repro.results), "--port", "0", "--host", host]
        argv += ["--token", _TOKEN]
        with log.open("a") as output:
            self._process = subprocess.Popen(
                argv, stdout=subprocess.PIPE, stderr=output, text=True, env=repro.environment()
            )
        line = self._process.stdout.readline() if self._process.stdout else ""
        port = re.search(r":(\d+)/", line)
        run = repro.runs()[0]
        self._site = Site(self._process, int(port[1]) if port else 0, log, f"/runs/{run.path.parent.name}/{run.name}/")

    def __enter__(self) -> Site:
        return self._site

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=180)


def _logged(site: Site) -> str:
    lines = site.log.read_text(errors="replace").splitlines()
    os.truncate(site.log, 0)
    found = traceback_in("\n".join(lines))
    return f"a traceback: {found}" if found else f"{len(lines)} lines of log" if len(lines) > 100 else ""


def _attacks(site: Site) -> Iterator[tuple[str, str]]:
    yield f"{_HALF} half-sent requests", _half_sent(site)
    yield f"{_SLOW} readers that do not read", _slow_readers(site)
    bearer = f"Authorization: Bearer {_TOKEN}"
    for name, sent in _NONSENSE.items():
        answer = site.ask(sent)
        yield f"nonsense: {name}", _broke(answer)
    for path in _paths(site.run):
        answer = site.get(path, bearer)
        yield f"path {path[:60]!r}", _broke(answer) or ("shows a file" if _shows(answer) else "")
    for number, headers in enumerate(_HEADERS):
        yield f"headers {number}: {headers[0][:40]!r}", _broke(site.get(site.run + "report.html", bearer, *headers))
    for token in _TOKENS:
        for name, answer in {
            "header": site.get(site.run, f"Authorization: Bearer {token}"),
            "cookie": site.get(site.run, f"Cookie: repro-0={token}; {token}"),
            "form": site.get("/login", "Content-Type: application/x-www-form-urlencoded", method="POST", body=token),
            "code": site.get(f"/login?code={token[:2000]}"),
        }.items():
            in_ = b" 200 " in answer[:20] and b"This is not the token" not in answer and name in {"header", "cookie"}
            yield f"token {token[:20]!r} in the {name}", _broke(answer) or ("lets in" if in_ else "")
    yield from _forged(site)
    for host in _HOSTS:
        answer = site.get("/", host=host)
        yield f"Host {host[:40]!r}", _broke(answer) or ("lets in" if answer.startswith(b"HTTP/1.1 200") else "")


def _half_sent(site: Site) -> str:
    watched, problem = psutil.Process(site.process.pid), ""
    with ExitStack() as open_:
        for _ in range(_HALF):
            connection = open_.enter_context(socket.socket())
            connection.settimeout(_PATIENCE)
            connection.connect(("127.0.0.1", site.port))
            with suppress(OSError):
                connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: ")
        problem = next((why for _ in range(5) if (why := site.answers())), "")
        before, began = sum(watched.cpu_times()[:2]), time.monotonic()
        time.sleep(3)
        busy = (sum(watched.cpu_times()[:2]) - before) / (time.monotonic() - began)
    return problem or (f"is busy with it: {busy:.0%}" if busy > 0.3 else "")


def _slow_readers(site: Site) -> str:
    watched, problem = psutil.Process(site.process.pid), ""
    with ExitStack() as open_:
        for number in range(_SLOW):
            connection = open_.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(_PATIENCE)
            connection.connect(("127.0.0.1", site.port))
            path = ("/bokeh-1.js", f"{site.run}data.json", f"{site.run}report.html")[number % 3]
            with suppress(OSError):
                line = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {_TOKEN}\r\n\r\n"
                connection.sendall(line.encode() * 3)
        time.sleep(2)
        problem = next((why for _ in range(5) if (why := site.answers())), "")
        memory = watched.memory_info().rss
    return problem or (f"takes {memory >> 20} MiB" if memory > 2**30 else "")


def _broke(answer: bytes) -> str:
    status = answer[9:12]
    return f"answers {status.decode(errors='replace')}" if status.startswith(b"5") else ""


def _shows(answer: bytes) -> bool:
    return b"root:x:0" in answer or _HIDDEN.encode() in answer or b"SQLite format 3" in answer


def _forged(site: Site) -> Iterator[tuple[str, str]]:
    """Acts that a page elsewhere has the browser of somebody send who is logged in."""
    form = "Content-Type: application/x-www-form-urlencoded"
    here = f"Origin: http://127.0.0.1:{site.port}"
    logged_in = site.get("/login", form, here, method="POST", body=f"token={_TOKEN}")
    found = re.search(rb"set-cookie: ([^;]+)", logged_in, re.IGNORECASE)
    cookie = f"Cookie: {found[1].decode() if found else ''}"
    for number, headers in enumerate(_FORGED):
        for path in ("/runs/start", f"{site.run}stop", f"{site.run}resume"):
            for body in ("scenario=control-clean", "csrf=&scenario=control-clean", "csrf=x&csrf=y", "\0" * 20_000):
                answer = site.get(path, cookie, *headers, method="POST", body=body)
                let_in = answer[9:12] not in {b"403", b"401", b"400", b"404", b"405", b"413", b"431"}
                yield (
                    f"forged {number} {path} {body[:12]!r}",
                    _broke(answer) or (f"answers {answer[:40]!r}" if let_in else ""),
                )
    for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "post", "CONNECT"):
        answer = site.get(f"{site.run}stop", cookie, method=method)
        yield f"{method} to stop", _broke(answer) or ("is done" if answer[9:12] in {b"200", b"303"} else "")
    bad = site.get(
        "/runs/start",
        f"Authorization: Bearer {_TOKEN}",
        form,
        method="POST",
        body="scenario=control-clean&iterations=5%00",
    )
    yield "a start with a NUL", _broke(bad)


_NONSENSE: Final = {
    "one header of 1 MiB": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 2**20 + b"\r\n\r\n",
    "20,000 headers": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: a\r\n" * 20_000 + b"\r\n",
    "a path of 1 MiB": b"GET /" + b"a" * 2**20 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a body of 64 MiB": b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 67108864\r\n\r\n" + b"a" * 2**26,
    "a length below zero": b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
    "two lengths": b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\naaaaa",
    "chunked and a length": b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /runs HTTP/1.1\r\n\r\n",
    "a chunk that never ends": b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"fffffffffffffff\r\naaa",
    "no HTTP": os.urandom(4096),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(100),
    "HTTP/0.9": b"GET /\r\n",
    "a NUL in a header": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\0b\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n folded: x\r\n\r\n",
    "an upgrade": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "100-continue": b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    "1,000 in a row": b"GET /static/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 1000,
}
_UP: Final = ("../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "..%252f", "....//", "..;/", "%c0%ae%c0%ae/", "..%00/")


def _paths(run: str) -> list[str]:
    tops = (f"{run}findings/", "/static/", f"{run}", "/runs/", "/")
    climbs = [
        f"{top}{up * deep}{to}" for top in tops for up in _UP for deep, to in ((8, "etc/passwd"), (3, "secret.txt"))
    ]
    return [
        *climbs,
        *(
            f"{run}{name}"
            for name in ("run.db", "run.json", "daemon/daemon.log", "findings//etc/passwd", "findings/%00")
        ),
        *(
            f"{run}findings/{name}"
            for name in ("", ".", "..", "%ff%fe", "a" * 5000, "/proc/self/environ", "~root/.bashrc")
        ),
        *(
            "/runs/%00/x/",
            "/runs/../x/",
            "/runs/./x/",
            f"/runs/{'a' * 5000}/x/",
            "/runs/%ff/%fe/",
            "/runs/*/*/",
            "/runs/x/y",
        ),
        *("//etc/passwd", "/\\etc\\passwd", "http://127.0.0.1/etc/passwd", "*", "/?" + "a=b&" * 5000, "/static/%00"),
        *("/bokeh-..%2f..%2fx.js", "/login?next=//evil.example", "/login?next=%09//evil.example", "/login?code=%ff"),
    ]


_HEADERS: Final = (
    ("Range: bytes=0-0" + "".join(f",{n}-{n}" for n in range(2, 9000, 2)),),
    ("Range: bytes=5-1",),
    ("Range: bytes=-" + "9" * 5000,),
    ("Range: bytes=99999999999-",),
    ("Range: lines=1-2",),
    ("If-Range: x", "Range: bytes=0-1"),
    ('If-None-Match: "' + "a" * 50_000,),
    ("If-Modified-Since: " + "9" * 50_000,),
    ("Accept-Encoding: gzip;q=" + "9" * 5000,),
    ("Accept-Encoding: \x80\xff",),
    ("Cookie: " + "a=b; " * 9000,),
    ('Cookie: a="' + "\\" * 9000,),
    ("Authorization: Basic AAAA",),
    ("Authorization: Bearer",),
    ("X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https"),
    ("X-HTTP-Method-Override: POST",),
    ("Content-Length: 0", "Transfer-Encoding: identity"),
)
_TOKENS: Final = (
    "",
    "x",
    _TOKEN[:-1],
    _TOKEN + "x",
    "é" * 30,
    "\udcff\udcfe",
    "%00",
    "a" * 30_000,
    "' or 1=1--",
    "null",
)
_FORGED: Final = (
    ("Content-Type: application/x-www-form-urlencoded",),
    ("Content-Type: application/x-www-form-urlencoded", "Origin: http://evil.example"),
    ("Content-Type: application/x-www-form-urlencoded", "Origin: null"),
    ("Content-Type: text/plain", "Origin: http://["),
    ("Content-Type: application/json", "Origin: "),
    ("Content-Type: multipart/form-data; boundary=x", "Referer: http://127.0.0.1/"),
    ("X-HTTP-Method-Override: PUT", "Origin: http://127.0.0.1.evil.example", "Content-Type: text/plain"),
    ("Sec-Fetch-Site: cross-site", "Content-Type: application/x-www-form-urlencoded"),
)
_HOSTS: Final = (
    "evil.example",
    "",
    "127.0.0.1.evil.example",
    "[",
    "[::1",
    "a:b:c",
    "x" * 9000,
    "localhost@evil.example",
    "é",
    "127.0.0.1:99999999",
    "*",
    "0",
    "[::1]:x",
)
