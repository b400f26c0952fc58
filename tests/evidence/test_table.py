"""Captures: none keeps the others from being made, and none outlives its deadline."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import anyio
import pytest

from harness.daemons.base import Daemon
from harness.errors import CaptureError
from harness.evidence.table import capture_all

pytestmark = pytest.mark.anyio
NOBODY = cast("Daemon", None)


@dataclass
class Works:
    """A capture that writes a file."""

    name: str = "works"
    deadline: float = 5.0

    async def capture(self, daemon: Daemon, folder: Path) -> None:  # noqa: ARG002 — asks no daemon
        """Write it."""
        (folder / "works.txt").write_text("evidence")


@dataclass
class Refuses:
    """A capture that cannot be had."""

    name: str = "refuses"
    deadline: float = 5.0

    async def capture(self, daemon: Daemon, folder: Path) -> None:  # noqa: ARG002 — asks no daemon
        """Say why."""
        raise CaptureError("no pprof here")


@dataclass
class Hangs:
    """A capture of a daemon that does not answer."""

    name: str = "hangs"
    deadline: float = 0.2
    cancelled: list[bool] = field(default_factory=list)

    async def capture(self, daemon: Daemon, folder: Path) -> None:  # noqa: ARG002 — asks no daemon
        """Wait for ever."""
        try:
            await anyio.sleep_forever()
        finally:
            self.cancelled.append(True)


async def test_each_capture_stands_alone(tmp_path: Path) -> None:
    """What hangs is given up at its deadline, what fails says why, and what comes after both is still captured."""
    hanging = Hangs()
    with anyio.fail_after(10):
        results = await capture_all(NOBODY, tmp_path, [hanging, Refuses(), Works()])
    assert results == {"hangs": "gave up after 0.2 s", "refuses": "no pprof here", "works": "captured"}
    assert hanging.cancelled
    assert (tmp_path / "works.txt").read_text() == "evidence"
