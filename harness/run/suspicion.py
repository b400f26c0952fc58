"""Examines a build early if its client stays after the export for longer than this run's clients do.

A suspicion is no finding, and costs three dumps. It becomes a hang where the daemon still holds the build to be running
while its goroutines turn in one call. What does not turn waits for the scenario's own threshold, as ever.
"""

import shutil
import statistics
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import anyio.to_thread

from harness.buildkit.diagnosis import diagnose_finding
from harness.buildkit.goroutines.reading import Kind
from harness.client.watched_build import Watch
from harness.core.errors import CaptureError
from harness.daemons.base import Daemon, Profiled, TellsBuilds
from harness.evidence.goroutines import GoroutineDumps
from harness.evidence.process import Processes
from harness.evidence.table import capture_all
from harness.host.hostinfo import cpu_waiting_share

_LEAST_SECONDS: Final = 1.0
"""The tail is some 5 ms where nothing is wrong; before any build has returned, this alone counts."""
_TIMES: Final = 1.5
"""How many times as long as the longest tail so far: that a suspicion is wrong costs no more than a look."""
_REMEMBERED: Final = 1000
_ENOUGH: Final = 20
"""Tails from which on their median says what is usual."""
_APART: Final = 1.5
"""Seconds between two dumps: with three of them a suspicion is settled within the six seconds of `evidence.process`."""
_ONCE_MORE: Final = 1.0
"""Seconds before a fourth, where three leave it open: who turns is now and then seen at rest."""
_BACK_OFF: Final = 2.0
"""A build that was not confirmed is looked at again after so many times what it had waited."""


class Tails:
    """How long the builds of a run take from the end of their export to that of their client."""

    def __init__(self) -> None:
        self._seconds = deque[float](maxlen=_REMEMBERED)

    def add(self, seconds: float) -> None:
        """Take the tail of a build that has returned."""
        self._seconds.append(seconds)

    def median(self) -> float | None:
        """Return the usual one, in seconds; None while they are too few to tell."""
        return statistics.median(self._seconds) if len(self._seconds) >= _ENOUGH else None

    def suspicious(self, waiting: float = 0.0) -> float:
        """Return the seconds from which on a tail is suspicious.

        Args:
            waiting: the share of time for which some task of the host waits for a CPU, now (PSI `some`); the tails so
                far may be of a quieter time.
        """
        usual = max(_LEAST_SECONDS, _TIMES * max(self._seconds, default=0.0))
        return usual * (1.0 + waiting)


class Suspicions:
    """Which builds of one daemon are looked at, and what came of it.

    Args:
        daemon: the one that they are on.
        tails: those of the run so far.
        folder: the run's; what is captured to settle a suspicion is kept there meanwhile.
        doing: is told of each look.
    """

    def __init__(self, daemon: Daemon, tails: Tails, folder: Path, doing: Callable[[str], None]) -> None:
        self._daemon, self._can_show = daemon, isinstance(daemon, Profiled)
        self._tails, self._folder, self._doing = tails, folder, doing
        self._next: dict[int, float] = {}
        """When each build that was looked at is to be looked at again, in attended seconds since its export."""

    def is_due(self, watch: Watch) -> bool:
        """Whether a build is to be looked at now; it counts as looked at."""
        waited = watch.since_export
        if not self._can_show or waited is None or waited < _LEAST_SECONDS:
            return False
        if waited < (self._next.get(watch.iteration) or self._tails.suspicious(cpu_waiting_share())):
            return False
        self._next[watch.iteration] = _BACK_OFF * waited
        return True

    async def confirmed(self, watch: Watch) -> Path | None:
        """Return the folder of the dumps that show a build to hang; None where they do not, or it goes on meanwhile.

        It is for the caller to move what it keeps, and to remove the folder.
        """
        number, facts, is_hang = watch.iteration, self._daemon.facts, False
        self._doing(f"build {number} exported {watch.since_export or 0:.1f} s ago and has not returned: looking at why")
        folder = self._folder / f"suspected-{number}"
        folder.mkdir(exist_ok=True)
        try:
            looks = (Processes(over=2 * _APART), GoroutineDumps(apart=_APART, further=(_ONCE_MORE,)))
            await capture_all(self._daemon, folder, (looks,))
            subject = {"kind": facts.kind, "version": facts.version}
            found = await anyio.to_thread.run_sync(diagnose_finding, folder, subject)
            turns = found is not None and found.kind is Kind.LIVELOCK
            is_hang = turns and await self._still_runs(number) and watch.since_export is not None
        finally:
            if not is_hang:
                shutil.rmtree(folder, ignore_errors=True)
        return folder if is_hang else None

    async def _still_runs(self, number: int) -> bool:
        """Whether the daemon holds a build to be running; its client may be what does not return."""
        daemon = self._daemon
        if not isinstance(daemon, TellsBuilds):
            return True
        try:
            builds = await daemon.builds()
            iterations = [build.iteration or await daemon.iteration_of(build.ref) for build in builds]
        except CaptureError:
            return False
        return number in iterations
