"""A run in progress, whatever its daemons: hands out iterations, counts what comes of them, and ends when it should.

Nothing here judges: it records, and stops. What goes on at one daemon is a `Session`.
"""

from collections import Counter
from typing import Final, Protocol

import anyio
import anyio.to_thread

from harness.core.outcome import Ending, FindingKind, Outcome
from harness.core.records import Iteration
from harness.host.attended_clock import AttendedClock
from harness.host.cache import cache_folder
from harness.host.hostinfo import require_room_to_go_on
from harness.run.observer import Reporter
from harness.run.suspicion import Tails
from harness.scenario import Scenario
from harness.store.database import RunDatabase
from harness.store.folder import RunFolder
from harness.store.resume_point import NOTHING_YET, ResumePoint

TEND_SECONDS: Final = 1.0
"""What a power cut may cost of the records; a disk that fills by more than its reserve in that time fills up."""
_FULL_EVIDENCE: Final = 3
"""Findings of a kind whose evidence is captured, each in full: megabytes. Of later ones there is the progress."""


class DaemonSession(Protocol):
    """What goes on at a daemon, and ends with the run."""

    def look(self) -> None:
        """Look at what is in flight."""
        ...

    def end(self, ending: Ending) -> None:
        """Come to an end for this reason."""
        ...

    @property
    def exhausted(self) -> anyio.Event:
        """Set once no more iterations begin on it."""
        ...


class Conductor:
    """The state of a run between its start and its verdict."""

    def __init__(
        self,
        scenario: Scenario,
        folder: RunFolder,
        database: RunDatabase,
        observer: Reporter,
        past: ResumePoint = NOTHING_YET,
    ) -> None:
        self.scenario, self.folder, self.database, self.observer = scenario, folder, database, observer
        self.ending: Ending | None = None
        self.detail = ""
        self.attention = AttendedClock(unattended=past.unattended)
        self.began = self.since = anyio.current_time()
        """Monotonic time of the run's start, by its own clock; and that up to which it had gone on before."""
        self.ended: float | None = None
        """Monotonic time at which the run was over; what follows is cleaning up."""
        self.begun = self.over = past.begun
        """How many iterations have begun, and how many are over."""
        self.succeeded = Outcome.OK in past.outcomes
        self.tails = Tails()
        """How long its builds take to return once they have exported."""
        self.capturing = anyio.Lock()
        """Evidence is captured of one finding at a time."""
        self._past = past
        self._generation, self._series = past.generation, past.series
        self._hunted = past.hunted
        self._captured = Counter[FindingKind]({Outcome.HANG: past.captured})
        self._sessions: list[DaemonSession] = []
        self.begin()

    def begin(self) -> None:
        """Start the run's clock, or continue it from where an earlier process left it."""
        self.since = anyio.current_time()
        self.began = self.since - self._past.seconds
        self.end_if_enough()

    async def watch_over(self) -> None:
        """Beat, mind the clock and the disk, and harden the records, until cancelled.

        Raises:
            DiskLow: a disk that the run writes to is nearly full.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.attention.keep, self._look)
            tasks.start_soon(self._mind_the_clock)
            while True:
                await anyio.sleep(TEND_SECONDS)
                require_room_to_go_on([self.folder.path, cache_folder("daemons")])
                await anyio.to_thread.run_sync(self.database.harden)

    def end(self, ending: Ending, detail: str = "") -> None:
        """End the run, and with it every session; the first reason counts."""
        if self.ending is None:
            self.ending, self.detail, self.ended = ending, detail, anyio.current_time()
            for session in [*self._sessions]:
                session.end(ending)

    # What sessions ask and tell

    def enter(self, session: DaemonSession) -> int:
        """Take a session in; return which daemon of the run it has, from 1."""
        self._sessions.append(session)
        self._generation += 1
        return self._generation

    def leave(self, session: DaemonSession) -> None:
        """Let a session go; once all iterations are over, that is the end."""
        self._sessions.remove(session)
        if self.exhausted and self.over == self.begun:
            self.end(Ending.ITERATIONS)

    @property
    def exhausted(self) -> bool:
        """Whether no more iterations begin."""
        return self.ending is not None or self.begun == self.scenario.stop.iterations

    def next_iteration(self) -> int | None:
        """Return the number of an iteration to begin at once; None where there are no more."""
        if self.exhausted:
            return None
        self.begun += 1
        if self.begun == self.scenario.stop.iterations:
            for session in self._sessions:
                session.exhausted.set()
        return self.begun

    def iterated(self, iteration: Iteration) -> None:
        """Count an iteration that is over."""
        self.over += 1
        if iteration.outcome is Outcome.OK:
            self.succeeded = True
            if iteration.exported is not None and iteration.exited is not None:
                self.tails.add(iteration.exited - iteration.exported)

    def next_series(self) -> int:
        """Return a number for the audits of a process that none was made of before."""
        self._series += 1
        return self._series

    def may_capture(self, kind: FindingKind) -> bool:
        """Whether another finding's evidence is captured, of its kind; it counts as if it were."""
        kind = Outcome.HANG if kind is Outcome.STALL else kind
        self._captured[kind] += 1
        return self._captured[kind] <= _FULL_EVIDENCE

    def hunted(self) -> None:
        """Count a daemon that has shown what the scenario hunts."""
        self._hunted += 1

    def end_if_enough(self) -> bool:
        """End the run where as many findings have come as the scenario wants; return whether they have."""
        wanted = self.scenario.findings_wanted
        enough = wanted is not None and self._hunted >= wanted
        if enough:
            self.end(Ending.FINDINGS)
        return enough

    def _look(self) -> None:
        for session in self._sessions:
            session.look()

    async def _mind_the_clock(self) -> None:
        if self.scenario.stop.time is not None:
            while (left := self.began + self.scenario.stop.time - anyio.current_time()) > 0:
                await anyio.sleep(left)  # the clock is set once the daemon is up
            self.end(Ending.TIME)
