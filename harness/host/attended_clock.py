"""Attended time: the only time that counts towards a hang or a stall.

A heartbeat of our own shows how the host treats an ordinary process. A beat that comes late (a suspended laptop, a
paused virtual machine, a stopped harness, no CPU for anyone) and a beat during which the host was mostly stalled on
memory count for nothing more than one beat, or for nothing. A daemon that burns every core does not stop this clock:
the kernel's scheduler still gives an ordinary process its turn within milliseconds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio

from harness.host.hostinfo import memory_stall_seconds

BEAT: Final = 0.2
"""Seconds between heartbeats; a finding is seen at most this late."""
LATE: Final = 1.0
"""A beat that comes later than this was held up, and the rest of its time is not attended."""
_MEMORY_STALLED: Final = 0.5
"""Share of a beat that all tasks spent waiting for memory, from which on the beat does not count."""


@dataclass
class AttendedClock:
    """A clock that stops while this process could not run."""

    attended: float = 0.0
    unattended: float = 0.0
    worst_lag: float = 0.0
    """The latest beat since somebody last set this to 0."""

    def beat(self, elapsed: float, memory_stalled: float) -> None:
        """Count one beat.

        Args:
            elapsed: seconds since the last beat.
            memory_stalled: seconds of it that the whole host waited for memory.
        """
        self.worst_lag = max(self.worst_lag, elapsed - BEAT)
        credit = elapsed if elapsed <= BEAT + LATE else BEAT
        if memory_stalled > _MEMORY_STALLED * elapsed:
            credit = 0.0
        self.attended += credit
        self.unattended += elapsed - credit

    async def keep(self, look: Callable[[], None]) -> None:
        """Beat until cancelled, and call `look` after each beat."""
        last, stalled = anyio.current_time(), memory_stall_seconds()
        while True:
            await anyio.sleep(BEAT)
            now, stalled_now = anyio.current_time(), memory_stall_seconds()
            self.beat(now - last, (stalled_now or 0.0) - (stalled or 0.0))
            last, stalled = now, stalled_now
            look()
