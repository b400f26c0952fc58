"""The captures that are made at a finding, gentlest first; and the making of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import anyio

from harness.daemons.base import Daemon
from harness.errors import CaptureError
from harness.evidence.base import Capture
from harness.evidence.goroutines import GoroutineDumps

CAPTURES: Final[Sequence[Capture]] = (GoroutineDumps(),)


async def capture_all(daemon: Daemon, folder: Path, captures: Sequence[Capture] = CAPTURES) -> dict[str, str]:
    """Make every capture, each within its deadline; return ``captured``, or the reason why not, by name."""
    results = {}
    for capture in captures:
        results[capture.name] = f"gave up after {capture.deadline:g} s"
        with anyio.move_on_after(capture.deadline):
            try:
                await capture.capture(daemon, folder)
                results[capture.name] = "captured"
            except (CaptureError, OSError) as error:
                results[capture.name] = str(error)
    return results
