"""The captures that are made at a finding, gentlest first; and the making of them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Final

import anyio

from harness.client.watched_build import Watch
from harness.core.errors import InfraError
from harness.evidence.base import Capture, Subject
from harness.evidence.beside import Beside
from harness.evidence.client import ClientDump
from harness.evidence.database import DatabaseCopy
from harness.evidence.goroutines import GoroutineDumps
from harness.evidence.host import HostFigures
from harness.evidence.info import EngineInfo
from harness.evidence.log import LogTail
from harness.evidence.lookup import LookedFor
from harness.evidence.page import Page
from harness.evidence.process import Processes
from harness.evidence.records import BuildList, CacheList
from harness.evidence.steps import Steps

Stages = Sequence[Sequence[Capture]]
"""What is in one stage is captured at once; a stage begins when the one before it is done."""

_PANIC_LINES: Final = 200_000
"""A panic prints every goroutine, some twenty lines each."""
_BUILDKIT: Final = "only BuildKit's own debug address has it"

OF_DAEMON: Final[Stages] = (
    (  # nobody is asked: the kernel and the disk know
        Processes(),
        HostFigures(),
        LogTail(),
        DatabaseCopy("cache.db"),
        DatabaseCopy("history.db"),
        DatabaseCopy("metadata_v2.db"),
    ),
    (  # what decides, soon after the finding: the daemon is asked, and does next to nothing for it
        GoroutineDumps(apart=1.5, further=(), deadline=14.0),
        BuildList(),
        EngineInfo(),
        Page("metrics", "metrics.txt", "/metrics", f"{_BUILDKIT}; dockerd's are at its `metrics-addr`, if it has one"),
        Page("flight trace", "flight.trace", "/debug/flight/trace", _BUILDKIT),  # where its owner had one started
    ),
    (LookedFor(),),  # what the dumps point to, in its memory
    (  # it is put to work, and what it is put to may hang too
        Page("cpu profile", "cpu.pprof", "/debug/pprof/profile", "its pprof is off", (("seconds", 3),), 10.0),
        Page("cache graph", "cache-graph.txt", "/debug/cache/store", f"{_BUILDKIT}, from v0.24 on"),
        CacheList(),
        GoroutineDumps(count=0, further=(4.0, 7.0, 11.0), deadline=24.0, each=4.0, name="goroutines, later"),
    ),
)
"""Those that need no build, and change nothing.

There is no execution trace (``/debug/pprof/trace``) among them: as a trace ends, a daemon built with Go 1.24 or before
may die of ``fatal error: runtime: mcall called on m->g0 stack`` (golang/go#70454).
"""


DUMPS_ALONE: Final[Stages] = ((GoroutineDumps(apart=1.0),),)
"""What it takes to name a hang, where many are counted."""


def of_build(hung: Watch, beside: Sequence[Watch], steps: Steps) -> Stages:
    """Return all captures for a build that hangs: first what we know already, last what ends its client."""
    return (*of_orphan(beside, steps), (ClientDump(hung),))


def of_orphan(beside: Sequence[Watch], steps: Steps) -> Stages:
    """Return all captures for a build whose client is gone."""
    return ((Beside(beside), steps), *OF_DAEMON)


def of_failure(beside: Sequence[Watch], steps: Steps) -> Stages:
    """Return the captures for a build that failed: the daemon's records and files; no stacks, as nothing waits."""
    return ((Beside(beside), steps), OF_DAEMON[0], (EngineInfo(), BuildList(), CacheList()))


def of_growth(beside: Sequence[Watch], steps: Steps) -> Stages:
    """Return the captures for a daemon that grows: all of them, the heap profile first."""
    heap = Page("heap profile", "heap.pprof", "/debug/pprof/heap", "its pprof is off", (("gc", 1),))
    return ((heap,), *of_orphan(beside, steps))


def of_graph() -> Stages:
    """Return the captures for an inconsistent cache graph: the databases were copied already, and nothing waits."""
    return (tuple(capture for capture in OF_DAEMON[0] if not isinstance(capture, DatabaseCopy)),)


def of_death(since: int) -> Stages:
    """Return the captures for a daemon that is gone: its log from byte `since` on, panic and all; its files."""
    kept = [capture for capture in OF_DAEMON[0] if not isinstance(capture, LogTail | Processes)]
    return ((LogTail(lines=_PANIC_LINES, since=since), *kept),)


def _nobody_hears(number: int, of: int) -> None:
    """Tell nobody that a stage begins."""


async def capture_all(
    daemon: Subject,
    folder: Path,
    stages: Stages = OF_DAEMON,
    stage_begins: Callable[[int, int], None] = _nobody_hears,
) -> dict[str, str]:
    """Make every capture, each within its deadline; return ``captured``, or the reason why not, by name, in order.

    Args:
        daemon: what is captured.
        folder: where it is written to.
        stages: the captures.
        stage_begins: is told the number of each stage, from 1, and of how many.
    """
    results = {capture.name: f"gave up after {capture.deadline:g} s" for captures in stages for capture in captures}

    async def make(capture: Capture) -> None:
        with anyio.move_on_after(capture.deadline):
            results[capture.name] = await _outcome(capture, daemon, folder)

    for number, captures in enumerate(stages, 1):
        stage_begins(number, len(stages))
        async with anyio.create_task_group() as tasks:
            for capture in captures:
                tasks.start_soon(make, capture)
    return results


async def _outcome(capture: Capture, daemon: Subject, folder: Path) -> str:
    """Make one capture; whatever becomes of it, the finding stands and the other captures are made."""
    try:
        await capture.capture(daemon, folder)
    except (InfraError, OSError) as error:
        return shorten(str(error), 300)
    except Exception as error:  # a fault of ours: told in the list too, for it must not cost the run
        return shorten(f"broke: {type(error).__name__}: {error}", 300)
    return "captured"
