"""What a capture is given, and what it leaves."""

from pathlib import Path
from typing import Protocol

from harness.core.manifest import DaemonFacts


class Subject(Protocol):
    """A daemon that is captured: under test, or one that we only found. What it can be asked for shows in its type."""

    @property
    def facts(self) -> DaemonFacts:
        """What is recorded of it."""
        ...


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

    async def capture(self, daemon: Subject, folder: Path) -> None:
        """Write files into `folder`.

        Raises:
            CaptureError: it cannot be obtained; what was written before stays.
        """
        ...
