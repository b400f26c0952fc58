"""Goroutine dumps, several and some seconds apart: one shows where a daemon stands, two show whether it moves."""

from dataclasses import dataclass
from pathlib import Path

import anyio

from harness.core.errors import CaptureError
from harness.daemons.base import Profiled
from harness.evidence.base import Subject


@dataclass(frozen=True)
class GoroutineDumps:
    """``goroutines-0.txt`` and on, ``debug=2``."""

    count: int = 3
    apart: float = 3.0
    each: float = 8.0
    """Seconds that one may take; the dump of 32,646 goroutines is 43 MB."""
    deadline: float = 24.0
    """Seconds for all of them; a daemon that answers late gives fewer."""
    name: str = "goroutines"

    async def capture(self, daemon: Subject, folder: Path) -> None:
        """Take the dumps."""
        if not isinstance(daemon, Profiled):
            raise CaptureError(f"a {daemon.facts.kind} that we did not start has no pprof that we know of")
        for number in range(self.count):
            if number:
                await anyio.sleep(self.apart)
            dump = await daemon.goroutine_dump(self.each)
            (folder / f"goroutines-{number}.txt").write_text(dump)
