"""What the actors that press share: ``stressor.py`` as a child, and what of the daemon's it presses on."""

import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final

import anyio
import psutil

from harness.actors.base import ActorEnv, CouldNot, Effect
from harness.host import stressor as burden
from harness.host.cgroup import Cgroup
from harness.host.proc import Command, child

_READY_SECONDS: Final = 60.0
_SECTOR: Final = 512
"""Bytes of a block, as stat(2) counts them."""


@asynccontextmanager
async def pressing(deed: str, *words: object, cgroup: Cgroup | None = None) -> AsyncIterator[Effect]:
    """Have ``stressor.py`` take something, from when it has all of it until leaving; it dies with the harness.

    The effect is what the kernel says that it took: bytes held, written or filled, or milliseconds of CPU.

    Args:
        deed: what that comes to, for the record; what became of it is added.
        words: its mode, and the mode's own words.
        cgroup: whose share it takes; without it, it takes the host's.

    Raises:
        CouldNot: it could not take all of it.
        CgroupError: the cgroup does not take it in.
    """
    join = ":".join(str(file) for file in cgroup.leaf("pressure")) if cgroup else ""
    printed = b""
    async with child(Command((sys.executable, "-I", burden.__file__, join, *map(str, words)))) as presser:
        with anyio.move_on_after(_READY_SECONDS) as patience:
            async for chunk in presser.output():
                printed += chunk
                if printed.endswith(f"{burden.READY}\n".encode()):
                    patience.cancel()
            await presser.wait()
        if not printed.endswith(f"{burden.READY}\n".encode()):
            raise CouldNot(_became(presser.returncode, printed))
        taken = _TAKEN[str(words[0])]
        done = Effect(deed, effect=taken(presser.pid))
        try:
            yield done
        finally:
            if presser.returncode is not None:
                done.detail += f", but not all the time: {_became(presser.returncode, b'')}"
            else:
                done.effect = max(done.effect or 0, taken(presser.pid))


def _resident(pid: int) -> int:
    """Return the bytes of memory that a process holds."""
    return sum(_asked(lambda one: int(one.memory_info().rss), pid))


def _burned(pid: int) -> int:
    """Return the milliseconds of CPU that a process and those below it have had."""
    return sum(_asked(lambda one: round(1000 * sum(one.cpu_times()[:2])), pid))


def _written(pid: int) -> int:
    """Return the bytes that a process and those below it have written to disks."""
    return sum(_asked(lambda one: int(one.io_counters().write_bytes), pid))


def _filled(pid: int) -> int:
    """Return the bytes of disk that the files have which a process holds open."""
    return sum(_asked(lambda one: sum(Path(file.path).stat().st_blocks * _SECTOR for file in one.open_files()), pid))


_TAKEN: Final[Mapping[str, Callable[[int], int]]] = {
    "memory": _resident,
    "cpu": _burned,
    "io": _written,
    "disk": _filled,
}


def _asked(what: Callable[[psutil.Process], int], pid: int) -> Iterator[int]:
    """Yield it of a process and of those below it, as many as are there."""
    with suppress(psutil.Error, OSError):
        us = psutil.Process(pid)
        for process in (us, *us.children(recursive=True)):
            with suppress(psutil.Error, OSError):
                yield what(process)


def _became(status: int | None, printed: bytes) -> str:
    """Say what became of a burden that does not press."""
    last = (printed.decode(errors="replace").strip().splitlines() or [""])[-1]
    if status is None:
        return f"it did not get that far in {_READY_SECONDS:g} s: {last}"
    if status == -signal.SIGKILL:
        return f"it was killed, as happens first when memory runs out{last and f', at {last}'}"
    return f"it ended with status {status}{last and f': {last}'}"


def own_cgroup(stage: ActorEnv) -> Cgroup:
    """Return the daemon's cgroup.

    Raises:
        CouldNot: it has none of ours.
    """
    if stage.daemon.facts.cgroup is None:
        raise CouldNot("the daemon is not ours, or this host gave it no cgroup")
    return Cgroup(stage.daemon.facts.cgroup)


@contextmanager
def room(stage: ActorEnv, actor: str) -> Iterator[Path]:
    """Make a folder on the daemon's disk, and remove it on leaving; a crash leaves it to the daemon's own ledger.

    Raises:
        CouldNot: that disk is not ours, or has no room even for a folder.
    """
    disk = stage.daemon.facts.disk
    if disk is None:
        raise CouldNot("the daemon is not ours, so its disk is not known")
    try:
        folder = tempfile.TemporaryDirectory(prefix=f"{actor}-", dir=disk)
    except OSError as error:
        raise CouldNot(f"{disk}: {error.strerror}") from error
    with folder as path:
        yield Path(path)
