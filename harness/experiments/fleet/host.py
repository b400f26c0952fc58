"""What is done on a host of the fleet, in the event loop of its Dask worker: programs are kept, and runs made.

A run is `repro run` in a process of its own, which ends when the worker does, however that ends. It is made in a folder
of its own below the cache, which is gone once it is sent.

Nothing here is said by exceptions: Dask would give what raises to another host by its own rules.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final

from distributed import Worker, get_worker

from harness import __version__
from harness.core.errors import HarnessError
from harness.core.outcome import ExitCode
from harness.daemons.visit import leave
from harness.experiments.fleet.job import SCENARIO, Delivery, Job, pack, unpack
from harness.host.cache import cache_folder
from harness.host.ledger import LeftAlone, ledgers
from harness.host.proc import boot_id
from harness.store.folders import Folder
from harness.toolchain.base import sha256_of

TELL_SECONDS: Final = 1.0
"""From one word of a run to the next."""
_CHILD_SECONDS: Final = 900.0
"""A run that prints nothing for so long, not even what it measures every few seconds, is stuck."""
_END_SECONDS: Final = 60.0
"""So long a run may take to end its daemons once it is told to."""
_LINES: Final = 500
"""The most that is told at once; of more, the oldest are left out, and the run's folder has them all."""
_LINE_BYTES: Final = 2**24
_TOLD: Final = 2000
_RESULTS: Final = "results"
_UNFIT: Final = re.compile(r"[^A-Za-z0-9.-]+")
_NAME: Final = 40
_HOST: Final = "REPRO_HOST"
"""Names the host that a worker counts as, instead of its machine."""
_NAMELESS: Final = re.compile(r"localhost($|\.)|\(none\)$|$")
"""What machines are called that nobody has named."""


@dataclass(frozen=True)
class Greeting:
    """What a worker says of itself."""

    name: str
    version: str
    """Of the harness there."""
    place: str
    """The machine and its cache: workers that share them share their programs."""
    host: str
    """The machine: what workers on it see is held apart from what others see."""
    boot: str
    """The machine's boot; empty where its workers were told what host they are, which may be several machines."""


async def greet(dask_worker: Worker) -> Greeting:
    """Return a worker's name, the version of the harness, where it keeps things, and what host it is."""
    cache = cache_folder("fleet").stat()
    place = f"{socket.gethostname()} {cache.st_dev} {cache.st_ino}"
    boot = "" if os.environ.get(_HOST) else boot_id()
    return Greeting(_name_of(dask_worker), __version__, place, host_of(dask_worker.name), boot)


def host_of(name: object) -> str:
    """Return the host that a worker of that name counts as: what it was told, or else its machine, fit for a folder.

    All workers of a machine are one host, however they are called: their looks have its cores, kernel and load. A name
    is the host's only where the machine has none.
    """
    machine = socket.gethostname()
    if _NAMELESS.match(machine) and isinstance(name, str) and "://" not in name:
        machine = name
    return _fit(os.environ.get(_HOST) or machine)


def _name_of(worker: Worker) -> str:
    """Return the name that a worker was started with, or else the machine's, fit for a folder."""
    given = str(worker.name)
    if isinstance(worker.name, int):
        given = f"{socket.gethostname()}-{given}"  # one of several of a local cluster
    return _fit(socket.gethostname() if "://" in given else given)


def _fit(name: str) -> str:
    return _UNFIT.sub("-", name).strip("-.")[:_NAME] or "host"


async def lacking(wanted: Sequence[str]) -> list[str]:
    """Return which programs are not here, by their SHA-256; one that was changed is not."""
    return [each for each in wanted if not _program(each).is_file() or await sha256_of(_program(each)) != each]


async def keep_part(sha256: str, sender: str, at: int, part: bytes) -> None:
    """Keep a part of a program; another client may send the same one now."""
    with _draft(sha256, sender).open("r+b" if at else "wb") as file:
        file.seek(at)
        file.write(part)


async def keep_whole(sha256: str, sender: str) -> bool:
    """Take a program for whole, if it is what it is said to be; return whether it is."""
    draft = _draft(sha256, sender)
    if await sha256_of(draft) != sha256:
        draft.unlink()
        return False
    draft.chmod(0o755)
    draft.replace(_program(sha256))
    return True


def _program(sha256: str) -> Path:
    return cache_folder("fleet/programs") / sha256


def _draft(sha256: str, sender: str) -> Path:
    return cache_folder("fleet/programs") / f".{sha256}.{os.getpid()}.{sender}"


async def make(job: Job, key: str, topic: str) -> Delivery:
    """Make a run; what goes on in it is told under a topic.

    Args:
        job: what is to be run.
        key: the task's: while the scheduler wants it, the run goes on.
        topic: of what is told: ``{"key", "host", "lines", "ended"}``, at least every second.
    """
    worker = get_worker()
    telling = _Telling(worker, key, topic, _name_of(worker))
    telling.tell()
    try:
        await _reclaim()
        with tempfile.TemporaryDirectory(prefix="job-", dir=cache_folder("fleet/jobs")) as place, _locked(Path(place)):
            return await _made(job, Path(place), telling)
    except HarnessError as error:
        return Delivery(refusal="host", because=str(error))
    except OSError as error:
        return Delivery(refusal="host", because=f"{error.strerror or error} ({error.filename or 'the cache'})")
    finally:
        telling.tell(ended=True)


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    with Folder(place).locked():
        yield


async def _reclaim() -> None:
    """Give back what runs of a killed worker have left on this host; what others have here is theirs."""
    for place in [*cache_folder("fleet/jobs").glob("job-*")]:
        with suppress(OSError):
            if Folder(place).is_locked or not (place / _RESULTS).exists():
                continue
            names = tuple(run.name for run in place.glob(f"{_RESULTS}/*/*"))
            for ledger in [each for each in ledgers() if names and each.name.startswith(names)]:
                with suppress(LeftAlone):
                    await ledger.reclaim(leave)
            await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)


async def _made(job: Job, place: Path, telling: "_Telling") -> Delivery:
    results = place / _RESULTS
    results.mkdir()
    unpack(job.files, place / "case")
    spec = job.toolchain.spec or f"path:{_toolchain(place / 'toolchain', job.toolchain.programs)}"
    argv = [sys.executable, "-m", "harness", "run", str(place / "case" / SCENARIO), "--json", "--trust"]
    argv += ["--daemon", spec] if spec != "path:" else []
    argv += ["--seed", str(job.seed), "--shards", str(job.shards), "--results", str(results)]
    with (place / "said").open("wb") as said:
        child = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "TERM", "--", *argv),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=said,
            start_new_session=True,
            limit=_LINE_BYTES,
            env={**os.environ, "REPRO_REPORT": "no"},
        )
        try:
            stuck = await telling.until_ended(child)
        finally:
            await _end(child)
    words = reason_in((place / "said").read_text(errors="replace"))
    folders = [file.parent for file in results.glob("*/*/summary.json")]
    if stuck:
        return Delivery(refusal="host", because=stuck)
    if child.returncode == ExitCode.USAGE:
        return Delivery(refusal="usage", because=words.removeprefix("repro: "))
    if len(folders) != 1:
        return Delivery(refusal="host", because=words or f"`repro run` ended with {child.returncode}, and no result")
    return Delivery(await asyncio.to_thread(pack, folders[0]))


def reason_in(said: str) -> str:
    """Return why a run ended by what it printed: all of it, or the last line where that is a traceback."""
    said = said.strip()
    return (said.splitlines()[-1] if "Traceback (most recent call last):" in said else said)[-_TOLD:]


def _toolchain(folder: Path, programs: Mapping[str, str]) -> str:
    """Lay programs that are kept here out under their names; nothing where there are none."""
    if not programs:
        return ""
    folder.mkdir()
    for name, sha256 in programs.items():
        os.link(_program(sha256), folder / name)
    return str(folder)


async def _end(child: asyncio.subprocess.Process) -> None:
    """End a run: it ends its daemons; then whatever of it still runs."""
    if child.returncode is None:
        with suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(child.wait(), _END_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    await child.wait()


class _Telling:
    """Tells what a run prints, and that it goes on."""

    def __init__(self, worker: Worker, key: str, topic: str, host: str) -> None:
        self._worker, self._key, self._topic, self._host = worker, key, topic, host
        self._lines: list[Any] = []
        self._heard = monotonic()

    def tell(self, *, ended: bool = False) -> None:
        """Tell what there is."""
        lines, self._lines = self._lines[-_LINES:], []
        message = {"key": self._key, "host": self._host, "lines": lines, "ended": ended}
        with suppress(Exception):  # a scheduler that is gone: the worker goes as well
            self._worker.log_event(self._topic, message)

    async def until_ended(self, child: asyncio.subprocess.Process) -> str:
        """Wait for the end of a run, or until nobody wants it any more; return why it is stuck, if it is."""
        reading = asyncio.create_task(self._read(child))
        try:
            while not reading.done():
                await asyncio.wait({reading}, timeout=TELL_SECONDS)
                self.tell()
                if not self._wanted:
                    return "nobody waits for it any more"
                if monotonic() - self._heard > _CHILD_SECONDS:
                    return f"`repro run` has said nothing for {_CHILD_SECONDS:.0f} s"
            await child.wait()
        finally:
            reading.cancel()
        return ""

    async def _read(self, child: asyncio.subprocess.Process) -> None:
        with suppress(ValueError):  # a line longer than any of ours
            while child.stdout and (line := await child.stdout.readline()):
                self._heard = monotonic()
                with suppress(json.JSONDecodeError):
                    self._lines.append(json.loads(line))

    @property
    def _wanted(self) -> bool:
        """Whether the scheduler still wants it: not once its client has gone, or has cancelled it."""
        task = self._worker.state.tasks.get(self._key)
        return task is not None and task.state not in {"cancelled", "released", "forgotten"}
