"""What attacks share: `repro` in a place of its own, what it has left on this host, and what each try came to."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from harness.core.files import read_json
from harness.core.records import Summary
from harness.store.folder import RunFolder

MARKER = "REPRO_ADVERSARY"
"""A variable that all has which an attack starts: so what outlives it is found, whoever started that in turn."""


@dataclass(frozen=True)
class Try:
    """One try of an attack."""

    what: str
    problem: str = ""
    """What did not hold; nothing where all did."""


@dataclass(frozen=True)
class Options:
    """How hard, and with what."""

    place: Path
    """An empty folder."""
    daemon: str
    """A toolchain, as `repro run --daemon` takes it."""
    kills: int
    mutations: int
    seed: int
    until: float
    """By the monotonic clock: no try begins later."""
    only: tuple[str, ...] = ()
    """Words of which one is in the name of what is tried; all is tried where there are none."""
    first: str = ""
    """The shape to begin with; empty for all."""

    def wants(self, name: str) -> bool:
        """Whether a try, or a reader, of that name is asked for."""
        return not self.only or any(word in name for word in self.only)

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() > self.until


Attack = Callable[[Options], Iterator[Try]]


@dataclass(frozen=True)
class Repro:
    """`repro` with a cache, temporary files and results of its own."""

    place: Path

    @property
    def cache(self) -> Path:
        """Its cache."""
        return self.place / "cache"

    @property
    def results(self) -> Path:
        """Its runs."""
        return self.place / "results"

    @property
    def tmp(self) -> Path:
        """Its temporary files."""
        return self.place / "tmp"

    def environment(self, **other: str) -> dict[str, str]:
        """Return what it is started with."""
        self.tmp.mkdir(exist_ok=True, parents=True)
        ours = {"REPRO_CACHE": str(self.cache), "TMPDIR": str(self.tmp), MARKER: str(self.place), "REPRO_REPORT": "no"}
        return {**os.environ, **ours, "COLUMNS": "200", **other}

    def start(
        self, *words: str, output: Path, env: Mapping[str, str] | None = None, wrapped: tuple[str, ...] = ()
    ) -> subprocess.Popen[bytes]:
        """Start it, in a session of its own; what it prints goes to a file."""
        with output.open("ab") as file:
            return subprocess.Popen(
                [*wrapped, sys.executable, "-m", "harness", *words],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=self.environment(**(env or {})),
                start_new_session=True,
            )

    def __call__(self, *words: str, seconds: float = 300, env: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Run it to its end; return its exit code and what it printed."""
        output = self.place / f"{time.monotonic_ns()}.log"
        process = self.start(*words, output=output, env=env)
        code, said = ended(process, seconds), output.read_text(errors="replace")
        return (-signal.SIGKILL, f"did not end in {seconds:g} s\n{said}") if code is None else (code, said)

    def begun(self, process: "subprocess.Popen[bytes]", before: int = 0, seconds: float = 120) -> bool:
        """Wait until a process, or a search of it, has a run beside those before it; return whether it came to that."""
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up and process.poll() is None:
            if len([*self.results.rglob("run.db")]) > before:
                return True
            time.sleep(0.05)
        return False

    def runs(self) -> list[RunFolder]:
        """Return its runs, the oldest first."""
        return [RunFolder(file.parent) for file in sorted(self.results.glob("*/*/run.json"))]

    def left(self, *, ours: int = 0) -> list[str]:
        """Return what it has on this host beside its records; `ours` is a process that may be there."""
        found = [f"process {each.pid} {name}" for each, name in _marked(str(self.place)) if each.pid != ours]
        place = str(self.place)
        names = [run.name for run in self.runs()]
        mounts = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
        found += [
            f"mount {line.split()[4]}"
            for line in mounts
            if any(each in line for each in (str(self.cache), str(self.tmp), *names))
        ]
        for loop in Path("/sys/block").glob("loop*/loop/backing_file"):
            with suppress(OSError):
                if place in (file := loop.read_text()):
                    found.append(f"loop device of {file.strip()}")
        for top, folders, _ in os.walk("/sys/fs/cgroup"):  # where others' come and go meanwhile
            found += [f"cgroup {top}/{each}" for each in folders if any(name in each for name in names)]
        for name in names:
            found += [f"folder {each}" for each in Path("/run").glob(f"*{name}*")]
        for part in ("daemons", "staging", "registries", "ledgers"):
            found += [f"{part} {each.name}" for each in (self.cache / part).glob("*")]
        found += [f"fetched {each}" for each in self.cache.glob("*/.scratch-*")]
        return found + [f"temporary {each.name}" for each in self.tmp.glob("*")]


def ended(process: "subprocess.Popen[bytes]", seconds: float = 240) -> int | None:
    """Return the exit code of a process that ends in time; None of one that has to be killed."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


def _marked(place: str) -> Iterator[tuple[psutil.Process, str]]:
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                continue
            if f"{MARKER}={place}".encode() in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"):
                yield process, process.name()


def traceback_in(output: str) -> str:
    """Return the last line of a traceback in what was printed; nothing where there is none."""
    lines = [line for line in output.splitlines() if line.strip()]
    return lines[-2] if any("Traceback (most recent" in line for line in lines) else ""


def events(output: Path) -> dict[int, str]:
    """Return the outcome of each iteration that ``--json`` told of, by its number."""
    found: dict[int, str] = {}
    for line in output.read_text(errors="replace").splitlines():
        with suppress(ValueError):
            event: Any = json.loads(line)
            if isinstance(event, dict) and event.get("event") == "iteration":
                found[event["number"]] = event["outcome"]
    return found


def summary_of(run: RunFolder) -> Summary | None:
    """Return what a run came to, read by this process; None where it has not ended."""
    file = run.path / "summary.json"
    return read_json(file, Summary) if file.exists() else None
