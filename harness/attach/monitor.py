"""A watch beside a daemon that somebody else loads: look after look, and a capture of the first things that are wrong.

1. The daemon is found, and asked what it is.
2. It is looked at every few seconds; nothing is built, pruned or signalled.
3. What is wrong is told, and the first few times everything is captured, while it lasts.
4. When the daemon ends, the next one at its place is watched, unless it was named by its pid.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio

from harness.attach.capture import Captured, capture_daemon
from harness.attach.checks import CheckKind, HealthChecks, HealthThresholds, Sighting
from harness.attach.daemon import Endpoint, FoundDaemon, NoSuchDaemon, locate, open_found
from harness.core.files import write_whole
from harness.core.outcome import ExitCode
from harness.host.attended_clock import AttendedClock
from harness.host.proc import Identity
from harness.store.folders import new_folder

_CAPTURES: Final = 3
"""How often everything is captured: later findings show the same daemon in the same state."""


@dataclass(frozen=True)
class Event:
    """What is told of the watch."""

    kind: str
    """`watching`, `gone`, a kind of sighting, or `captured`."""
    text: str
    captured: Captured | None = None


@dataclass
class Monitor:
    """One watch, over as many processes of the daemon as there come to be."""

    spec: str
    """``host``, a socket, or a pid."""
    patience: HealthThresholds
    captures: Path
    """Where the folders of captures are made."""
    tell: Callable[[Event], None]
    once: bool = False
    """End with the first capture."""
    _captured: int = 0

    async def watch(self) -> ExitCode:
        """Watch until cancelled, until the first capture if `once`, or until a daemon that was named by its pid ends.

        Raises:
            NoSuchDaemon: there is none to begin with.
            CannotWatch: no client here lists its builds.
        """
        attention = AttendedClock()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(attention.keep, lambda: None)
            place: Endpoint | None = await locate(self.spec)
            while place is not None:
                async with open_found(place) as daemon:
                    seen = await self._stay(daemon, place, attention)
                if seen is not None:
                    tasks.cancel_scope.cancel()
                    return ExitCode.HANG if seen is CheckKind.HANG else ExitCode.INCONCLUSIVE
                self.tell(Event("gone", f"{daemon.facts.kind} {_pid(place)} has ended{self._end_of_it}"))
                place = None if self.spec.isdecimal() else await self._next()
            tasks.cancel_scope.cancel()
        return ExitCode.CLEAN

    @property
    def _end_of_it(self) -> str:
        return ", and with it the watch" if self.spec.isdecimal() else "; waiting for the next one"

    async def _next(self) -> Endpoint:
        """Wait until there is a daemon at the same place again."""
        while True:
            await anyio.sleep(self.patience.every)
            with suppress(NoSuchDaemon):
                return await locate(self.spec)

    async def _stay(self, daemon: FoundDaemon, place: Endpoint, attention: AttendedClock) -> CheckKind | None:
        """Look at one process until it has ended; with `once`, return what was captured instead."""
        facts, alive = daemon.facts, _alive(place)
        self.tell(Event("watching", " ".join(f"{facts.kind} {facts.version} {_pid(place)} at {facts.address}".split())))
        vigil = HealthChecks(daemon, self.patience, attention)
        while alive():
            for sighting in await vigil.look():
                if not alive():
                    return None  # it did not answer because it was on its way out
                self.tell(Event(sighting.kind, sighting.because))
                if self._captured < _CAPTURES:
                    self._captured += 1
                    await self._capture(daemon, place, sighting)
                    if self.once:
                        return sighting.kind
            await anyio.sleep(self.patience.every)
        return None

    async def _capture(self, daemon: FoundDaemon, place: Endpoint, sighting: Sighting) -> None:
        folder = new_folder(self.captures, option="--output")
        if sighting.log:
            write_whole(folder / "progress.jsonl", sighting.log)
        captured = await capture_daemon(daemon, place, folder, f"{sighting.kind}: {sighting.because}")
        sentence = captured.diagnosis.sentence if captured.diagnosis else "no goroutine dump was had"
        kinds = f"{captured.captured_kinds} of {len(captured.results)} kinds captured in {captured.seconds:.1f} s"
        self.tell(Event("captured", f"{kinds}, {folder}: {sentence}", captured))


def _alive(place: Endpoint) -> Callable[[], bool]:
    """Return what says whether the process still runs; of one that is not known it is taken for granted."""
    if place.process is None:
        return lambda: True
    try:
        return Identity.of(place.process.pid).alive
    except ProcessLookupError:
        return lambda: False


def _pid(place: Endpoint) -> str:
    return f"(pid {place.process.pid})" if place.process else ""
