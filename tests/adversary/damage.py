"""Damages each file of a run's folder in each way, and looks at the run with each command: who gives a traceback?

`serve` is asked for its pages, and `resume` stops before a daemon.
"""

import io
import json
import os
import random
import shutil
import signal
import socket
import stat
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unittest.mock import patch

from harness.cli.main import _exit_code
from harness.core.errors import UsageError
from tests.adversary.world import Options, Try
from tests.web.client import Client
from tests.web.runs import ended

Damage = Callable[[Path, random.Random], object]

PAGES: Final = ("/", "/metrics", "/runs/{run}/", "/runs/{run}/data.json", "/runs/{run}/report.html")

_SECONDS: Final = 30
"""What any command may take for a run of this size, on a host with other work."""


class Late(BaseException):
    """A command did not end in time; nothing that handles errors is to handle this."""


def _flip(file: Path, rng: random.Random) -> None:
    content = bytearray(file.read_bytes())
    for _ in range(min(20, len(content))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)


def _insert(what: bytes) -> Damage:
    def insert(file: Path, rng: random.Random) -> None:
        content = file.read_bytes()
        place = rng.randrange(len(content) + 1)
        file.write_bytes(content[:place] + what + content[place:])

    return insert


def _truncate(file: Path, rng: random.Random) -> None:
    file.write_bytes(file.read_bytes()[: rng.randrange(max(1, file.stat().st_size))])


def _folder(file: Path, _: random.Random) -> None:
    file.unlink()
    file.mkdir()


def _circle(file: Path, _: random.Random) -> None:
    file.unlink()
    file.symlink_to(file.name)


def _pipe(file: Path, _: random.Random) -> None:
    file.unlink()
    os.mkfifo(file)


def _socket(file: Path, _: random.Random) -> None:
    file.unlink()
    before = Path.cwd()
    os.chdir(file.parent)  # a socket's path may have 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(file.name)
    finally:
        os.chdir(before)


def _device(file: Path, _: random.Random) -> None:
    """Put in its place what gives zeros without end; without root, a link to it."""
    file.unlink()
    try:
        os.mknod(file, stat.S_IFCHR | 0o644, os.makedev(1, 5))
    except PermissionError:
        file.symlink_to("/dev/zero")


def _page(file: Path, rng: random.Random) -> None:
    """Overwrite 64 bytes in the middle: of a database the header stays, and a page of it is garbage."""
    content = bytearray(file.read_bytes())
    place = rng.randrange(100, max(101, len(content)))
    content[place : place + 64] = rng.randbytes(64)
    file.write_bytes(content)


def _values(value: Callable[[random.Random], object]) -> Damage:
    """Return what puts another value in one place of a JSON file; of what is none, in the place of the whole."""

    def change(file: Path, rng: random.Random) -> None:
        whole = None
        with suppress(ValueError):
            whole = json.loads(file.read_text(errors="replace"))
        if isinstance(whole, dict) and whole:
            here = whole
            while isinstance(below := here[key := rng.choice([*here])], dict) and below and rng.random() < 0.7:
                here = below
            here[key] = value(rng)
        else:
            whole = value(rng)
        file.write_text(json.dumps(whole))

    return change


def _lacks(file: Path, rng: random.Random) -> None:
    whole = None
    with suppress(ValueError):
        whole = json.loads(file.read_text(errors="replace"))
    if isinstance(whole, dict) and whole:
        del whole[rng.choice([*whole])]
    file.write_text(json.dumps(whole))


DAMAGES: Final[dict[str, Damage]] = {
    "missing": lambda file, _: file.unlink(),
    "empty": lambda file, _: file.write_bytes(b""),
    "folder": _folder,
    "circle": _circle,
    "pipe": _pipe,
    "socket": _socket,
    "device": _device,
    "sparse": lambda file, _: os.truncate(file, 2**40),
    "truncated": _truncate,
    "flipped": _flip,
    "garbage": _page,
    "nul": _insert(b"\0"),
    "not utf-8": _insert(b"\xff\xfe"),
    "zeros": lambda file, _: file.write_bytes(bytes(file.stat().st_size)),
    "list": lambda file, _: file.write_text("[]"),
    "lacks a key": _lacks,
    "other type": _values(lambda rng: rng.choice([None, [], {}, "text", 5, -1, [[]], {"a": {"b": 1}}, True, ""])),
    "huge number": _values(lambda rng: rng.choice([10**30, -(10**30), 1e308, 2**63, 10**4000])),
    "odd text": _values(lambda rng: rng.choice(["\0", "\ud800", "9" * 5000, "../../..", "\x1b[31m", "x" * 100_000])),
}


@dataclass(frozen=True)
class Broke:
    """A command that gave a traceback."""

    file: str
    damage: str
    command: str
    last: str
    """The end of it."""


def attack(run: Path, seed: int, *, files: Sequence[str] = (), damages: Sequence[str] = ()) -> Iterator[list[Broke]]:
    """Yield, for each damage to each file, which commands broke.

    Args:
        run: a run's folder.
        seed: of all chance.
        files: names below the run's folder; all without them.
        damages: out of `DAMAGES`; all without them.
    """
    names = files or sorted(str(file.relative_to(run)) for file in run.rglob("*") if file.is_file())
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "whole" / "s" / run.name
        shutil.copytree(run, whole)
        for name in names:
            for damage in damages or DAMAGES:
                results = Path(place) / "results"
                shutil.copytree(run, results / "s" / run.name)
                rng = random.Random(f"{seed} {name} {damage}")
                DAMAGES[damage](results / "s" / run.name / name, rng)
                yield [
                    Broke(name, damage, command, last) for command, last in _look(results, run.name, whole, Path(place))
                ]
                shutil.rmtree(results)


def commands(results: Path, name: str, whole: Path, place: Path) -> dict[str, list[str]]:
    """Return the commands that look at a run, or at all of them.

    Args:
        results: where the run is, of a scenario `s`.
        name: the run's.
        whole: another run, to merge it with.
        place: where what they write is to be.
    """
    run = str(results / "s" / name)
    return {
        "show": ["show", run],
        "show --json": ["show", run, "--json"],
        "show last": ["show", "last", "--results", str(results)],
        "list": ["list"],
        "diagnose": ["diagnose", run],
        "explain": ["explain", run],
        "bundle": ["bundle", run, "-o", str(place / "bundle.tgz")],
        "merge": ["merge", run, str(whole)],
        "report": ["report", run, "-o", str(place / "report")],
        "resume": ["resume", run, "--no-report"],
    }


def _look(results: Path, name: str, whole: Path, place: Path) -> Iterator[tuple[str, str]]:
    """Yield the commands that break, with the end of each traceback."""
    for command, words in commands(results, name, whole, place).items():
        if last := _broken(words):
            yield command, last
    page = Client(results)
    for path in PAGES:
        try:
            with _in_time():
                answer = page.get(path.format(run=f"s/{name}"))
            if answer.status_code >= 500:
                yield path, f"{answer.status_code}"
        except (Exception, Late) as error:
            yield path, _end(error)


def _broken(words: list[str]) -> str:
    """Run a command in this process; return the end of its traceback, or nothing."""
    return said(words)[1]


def said(words: list[str]) -> tuple[str, str]:
    """Run a command in this process; return all that it printed, and the end of its traceback, or nothing."""
    told, printed = io.StringIO(), io.StringIO()
    stop = UsageError("no daemon is started here")
    with (
        _in_time(),
        patch.object(sys, "argv", ["repro", *words]),
        patch("harness.run.engine.plan_run", side_effect=stop),
        redirect_stderr(told),
        redirect_stdout(printed),
    ):
        try:
            _exit_code(words)  # all that `repro` does, but for the exit
        except BaseException as error:
            return printed.getvalue() + told.getvalue(), _end(error)
    lines = [line for line in told.getvalue().splitlines() if line.strip()]
    broke = any(line.lstrip(" |+-").startswith("Traceback") for line in lines)
    return printed.getvalue() + told.getvalue(), lines[-2] if broke else ""


@contextmanager
def _in_time() -> Iterator[None]:
    """Give up what waits for a pipe's other end, or reads what has no end."""

    def late(*_: object) -> None:
        raise Late(f"did not end in {_SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _end(error: BaseException) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {str(error)[:80]} ({Path(place.filename).name}:{place.lineno})"


def folders(options: Options) -> Iterator[Try]:
    """Damage each file of a run that hung in each way, and ask each command and page: a try for each damage."""
    run = ended(options.place / "results").path
    for found in attack(run, options.seed):
        if options.over:
            return
        what = f"{found[0].file}: {found[0].damage}" if found else "a damage"
        yield Try(what, "; ".join(f"{each.command}: {each.last}" for each in found))
