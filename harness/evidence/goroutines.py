"""Goroutine dumps, several and some seconds apart: one shows where a daemon stands, two show whether it moves."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from harness.buildkit.diagnosis import diagnose_finding
from harness.buildkit.goroutines.reading import Kind
from harness.core.errors import CaptureError
from harness.core.files import write_whole
from harness.daemons.base import Profiled
from harness.evidence.base import Subject

_UNSURE: Final = frozenset({Kind.UNKNOWN, Kind.SLOW})
_READ_AGAIN: Final = 8_000_000
"""Bytes of a dump up to which it is read while the daemon still hangs: a megabyte takes a tenth of a second."""


@dataclass(frozen=True)
class GoroutineDumps:
    """``goroutines-0.txt`` and on, ``debug=2``: so many, with those that are there; while they leave it open, more.

    Under load, who turns is now and then seen at rest; and a wait is told in whole minutes, so that it is seen to grow
    the likelier the further apart they are.
    """

    count: int = 3
    apart: float = 3.0
    further: tuple[float, ...] = (5.0, 9.0)
    """Seconds before each further one."""
    each: float = 8.0
    """Seconds that one may take; the dump of 32,646 goroutines is 43 MB."""
    deadline: float = 26.0
    """Seconds for all of them; a daemon that answers late gives fewer."""
    name: str = "goroutines"

    async def capture(self, daemon: Subject, folder: Path) -> None:
        """Take the dumps that are missing, after those that there are."""
        if not isinstance(daemon, Profiled):
            raise CaptureError(f"a {daemon.facts.kind} that we did not start has no pprof that we know of")
        there = len([*folder.glob("goroutines-*.txt")])
        missing = max(0, self.count - there)
        pauses = [*(self.apart if there + number else 0.0 for number in range(missing)), *self.further]
        for number, pause in enumerate(pauses):
            if number >= missing and not await self._is_unsure(folder):
                break
            await anyio.sleep(pause)
            dump = await daemon.goroutine_dump(self.each)
            write_whole(folder / f"goroutines-{there + number}.txt", dump)
        if not (missing < self.count or (folder / f"goroutines-{there}.txt").exists()):
            raise CaptureError("those before say what there is to say, or there are none")

    @staticmethod
    async def _is_unsure(folder: Path) -> bool:
        """Whether the dumps so far do not say what keeps the daemon from going on."""
        if any(file.stat().st_size > _READ_AGAIN for file in folder.glob("goroutines-*.txt")):
            return False
        found = await anyio.to_thread.run_sync(diagnose_finding, folder, {})
        return found is not None and found.kind in _UNSURE
