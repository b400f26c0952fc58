"""Texts of odd shapes, 40 MB each, that have something of a dump in them again and again, or nearly.

Each is read and diagnosed as `repro diagnose` does, at an eighth of the size and whole. Times are CPU times, and are
held against a plain dump's of the same size: how many times as long, and how much faster than the size they grow.
"""

import base64
import gzip
import io
import json
import random
import tarfile
import time
from collections.abc import Callable, Iterator
from itertools import chain, count
from pathlib import Path
from typing import Final

from harness.buildkit.diagnosis import diagnose, read_file
from harness.buildkit.goroutines.buckets import counted_of
from tests.adversary.world import Options, Try

SIZE: Final = 40_000_000
MOST: Final = 4.0
"""Times as long as a plain dump takes: that takes some 2.4 s on an idle host, and 10 s are allowed."""
GROWS: Final = 2.0
_EIGHTH: Final = 8
_LEAST: Final = 0.01
"""Seconds of CPU from which on a growth is told."""
_CHANCE: Final = random.Random(1)

_PIECES: Final[tuple[str, ...]] = (
    *("goroutine ", "1", " [", "select", "]:", "\n", "a.b", "(", "0x1", ")", "\t", "/x.go:1", " +0x1", "created by "),
    *(
        " in goroutine ",
        "...",
        '"',
        "\\n",
        "\\",
        "|",
        "panic: ",
        "{",
        "}",
        ", ",
        "*",
        ".",
        "/",
        "github.com/moby/buildkit/",
    ),
)

CALL: Final = "github.com/moby/buildkit/solver.(*scheduler).loop(0xc000273110, {0x1, 0x2}, ...)\n"
PLACE: Final = "\t/src/solver/scheduler.go:92 +0x1e5\n"
MAKER: Final = (
    "created by github.com/moby/buildkit/solver.newScheduler in goroutine 1\n\t/src/solver/scheduler.go:26 +0x20d\n"
)
Shape = Callable[[int], str]
"""Returns the piece of a number; a text is its pieces, as many as it takes."""


def goroutine(number: int, state: str = "select, 5 minutes") -> str:
    """Return one goroutine."""
    return f"goroutine {number} [{state}]:\n{CALL}{PLACE}{MAKER}\n"


def lock(number: int) -> str:
    """Return one that waits for a lock of its own, and holds that of the next."""
    return (
        f"goroutine {number} [sync.Mutex.Lock]:\nsync.(*Mutex).lockSlow(0xc{number:09x})\n\t/go/m.go:1 +0x1\n"
        f"github.com/moby/buildkit/cache.(*cacheManager).get(0xc{number:09x})\n\t/src/cache/manager.go:3 +0x1\n"
        f"github.com/moby/buildkit/cache.(*cacheManager).put(0xc{number + 1:09x})\n\t/src/cache/manager.go:5 +0x1\n\n"
    )


def addresses(number: int) -> str:
    """Return fifty that no other has."""
    return ", ".join(f"0xc{number * 50 + each:09x}" for each in range(50))


def in_json(text: str, deep: int) -> str:
    """Return a text as a string of JSON that is in a string of JSON, and so on."""
    return text if not deep else in_json(json.dumps(text), deep - 1)


def in_turn(*texts: str) -> str:
    """Return the lines of texts in turn, as a log of several that print at once has them."""
    return "".join(chain.from_iterable(zip(*(text.splitlines(keepends=True) for text in texts), strict=True)))


def prefixed(text: str, *prefixes: str) -> str:
    """Return a text whose lines have prefixes, each the next."""
    return "".join(f"{prefixes[number % len(prefixes)]}{line}\n" for number, line in enumerate(text.splitlines()))


SHAPES: Final[dict[str, Shape]] = {
    "a dump": goroutine,
    "one id": lambda _: goroutine(7),
    "two ids in turn": lambda n: goroutine(n % 2),
    "ids downwards": lambda n: goroutine(10**9 - n),
    "heads alone": lambda n: f"goroutine {n} [select]:\n",
    "calls alone": lambda n: CALL if n else "goroutine 1 [select]:\n" + CALL,
    "calls of other names": lambda n: ("goroutine 1 [select]:\n" if not n else "") + f"a.b{n}(0x1)\n",
    "places alone": lambda _: PLACE,
    "makers alone": lambda n: MAKER if n % 2 else f"goroutine {n} [select]:\n",
    "each stack its own": lambda n: f"goroutine {n} [select]:\na.b{n}(0x1)\n\t/x{n}.go:{n} +0x1\n\n",
    "each state its own": lambda n: goroutine(n, f"state {n}"),
    "children of one": lambda n: goroutine(n).replace("goroutine 1\n", "goroutine 0\n"),
    "a chain of parents": lambda n: goroutine(n).replace("in goroutine 1\n", f"in goroutine {n - 1}\n"),
    "a chain of locks": lock,
    "one lock": lambda n: lock(n).replace(f"{n:09x}", "000000001"),
    "addresses alone": lambda n: (
        f"goroutine {n} [select]:\na.b({', '.join(f'0xc{n * 50 + m:09x}' for m in range(50))})\n{PLACE}\n"
    ),
    "panics": lambda n: f"panic: {n}\n",
    "panics with goroutines": lambda n: f"panic: {n}\n\n{goroutine(1, 'running')}",
    "dumps that begin": lambda n: f"=== BEGIN goroutine stack dump ===\n{goroutine(n)}",
    "processes in turn": lambda n: "".join(f"b-{n % 50}  | {line}\n" for line in goroutine(n).splitlines()),
    "as many processes": lambda n: "".join(f"b{n}  | {line}\n" for line in goroutine(n).splitlines()),
    "empty lines": lambda _: "\n",
    "blanks": lambda _: " ",
    "letters": lambda _: "a",
    "words": lambda _: "word ",
    "opening brackets": lambda _: "(",
    "opening brackets in lines": lambda _: "(" * 50_000 + "\n",
    "closing brackets": lambda _: ")",
    "calls in one line": lambda _: CALL.strip(),
    "goroutine": lambda _: "goroutine ",
    "goroutine 1 [": lambda _: "goroutine 1 [",
    "heads in one line": lambda n: f"goroutine {n} [select]: ",
    "created by": lambda _: "created by ",
    "places in one line": lambda _: " /src/a.go:1",
    "slashes": lambda n: "/" if n else "goroutine 1 [select]:\n",
    "dots": lambda n: "." if n else "goroutine 1 [select]:\n",
    "stars and dots": lambda n: ".(*a)" if n else "goroutine 1 [select]:\n",
    "a place's path": lambda n: "/a.b" if n else "goroutine 1 [select]:\n",
    "0x": lambda _: "0x",
    "0x in a call": lambda n: "0x1, " if n else "goroutine 1 [select]:\nmain.f(",
    "quotes": lambda _: '"',
    "quoted calls": lambda _: f'"{CALL.strip()}",',
    "backslashes": lambda _: "\\",
    "escaped ends": lambda _: "\\n",
    "escaped goroutines": lambda n: goroutine(n).replace("\n", "\\n").replace("\t", "\\t"),
    "twice escaped": lambda n: goroutine(n).replace("\n", "\\\\n").replace("\t", "\\\\t"),
    "JSON": lambda n: '{"log":"' + goroutine(n).replace("\n", '\\n"}\n{"log":"').replace("\t", "\\t") + '"}\n',
    "ampersands": lambda _: "&",
    "entities": lambda _: "&lt;",
    "other entities": lambda n: f"&#{n % 60_000 + 100};",
    "less than": lambda n: "<" if n else "</",
    "tags": lambda _: "<b></b>",
    "tags that do not end": lambda _: "<span class=",
    "escapes of a terminal": lambda _: "\x1b[",
    "colours": lambda _: "\x1b[31ma\x1b[0m",
    "pipes": lambda _: "a | ",
    "brackets of a prefix": lambda _: "[pod/",
    "equals": lambda _: "=",
    "quoted-printable": lambda n: goroutine(n).replace("=", "=3D").replace(" ", "=20"),
    "percents": lambda n: goroutine(n).replace("\n", "%0A").replace(" ", "%20"),
    "base64's letters": lambda _: "QUJD" * 15 + "\n",
    "blanks that do not break": lambda _: "\u00a0",
    "bars": lambda n: f"\u2502 {CALL.strip()} \u2502\n" if n else "goroutine 1 [select]:\n",
    "columns behind": lambda n: "".join(f"{line}   pod-1\n" for line in goroutine(n).splitlines()),
    "columns of blanks": lambda n: "".join(f"{line:<2000} pod-1\n" for line in goroutine(n).splitlines()),
    "torn": lambda n: "".join(f"{line[:40]}\n{line[40:]}\n" for line in goroutine(n).splitlines()),
    "turned round": lambda n: "\n".join(reversed(goroutine(n).splitlines())) + "\n",
    "old ends": lambda n: goroutine(n).replace("\n", "\r"),
    "zeros": lambda _: "\0",
    "zeros between": lambda n: goroutine(n).encode("utf-16-le").decode("latin-1"),
    "counted": lambda n: f"{n} @ 0x1 0x2\n#\t0x1\ta.b+0x1\t/x.go:{n}\n\n",
    "counts alone": lambda n: f"{n} @ 0x1\n",
    "entries of a count": lambda n: "#\t0x1\ta.b+0x1\t/x.go:1\n" if n else "1 @ 0x1\n",
    "noise": lambda _: _CHANCE.randbytes(64).decode("latin-1"),
    "noise of a dump's": lambda _: "".join(_CHANCE.choice(_PIECES) for _ in range(20)),
    "prefixes in turn": lambda n: prefixed(
        goroutine(n), "Sep 09 14:03:10 ci-1 dockerd[17]: ", "2026-08-01T10:00:00.1Z stderr F ", "[pod/a/b] ", ""
    ),
    "two containers in turn": lambda n: in_turn(
        prefixed(goroutine(n), "[pod/a/buildkitd] "), prefixed(goroutine(n), "[pod/b/buildkitd] ")
    ),
    "two containers without names": lambda n: in_turn(goroutine(2 * n), goroutine(2 * n + 1)),
    "lines of 300 kB": lambda n: f"goroutine {n} [select]:\nmain.f({'0x1, ' * 60_000}0x1)\n{PLACE}\n",
    "one goroutine of two million frames": lambda n: ("" if n else "goroutine 1 [select]:\n") + "a.b(0x1)\n\t/x.go:1\n",
    "tiny dumps": lambda n: f"SIGQUIT: quit\n\ngoroutine {n % 3} [select]:\na.b()\n\t/x.go:1\n\n",
    "JSON six deep": lambda n: in_json(goroutine(n), 6) + "\n",
    "ends of all kinds": lambda n: "".join(
        line + ("\r\n", "\n", "\r", "\r\r\n", "\n\r")[(n + at) % 5] for at, line in enumerate(goroutine(n).split("\n"))
    ),
    "calls that do not end": lambda n: "(0x1, {0x2, 0xc000000001" * 8 + "\n" if n else "goroutine 1 [select]:\n",
    "base64 in pieces": lambda n: base64.encodebytes(goroutine(n).encode()).decode(),
    "doubled quotes": lambda n: "".join(f'"17","""{line}""","a"\n' for line in goroutine(n).splitlines()),
    "rows of a table": lambda n: "".join(
        f"<tr><td>{n}</td><td><code>{line}</code></td></tr>\n" for line in goroutine(n).splitlines()
    ),
    "letters of four bytes": lambda _: "\U0001f433",
    "letters of dumps among others": lambda n: f"\u2502\u00a0{goroutine(n)}\u200b\u00ad\u2192",
    "mails in mails": lambda n: prefixed(goroutine(n), "> " * (n % 40)),
    "torn at all widths": lambda n: "".join(
        f"{line[: n % 70 + 5]}\n{line[n % 70 + 5 :]}\n" for line in goroutine(n).splitlines()
    ),
}
"""The first is what all are held against."""


def write(file: Path, shape: Shape, size: int) -> None:
    """Write a text of a shape, of so many bytes or a little more."""

    def pieces() -> Iterator[bytes]:
        written = 0
        for number in count():
            piece = shape(number).encode()
            yield piece
            written += len(piece)
            if written >= size:
                return

    with file.open("wb") as out:
        out.writelines(pieces())


def packed(file: Path) -> None:
    """Write what unpacks to a dump of ten times the size."""
    with gzip.open(file, "wb", compresslevel=1) as out:
        for number in range(10 * SIZE // len(goroutine(10**6))):
            out.write(goroutine(number).encode())


def archive(file: Path) -> None:
    """Write an archive of texts that nobody can read, each of half a sample."""
    with tarfile.open(file, "w") as out:
        for number in range(SIZE // 40_000):
            text = ("goroutine 1 " * 3 + f"{CALL[:-1]} {number} of it\n").encode() * 300
            each = tarfile.TarInfo(f"{number:04}.txt")
            each.size = len(text)
            out.addfile(each, io.BytesIO(text))


FILES: Final[dict[str, Callable[[Path], None]]] = {"a dump of 400 MB, packed": packed, "an archive": archive}


def seconds(file: Path) -> float:
    """Return the CPU time of reading and diagnosing a file as `repro diagnose` does."""
    began = time.process_time()
    posted = read_file(file)
    if posted.dumps or posted.crash:
        diagnose(posted.dumps, crash=posted.crash)
    elif not posted.hollow:
        counted_of(file)
    return time.process_time() - began


def shapes(options: Options) -> Iterator[Try]:
    """Read a text of each shape, from that on which was asked for; a try each."""
    file = options.place / "dump.txt"
    write(file, SHAPES["a dump"], SIZE)
    usual = seconds(file)
    names = [*SHAPES, *FILES]
    for name in names[names.index(options.first) if options.first else 0 :]:
        if options.over:
            return
        if not options.wants(name):
            continue
        part = 0.0
        if name in SHAPES:
            write(file, SHAPES[name], SIZE // _EIGHTH)
            part = seconds(file)
            write(file, SHAPES[name], SIZE)
        else:
            FILES[name](file)
        taken = seconds(file)
        ratio, growth = taken / usual, taken / part / _EIGHTH if part > _LEAST else 0.0
        told = f"{name}: {taken:.1f} s of CPU, {ratio:.2f} of a dump's {usual:.1f} s, growth {growth:.2f}"
        yield Try(told, "" if ratio <= MOST and (growth <= GROWS or ratio <= 1) else "is slow")
    file.unlink(missing_ok=True)
