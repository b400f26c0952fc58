"""Builds of commits: one after the other in a fresh tree, kept by commit and command, failures with their log.

``builds/<commit>-<hash of the command>/`` below the cache holds ``out/`` (what the command put into ``$REPRO_OUT``),
``build.log`` and ``build.json``. It is filled beside its place and renamed. The tree is a checkout of our own, which
borrows the objects of the user's clone; it is always at the same place, so that a compiler's cache that knows files
by their path serves the next commit too. A ledger has what a killed harness leaves.
"""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Literal

import anyio
import anyio.to_thread
from pydantic import BaseModel, ConfigDict, ValidationError

from harness.core.errors import CommandError, InfraError
from harness.core.units import format_duration, format_size
from harness.experiments.bisect.candidates.base import CannotBeHad
from harness.experiments.bisect.candidates.clone import OUTSIDE_GIT, Clone, git
from harness.host.cache import cache_folder
from harness.host.ledger import Ledger, LedgerTaken, LeftAlone, ledgers
from harness.host.proc import Command, spawn
from harness.toolchain import NEEDS
from harness.toolchain.programs import programs_in

_RECORD: Final = "build.json"
_LOG: Final = "build.log"
_GRACE_SECONDS: Final = 5.0
_TREES: Final = 64
"""More builds at a time than any host does."""
_TOLD_LINES: Final = 3
_TOLD_BYTES: Final = 4096
_RESERVE: Final = 2**30
"""What is never taken of the disk."""
_FULL: Final = _RESERVE // 16
"""A build that fails with less than this left is taken to have failed for it."""
_HELD: Final = 8
"""Results that are never given up for others: the ends, and those that are being looked at."""


class NoRoom(InfraError):
    """A disk without room for another build."""

    def __init__(self, folder: Path, free: int, needed: int) -> None:
        super().__init__(
            f"no room to build at {folder}: {format_size(free)} are free, a build takes about {format_size(needed)},"
            f" and {format_size(_RESERVE)} are left to others; free some, or set REPRO_CACHE to a larger disk"
        )


class NoCheckout(InfraError):
    """A commit that git could not lay out."""

    def __init__(self, sha: str, why: str) -> None:
        super().__init__(f"git could not check {sha} out: {why.strip().partition(chr(10))[0]}")


class Record(BaseModel):
    """How a build went."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal[1] = 1
    commit: str
    command: str
    seconds: float
    made: float
    """When it ended, in seconds since the epoch."""
    bytes: int
    failed: str | None
    """Why there is no daemon; None where there is one."""


@dataclass
class Builds:
    """The builds of one clone's commits by one command, had as they are asked for."""

    clone: Clone
    command: str
    deadline: float
    """Seconds that one may take."""
    since: float
    """Failures from before are tried again; in seconds since the epoch."""
    _locks: dict[str, anyio.Lock] = field(default_factory=dict)
    _took: list[Record] = field(default_factory=list)

    async def built(self, sha: str, name: str) -> Path:
        """Return the folder of a commit's daemon; build it where that was not done yet.

        Raises:
            CannotBeHad: it does not build; the message has the end of its log.
            InfraError: this host has no room for it, or git failed.
        """
        folder = self._folder(sha)
        async with self._locks.setdefault(sha, anyio.Lock()):
            record = self._known(folder)
            if record is None:
                record = await self._build(sha, folder)
                self._took.append(record)
        if record.failed is not None:
            raise CannotBeHad(name, f"{record.failed} (log: {folder / _LOG})")
        os.utime(folder / _RECORD)
        return folder / "out"

    def seconds(self, sha: str) -> float | None:
        """Return about how long it takes to have a commit's build: 0 where that is known, None before the first."""
        if self._known(self._folder(sha)):
            return 0.0
        return sum(record.seconds for record in self._took) / len(self._took) if self._took else None

    def _folder(self, sha: str) -> Path:
        return cache_folder("builds") / f"{sha}-{self._hash}"

    @property
    def _hash(self) -> str:
        return hashlib.sha256(self.command.encode()).hexdigest()[:12]

    def _known(self, folder: Path) -> Record | None:
        """Return how an earlier build went; None where there is none that counts."""
        try:
            record = Record.model_validate_json((folder / _RECORD).read_bytes())
        except (OSError, ValidationError):
            return None
        counts = (folder / "out").is_dir() if record.failed is None else record.made >= self.since
        return record if counts else None

    async def _build(self, sha: str, folder: Path) -> Record:
        await self._make_room()
        async with _own_tree() as (ledger, base):
            whole = ledger.own_folder(folder.with_name(f".{folder.name}.{os.getpid()}"))
            (whole / "out").mkdir()
            started = time.monotonic()
            await self._check_out(sha, base / "tree")
            failed = await self._run(ledger, base / "tree", whole) or _lacks_daemon(whole / "out")
            free = shutil.disk_usage(base).free
            if failed and free < _FULL:  # which is not the commit's fault
                raise NoRoom(base, free, self._needed)
            record = Record(
                commit=sha,
                command=self.command,
                seconds=round(time.monotonic() - started, 1),
                made=time.time(),
                bytes=await anyio.to_thread.run_sync(_size, whole),
                failed=failed,
            )
            (whole / _RECORD).write_text(record.model_dump_json(indent=2) + "\n")
            if self._known(folder) is None:  # a failure that does not count any more, or a result that is damaged
                await anyio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))
            with suppress(OSError):  # another process has just completed the same
                whole.rename(folder)
        return record

    async def _check_out(self, sha: str, tree: Path) -> None:
        """Lay a commit out in a clone of our own, which has the user's tags, and borrows the user's objects."""
        quiet = ("-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false")
        lender = await self.clone.lender()
        borrowing = {"url": lender, "promisor": "true", "partialclonefilter": "blob:none"} if lender else {}
        try:
            await git([*quiet, "clone", "--quiet", "--shared", "--no-checkout", self.clone.common, tree])
            for key, value in borrowing.items():
                await git(["-C", tree, "config", f"remote.origin.{key}", value])
            # without --force git passes over an object that is not there, and reports success
            await git([*quiet, "-C", tree, "checkout", "--quiet", "--force", "--detach", sha])
        except CommandError as error:
            free = shutil.disk_usage(tree.parent).free
            raise (
                NoRoom(tree.parent, free, self._needed) if free < _RESERVE else NoCheckout(sha, error.output)
            ) from error

    async def _run(self, ledger: Ledger, tree: Path, whole: Path) -> str | None:
        """Run the build command to its end or its deadline; return why it failed."""
        log = whole / _LOG
        shell = Command((*OUTSIDE_GIT, "sh", "-c", self.command), {"REPRO_OUT": str(whole / "out")}, tree)
        with log.open("wb") as output:
            process = spawn(shell, output=output)
            try:
                ledger.own_process(process.pid)
                status = None
                with anyio.move_on_after(self.deadline):
                    status = await process.wait()
            finally:
                with anyio.CancelScope(shield=True):
                    await process.end(0 if process.returncode is not None else _GRACE_SECONDS)
        if status == 0:
            return None
        if status is None:
            return f"the build command did not end within {format_duration(self.deadline)}{_end_of(log)}"
        how = f"signal {-status}" if status < 0 else f"status {status}"
        return f"the build command failed with {how}{_end_of(log)}"

    @property
    def _needed(self) -> int:
        """About how much one build takes, by the largest so far; the tree and compilers take the reserve."""
        return max((record.bytes for record in self._took), default=0)

    async def _make_room(self) -> None:
        """Give up the least recently used results of the same command until there is room for another.

        Raises:
            NoRoom: there is none even then.
        """
        place = cache_folder("builds")
        spare = sorted(place.glob(f"*-{self._hash}/{_RECORD}"), key=lambda record: record.stat().st_mtime)[:-_HELD]
        while (free := shutil.disk_usage(place).free) < self._needed + _RESERVE:
            if not spare:
                raise NoRoom(place, free, self._needed)
            await anyio.to_thread.run_sync(partial(shutil.rmtree, spare.pop(0).parent, ignore_errors=True))


@asynccontextmanager
async def _own_tree() -> AsyncIterator[tuple[Ledger, Path]]:
    """Yield a ledger, and a folder for a tree that nobody else builds in; what a killed build left there goes first."""
    for number in range(1, _TREES + 1):
        name = f"build-{number}"
        with _lock(cache_folder("builds") / f".{name}.lock") as ours:
            if not ours:
                continue
            try:
                for stale in ledgers():
                    if stale.name == name and (problems := await stale.reclaim()):
                        raise InfraError("; ".join(problems))
                ledger = Ledger.open(name)
            except (LeftAlone, LedgerTaken):  # of another host that shares the cache
                continue
            base = cache_folder("builds") / f".{name}"
            shutil.rmtree(base, ignore_errors=True)  # left by a build whose ledger was lost
            try:
                yield ledger, ledger.own_folder(base)
            finally:
                with anyio.CancelScope(shield=True):
                    await ledger.reclaim()
            return
    raise InfraError(f"{_TREES} builds are going on below {cache_folder('builds')}")


@contextmanager
def _lock(file: Path) -> Iterator[bool]:
    """Take the lock of a file, and yield whether it is ours; it goes with the process that holds it, in any way."""
    with file.open("ab") as holder:
        try:
            fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _lacks_daemon(out: Path) -> str | None:
    if any(kind in programs_in(out, out / "bin") for kind in NEEDS):
        return None
    return f"the build command ended well, and put no {' and no '.join(NEEDS)} into $REPRO_OUT"


def _size(folder: Path) -> int:
    return sum(file.lstat().st_blocks * 512 for file in folder.rglob("*"))


def _end_of(log: Path) -> str:
    """Return how a build's output ends, in one line."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TOLD_BYTES))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    tail = " | ".join([line for line in lines if line][-_TOLD_LINES:])
    return f": {tail}" if tail else ", and without a word"
