"""A look at a daemon that no build of ours is in: what it holds then, and held before, it has not given back."""

import math
import os
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
import psutil

from harness.buildkit.cache_db import read_graph
from harness.buildkit.goroutines.model import Goroutine
from harness.buildkit.goroutines.parse import goroutines
from harness.core.errors import CaptureError, CommandError, CommandTimeout
from harness.core.records import Arrivals, Audit, GoroutineGroup
from harness.daemons.base import Daemon, ListsRecords, Profiled, PruneRequest, ServesPages, TellsBuilds
from harness.daemons.control import Controlled
from harness.evidence.database import find_database
from harness.host.proc import run
from harness.run.graph_state import fault_lines
from harness.scenario.model import AuditSpec

_QUIET_SECONDS: Final = 2.0
"""How long a daemon is given to come to rest; what it keeps for longer is told apart by `_LASTING_SECONDS`."""
_LASTING_SECONDS: Final = 12.0
"""What is older is kept for good: BuildKit itself forgets a job after ten seconds (`solver.(*Job).Discard`)."""
_APART_SECONDS: Final = 0.2
_ALIKE: Final = 4
"""Readings in a row of the same number of goroutines, give or take one, that are rest."""
_DUMP_SECONDS: Final = 10.0
_LIST_SECONDS: Final = 3.0
_GRAPH_SECONDS: Final = 3.0
_COUNT_SECONDS: Final = 60.0
"""How far apart the records of the cache are counted at least: some thousands take half a second."""
_HEAP_SECONDS: Final = 10.0
_PRUNE_SECONDS: Final = 60.0
_DISK_SECONDS: Final = 10.0
_IDLE_SECONDS: Final = 0.5
_HEAP: Final = re.compile(rb"^# HeapAlloc = (\d+)", re.MULTILINE)
_GROUPS: Final = 20
"""How many of the largest are kept: what leaks is soon among them."""


class Auditor:
    """Looks at a daemon again and again.

    A daemon keeps what a build left for some ten seconds. Rather than wait for so long each time, goroutines are told
    apart by their ids: those are lasting that an earlier audit, long enough ago, has seen.

    Args:
        next_series: gives a number to each process that is looked at.
        spec: what is looked at beside goroutines; None for nothing.
    """

    def __init__(self, next_series: Callable[[], int], spec: AuditSpec | None = None) -> None:
        self._next_series, self._series, self._spec = next_series, 0, spec
        self._pids: Sequence[int] | None = None
        self._seen: deque[tuple[float, frozenset[int]]] = deque()
        """The goroutine ids seen at each time in this series; of the distant past only the latest."""
        self._last: frozenset[int] = frozenset()
        """The ids of those that lasted at the audit before."""
        self._counted = -math.inf
        """When the records of the cache were last counted."""

    async def audit(
        self,
        daemon: Daemon,
        pids: Sequence[int],
        processes: Sequence[psutil.Process],
        *,
        iteration: int,
        began: float,
        since: float,
    ) -> Audit:
        """Wait until a daemon is quiet, and return what it holds, as far as it says.

        The load waits for this, so everything that is asked has a deadline.

        Args:
            daemon: with no build of ours in it.
            pids: the processes that it is; with others, a new series begins.
            processes: these, and what they started.
            iteration: the last one that has begun.
            began: monotonic time of the run's start.
            since: monotonic time from which on no build could begin.
        """
        if pids != self._pids:
            self._series, self._pids = self._next_series(), pids
            self._seen.clear()
            self._last = frozenset()
        spec = self._spec
        disk, kept = await _pruned(daemon) if spec and spec.disk else (None, None)
        quiet = isinstance(daemon, Profiled) and await _come_to_rest(daemon)
        idle = await _idle_cores(processes) if spec and spec.cpu and processes else None
        at, found = anyio.current_time(), await _dumped(daemon)
        lasting = None if found is None else self._lasting(found, at)
        heap = await _heap(daemon) if spec and spec.memory else None
        files, rss = _held_by(processes)
        running = await _running(daemon)  # the last, for to list them is a client's work
        return Audit(
            iteration=iteration,
            series=self._series,
            at=at - began,
            held=anyio.current_time() - since,
            quiet=quiet,
            goroutines=None if found is None else len(found),
            lasting=None if lasting is None else len(lasting),
            groups=grouped(lasting or ()),
            **self._changed(lasting),
            open_files=files if processes else None,
            rss=rss if processes else None,
            running=running,
            cache=await self._cache_records(daemon),
            heap=heap,
            disk=disk,
            kept_records=kept,
            idle_cores=idle,
            **await _graph(daemon),
        )

    async def _cache_records(self, daemon: Daemon) -> int | None:
        """Return how many records the cache has; None where it does not say, or was asked a moment ago."""
        if not isinstance(daemon, ListsRecords) or anyio.current_time() - self._counted < _COUNT_SECONDS:
            return None
        self._counted = anyio.current_time()
        with anyio.move_on_after(_LIST_SECONDS), suppress(CaptureError):
            return sum(line.startswith("ID:") for line in (await daemon.cache_records()).splitlines())
        return None

    def _lasting(self, found: Sequence[Goroutine], at: float) -> list[Goroutine] | None:
        """Return the goroutines that were there already long ago; None where no audit is that old."""
        self._seen.append((at, frozenset(each.id for each in found)))
        while len(self._seen) > 1 and self._seen[1][0] <= at - _LASTING_SECONDS:
            self._seen.popleft()
        then, ids = self._seen[0]
        return [each for each in found if each.id in ids] if then <= at - _LASTING_SECONDS else None

    def _changed(self, lasting: Sequence[Goroutine] | None) -> dict[str, Any]:
        """Return which goroutines have come to last since the audit before, by what made them, and which are gone."""
        if lasting is None:
            return {}
        came: dict[str, list[int]] = {}
        for each in lasting:
            if each.id not in self._last:
                came.setdefault(each.creator.function if each.creator else "", []).append(each.id)
        now = frozenset(each.id for each in lasting)
        gone, self._last = self._last - now, now
        return {
            "came": tuple(Arrivals(creator, tuple(sorted(ids))) for creator, ids in sorted(came.items())),
            "gone": tuple(sorted(gone)),
        }


async def _graph(daemon: Daemon) -> dict[str, Any]:
    """Return how large its cache graph is, and what of it contradicts itself; nothing where that cannot be read."""
    with anyio.move_on_after(_GRAPH_SECONDS):
        return await anyio.to_thread.run_sync(_graph_read, daemon, abandon_on_cancel=True)
    return {}


def _graph_read(daemon: Daemon) -> dict[str, Any]:
    with suppress(CaptureError, OSError):
        graph = read_graph(find_database(daemon.facts, "cache.db"))
        return {"graph_keys": len(graph.keys), "graph_faults": fault_lines(graph)}
    return {}


async def _heap(daemon: Daemon) -> int | None:
    """Return the bytes of its heap that are in use after a garbage collection; None where it does not say.

    Two are asked for: what has a finalizer, or lies in a `sync.Pool`, outlives one.
    """
    page = b""
    if isinstance(daemon, ServesPages):
        with suppress(CaptureError):
            for _ in range(2):
                page = await daemon.page("/debug/pprof/heap", _HEAP_SECONDS, gc=1, debug=1) or b""
    found = _HEAP.search(page)
    return int(found[1]) if found else None


async def _pruned(daemon: Daemon) -> tuple[int | None, int | None]:
    """Prune everything; return the bytes below its root then, and the cache's records; None where nobody says.

    A prune leaves the records of builds, which BuildKit keeps for two days by design: they are deleted first.
    """
    if isinstance(daemon, Controlled):
        with suppress(CaptureError):
            await daemon.control.forget_builds()
    command = daemon.prune(PruneRequest("everything", all=True))
    if command is None:
        return None, None
    try:
        await run(command.argv, deadline=_PRUNE_SECONDS, env=command.env)
    except (CommandError, CommandTimeout):
        return None, None
    kept = None
    if isinstance(daemon, ListsRecords):
        with suppress(CaptureError):
            kept = sum(line.startswith("ID:") for line in (await daemon.cache_records()).splitlines())
    size = None
    if daemon.facts.root is not None:
        with anyio.move_on_after(_DISK_SECONDS):
            size = await anyio.to_thread.run_sync(_bytes_below, daemon.facts.root, abandon_on_cancel=True)
    return size, kept


def _bytes_below(root: Path) -> int:
    """Return how many bytes files below a folder take on its disk, each once; mounts in it are not entered."""
    device, seen, total, folders = root.stat().st_dev, set(), 0, [root]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:  # what goes meanwhile takes nothing
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if status.st_dev != device or status.st_ino in seen:
                    continue
                seen.add(status.st_ino)
                total += status.st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
    return total


async def _idle_cores(processes: Sequence[psutil.Process]) -> float:
    """Return the cores that processes use while nobody asks them anything."""
    began, before = anyio.current_time(), _cpu_seconds(processes)
    await anyio.sleep(_IDLE_SECONDS)
    return max(0.0, _cpu_seconds(processes) - before) / (anyio.current_time() - began)


def _cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def grouped(of: Iterable[Goroutine]) -> tuple[GoroutineGroup, ...]:
    """Return the largest groups of goroutines by what made them, their state, and the innermost call of a user's."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for each in of:
        innermost = next((frame for frame in each.frames if frame.is_users), each.frames[0] if each.frames else None)
        maker = each.creator.function if each.creator else ""
        counts[maker, each.state, innermost.function if innermost else ""] += 1
    return tuple(GoroutineGroup(*alike, count) for alike, count in counts.most_common(_GROUPS))


async def _come_to_rest(daemon: Profiled) -> bool:
    """Wait until the number of goroutines stays the same; return whether it did in time."""
    last: deque[int | None] = deque(maxlen=_ALIKE)
    with anyio.move_on_after(_QUIET_SECONDS):
        while True:
            last.append(await daemon.goroutine_count())
            known = [count for count in last if count is not None]
            if len(known) == _ALIKE and max(known) - min(known) <= 1:
                return True
            await anyio.sleep(_APART_SECONDS)
    return False


async def _dumped(daemon: Daemon) -> list[Goroutine] | None:
    """Return its goroutines; None where it does not say."""
    if isinstance(daemon, Profiled):
        with suppress(CaptureError):
            return await anyio.to_thread.run_sync(_parsed, await daemon.goroutine_dump(_DUMP_SECONDS))
    return None


def _parsed(dump: str) -> list[Goroutine]:
    return [*goroutines(dump.encode().splitlines())]


def _held_by(processes: Sequence[psutil.Process]) -> tuple[int, int]:
    """Return how many files the processes have open, and how many bytes they have resident."""
    files = rss = 0
    for process in processes:
        with suppress(psutil.Error):
            files += process.num_fds()
            rss += process.memory_info().rss
    return files, rss


async def _running(daemon: Daemon) -> int | None:
    """Return how many builds it holds to be running; None where it does not say."""
    if isinstance(daemon, TellsBuilds):
        with anyio.move_on_after(_LIST_SECONDS), suppress(CaptureError):
            return len(await daemon.builds())
    return None
