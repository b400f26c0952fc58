"""What a capture is given, and what it leaves."""

from pathlib import Path
from typing import Protocol

from harness.daemons.base import Daemon


class Capture(Protocol):
    """One kind of evidence. What is captured of a build, and not of its daemon, is made for that build."""

    @property
    def name(self) -> str:
        """What it is called in the list of what was and was not captured."""
        ...

    @property
    def deadline(self) -> float:
        """Seconds after which it is given up: the daemon that is asked may be the one that hangs."""
        ...

    async def capture(self, daemon: Daemon, folder: Path) -> None:
        """Write files into `folder`.

        Raises:
            CaptureError: it cannot be had; what was written before stays.
        """
        ...
