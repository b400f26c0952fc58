"""What one daemon without a load of ours shows, look after look: builds that do not return, silence, a leak.

Asked is what changes nothing: the list of running builds, how many goroutines there are, and of builds that run for
long what has become of them.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from statistics import median
from typing import Final, Protocol

from harness.analysis.rates import growth, without_greatest_rise
from harness.buildkit.progress import Progress, items_in
from harness.core.errors import CaptureError, CommandMissing, InfraError, UsageError
from harness.core.units import format_duration
from harness.daemons.base import Informs, Profiled, TellsBuilds
from harness.daemons.buildx import NoHistory
from harness.host.attended_clock import AttendedClock

_ASKED_AT_ONCE: Final = 4
"""Builds of which one look asks how far they are, those first that were not asked for longest: each takes 3 seconds."""
_LEAST_LEAK: Final = 5
"""Goroutines by which a daemon must surely have grown over the looks that are judged: fewer are caches that fill."""
_BLOCK: Final = 5
"""Looks of which the median is taken: what comes and goes does not count."""


class CannotWatch(UsageError):
    """A host without what the daemon's builds can be seen through."""

    def __init__(self, why: Exception) -> None:
        super().__init__(f"builds cannot be watched here: {why}")


class CheckKind(StrEnum):
    """What was seen."""

    HANG = "hang"
    """A build that has nothing left to do, and does not return."""
    STALL = "stall"
    """A build that makes no progress."""
    SILENT = "silent"
    """A daemon that does not answer."""
    LEAK = "leak"
    """A daemon whose goroutines grow while no build is in it."""


@dataclass(frozen=True)
class HealthThresholds:
    """How long is too long, in attended seconds."""

    export_hang: float = 60.0
    """For a build that has nothing left to do, and for an answer."""
    stall: float = 600.0
    """For a build without progress."""
    every: float = 10.0
    """Between two looks."""
    quiet_looks: int = 60
    """How many looks at a daemon without builds a leak is judged by."""


@dataclass(frozen=True)
class Sighting:
    """Something seen for the first time."""

    kind: CheckKind
    because: str
    log: bytes = b""
    """The progress of the build, as rawjson."""


@dataclass
class _Running:
    """A build that the daemon holds to be running."""

    since: float
    """When it was first seen, or last seen to go on."""
    asked: float
    """When it was first seen, or last asked for."""
    said: frozenset[str] | None = None
    found: bool = False


@dataclass(frozen=True)
class _Quiet:
    """The daemon with no build in it."""

    look: int
    goroutines: int
    containers: int
    """They have goroutines of their own in dockerd: growth is only told while their number is the same."""


class Watched(TellsBuilds, Protocol):
    """A daemon that tells its builds; what else it tells shows in its type."""


@dataclass
class HealthChecks:
    """The looks at one process of a daemon."""

    daemon: Watched
    patience: HealthThresholds
    attention: AttendedClock
    _running: dict[str, _Running] = field(default_factory=dict)
    _unanswered: float | None = None
    _reported: set[CheckKind] = field(default_factory=set)
    """What is told once only; of silence, once until it has answered."""
    _quiet: deque[_Quiet] = field(default_factory=deque)
    _looks: int = 0
    _empty: bool = False
    """Whether no build ran at the last look either; BuildKit forgets one only ten seconds after its end."""

    async def look(self) -> list[Sighting]:
        """Look once, and return what has not been seen before. Every question to the daemon has a deadline.

        Raises:
            CannotWatch: no client here lists builds.
        """
        self._looks += 1
        now = self.attention.attended
        try:
            refs = [build.ref for build in await self.daemon.builds()]
        except (CommandMissing, NoHistory) as error:
            raise CannotWatch(error) from error
        except CaptureError as error:
            return self._unanswered_for(now, str(error))
        self._unanswered = None
        self._reported.discard(CheckKind.SILENT)
        self._running = {ref: self._running.get(ref) or _Running(now, now) for ref in refs}
        sightings = [found for ref in self._due(now) if (found := await self._weigh(ref))]
        empty = all(build.found for build in self._running.values())  # one that hangs stays for good
        if empty and self._empty:
            sightings += await self._weigh_quiet()
        self._empty = empty
        return sightings

    @property
    def building(self) -> int:
        """How many builds ran at the last look."""
        return len(self._running)

    def _due(self, now: float) -> Sequence[str]:
        """Return the builds to be asked for: those that may be over a threshold at this look or the next."""
        pause = self.patience.export_hang / 2
        due = [ref for ref, build in self._running.items() if not build.found and now - build.asked >= pause]
        return sorted(due, key=lambda ref: self._running[ref].asked)[:_ASKED_AT_ONCE]

    async def _weigh(self, ref: str) -> Sighting | None:
        """Ask how far a build is; return what it has come to, once it has said the same for too long."""
        build = self._running[ref]
        now = build.asked = self.attention.attended
        try:
            log = await self.daemon.progress(ref)
        except InfraError:
            return None  # it has ended meanwhile, or the daemon is silent, which is seen elsewhere
        said = items_in(log)
        if said != build.said:
            build.since, build.said = now, said
            return None
        progress = Progress(now)
        progress.feed(log, now)
        kind = CheckKind.HANG if progress.rests else CheckKind.STALL
        waited, threshold = now - build.since, self.patience.export_hang if progress.rests else self.patience.stall
        if waited < threshold:
            return None
        build.found = True
        what = "has nothing left to do, and has not returned" if kind is CheckKind.HANG else "has made no progress"
        return Sighting(kind, f"build {ref} {what} for {_reported(waited)}", log)

    def _unanswered_for(self, now: float, error: str) -> list[Sighting]:
        """Return the silence once it is too long."""
        self._unanswered = now if self._unanswered is None else self._unanswered
        self._empty = False
        waited = self.attention.attended - self._unanswered
        if waited < self.patience.export_hang:
            return []
        return self._once(
            CheckKind.SILENT, f"the daemon has not answered for {_reported(waited)}: {' '.join(error.split())}"
        )

    async def _weigh_quiet(self) -> list[Sighting]:
        """Count goroutines, and return the growth of their number once it is one.

        They must grow from look to look also without the greatest rise, for what comes at once, and stays, is no leak.
        """
        quiet = await self._counted()
        if quiet is None or CheckKind.LEAK in self._reported:
            return []
        self._quiet.append(quiet)
        while len(self._quiet) > self.patience.quiet_looks:
            self._quiet.popleft()
        looks = len(self._quiet)
        steady = growth(map(without_greatest_rise, _series(self._quiet)))
        if looks < self.patience.quiet_looks or steady is None or steady.low95 * looks < _LEAST_LEAK:
            return []
        because = (
            f"goroutines grow by {steady.slope:.2g} a look, for {looks} looks at which no build ran; "
            f"they were {self._quiet[0].goroutines}, and are {quiet.goroutines}"
        )
        return self._once(CheckKind.LEAK, because)

    async def _counted(self) -> _Quiet | None:
        """Return how many goroutines there are: by ``/info`` where it says so, which is cheap, else by pprof."""
        info = await self.daemon.info() if isinstance(self.daemon, Informs) else {}
        count = info.get("NGoroutines") or None
        if count is None and isinstance(self.daemon, Profiled):
            count = await self.daemon.goroutine_count()
        return None if count is None else _Quiet(self._looks, count, info.get("ContainersRunning", 0))

    def _once(self, kind: CheckKind, because: str) -> list[Sighting]:
        if kind in self._reported:
            return []
        self._reported.add(kind)
        return [Sighting(kind, because)]


def _series(quiet: Iterable[_Quiet]) -> Iterator[list[tuple[float, float]]]:
    """Yield, for each stretch with the same number of containers, the medians of its looks."""
    for _, group in groupby(quiet, key=lambda each: each.containers):
        alike = [*group]
        blocks = [alike[start : start + _BLOCK] for start in range(0, len(alike) - _BLOCK + 1, _BLOCK)]
        yield [(median(each.look for each in block), median(each.goroutines for each in block)) for block in blocks]


def _reported(seconds: float) -> str:
    return format_duration(round(seconds))
