"""Builds that we timed out, and that the daemon still holds to be running: hangs that no client is left to show.

Each build carries its iteration as an argument, so that its record says which one it is. A record that stays running
for too long after its client has ended is a finding: a hang where the solve has nothing left to do, else a stall.
"""

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import anyio

from harness.buildkit.progress import Progress, items_in
from harness.core.errors import CaptureError
from harness.core.outcome import Outcome
from harness.core.records import Iteration
from harness.core.units import format_duration
from harness.daemons.base import Daemon, TellsBuilds
from harness.host.attended_clock import AttendedClock

_LOOKS: Final = 3
"""Polls within the threshold after which a running record is a finding."""
_LEAST_SECONDS, _MOST_SECONDS = 1.0, 10.0
"""Bounds of the pause between two polls. One poll costs 13 ms of CPU with buildctl, 131 ms with buildx."""
_SOON_SECONDS: Final = 0.5
"""The pause once no build begins any more, and the run waits for the result."""
_TELL_SECONDS: Final = 2.0
"""How long the run waits for the daemon to let go of killed builds before it says so."""
_REFUSALS: Final = 3
"""Failed polls in a row, from the first on, after which this daemon is not polled any more."""


@dataclass(frozen=True)
class Orphan:
    """A build that the daemon still runs although its client is gone."""

    iteration: Iteration
    outcome: Outcome
    waited: float
    """Attended seconds since the client ended, or since the daemon was last seen to go on with the build."""
    log: bytes
    """The solve's progress by the daemon, as rawjson."""
    progress: Progress


@dataclass
class _Awaited:
    """A build whose client we killed, and whose record has not been seen to end."""

    iteration: Iteration
    since: float
    """In attended time."""
    missed: bool = False
    """Whether it was not among the records that we knew, at a look at which there were some that we did not."""
    printed: frozenset[str] | None = None


class Orphans:
    """Polls one daemon's records for builds that we timed out; does not poll while there are none.

    Args:
        daemon: the one that has built them.
        threshold: attended seconds after which a record that is still running is a finding.
        attention: the clock that they are counted by.
        found: records a finding and captures its evidence; polling goes on once it returns.
        released: takes the number of an iteration whose record was seen to have ended.
    """

    def __init__(
        self,
        daemon: Daemon,
        threshold: float,
        attention: AttendedClock,
        found: Callable[[Orphan], Awaitable[None]],
        released: Callable[[int], None],
    ) -> None:
        self._daemon = daemon if isinstance(daemon, TellsBuilds) else None
        self._private = daemon.facts.private
        self._threshold, self._attention = threshold, attention
        self._found, self._released = found, released
        self._pause = min(max(threshold / _LOOKS, _LEAST_SECONDS), _MOST_SECONDS)
        self._hurry = anyio.Event()
        self._awaited: dict[int, _Awaited] = {}
        self._of: dict[str, int | None] = {}
        """Iteration by running record; None for a record of someone else's build."""
        self._seen: frozenset[str] = frozenset()
        """Records that were running at the last look."""
        self._refused: int | None = 0
        """How often its client gave no answer; None once it has given one."""

    def expect(self, iteration: Iteration) -> None:
        """Start to poll for a build whose client we killed, once that client has ended."""
        if self._daemon is not None:
            self._awaited[iteration.number] = _Awaited(iteration, self._attention.attended)

    def forget(self) -> None:
        """Expect nothing any more: the daemon goes down, and its running records with it."""
        self._awaited.clear()

    async def keep(self) -> None:
        """Look every few seconds, until cancelled."""
        if self._daemon is not None and not self._private:  # another run of ours may have left records there
            with suppress(CaptureError):
                self._of |= dict.fromkeys((build.ref for build in await self._daemon.builds()), None)
        while self._daemon is not None:
            with anyio.move_on_after(self._until_next()):
                await self._hurry.wait()
                await anyio.sleep(_SOON_SECONDS)
            if self._awaited:
                await self._look(self._daemon)

    def _until_next(self) -> float:
        """Return the seconds to the next look: the usual pause, or less where a build is soon held for too long."""
        due = [self._threshold - self._waited(awaited) for awaited in self._awaited.values() if awaited.printed]
        return max(_SOON_SECONDS, min([self._pause, *due]))

    async def drain(self, given_up: Callable[[], bool], doing: Callable[[str], None]) -> None:
        """Wait until every expected build has ended or become a finding, or until `given_up`; bounded in attended time.

        To be called when no build begins any more, while `keep` goes on.

        Args:
            given_up: whether the run ends anyway.
            doing: is told what is waited for, unless it is over soon.
        """
        self._hurry.set()
        tell_at = anyio.current_time() + _TELL_SECONDS
        give_up = self._attention.attended + self._threshold + self._pause  # by the clock that makes it a finding
        while self._awaited and not given_up() and self._attention.attended < give_up:
            await anyio.sleep(_SOON_SECONDS / 10)
            if self._awaited and anyio.current_time() >= tell_at:
                tell_at = math.inf
                doing(self._what_is_awaited())

    def _what_is_awaited(self) -> str:
        numbers = sorted(self._awaited)
        builds = (
            f"build {numbers[0]}, whose client was killed"
            if len(numbers) == 1
            else (
                f"{len(numbers)} builds whose clients were killed ({', '.join(map(str, numbers[:3]))}"
                f"{', …' if len(numbers) > 3 else ''})"
            )
        )
        most = format_duration(round(self._threshold, 1))
        return f"no more builds begin: waiting until the daemon lets go of {builds}, for up to {most} (`detect.orphan`)"

    async def _look(self, daemon: TellsBuilds) -> None:
        ended = {*self._awaited}  # the clients of these, before the daemon is asked
        try:
            builds = await daemon.builds()
        except CaptureError:
            self._refuse()
            return
        self._refused = None
        running = frozenset(build.ref for build in builds)
        self._of = {ref: number for ref, number in self._of.items() if ref in running}
        self._of |= {build.ref: build.iteration for build in builds if build.iteration is not None}
        for ref in (running & self._seen) - self._of.keys():  # what is new has most likely gone by the next look
            with suppress(CaptureError):
                self._of[ref] = await daemon.iteration_of(ref)
        unknown, old, self._seen = running - self._of.keys(), self._seen, running
        held = {number: ref for ref, number in self._of.items() if number is not None}
        for number in sorted(ended & self._awaited.keys()):
            awaited = self._awaited.get(number)
            if awaited is None:
                continue
            if number in held:
                await self._weigh(daemon, awaited, held[number])
            elif not unknown or (awaited.missed and not unknown & old):
                del self._awaited[number]
                self._released(number)
            else:
                awaited.missed = True

    def _refuse(self) -> None:
        if self._refused is not None:
            self._refused += 1
            if self._refused >= _REFUSALS:
                self._daemon = None
                self.forget()

    async def _weigh(self, daemon: TellsBuilds, awaited: _Awaited, ref: str) -> None:
        """Make a finding of a build that is held for too long, and that has not moved since the look before this one.

        What is complete may be on its way to its end; it is a hang if the record is still there at the next look.
        """
        if self._waited(awaited) < self._threshold - 2 * self._pause:
            return  # too early to begin to look how far it has come
        try:
            log = await daemon.progress(ref)
        except CaptureError:
            return
        number, printed = awaited.iteration.number, items_in(log)
        if self._awaited.get(number) is not awaited:
            return
        before, awaited.printed = awaited.printed, printed
        if before is not None and printed != before:  # only progress starts its time again
            awaited.since = self._attention.attended
        elif before is not None and (waited := self._waited(awaited)) >= self._threshold:
            del self._awaited[number]
            progress = Progress(anyio.current_time())
            progress.feed(log, anyio.current_time())
            outcome = Outcome.HANG if progress.rests else Outcome.STALL
            await self._found(Orphan(awaited.iteration, outcome, waited, log, progress))

    def _waited(self, awaited: _Awaited) -> float:
        return self._attention.attended - awaited.since
