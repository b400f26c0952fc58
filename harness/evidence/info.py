"""Docker's own account of an engine."""

from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import CaptureError
from harness.core.files import write_json
from harness.daemons.base import Informs
from harness.evidence.base import Subject


@dataclass(frozen=True)
class EngineInfo:
    """``info.json``: the engine's ``/info``; `NGoroutines` and `NFd` are in it where debug is on."""

    name: str = "info"
    deadline: float = 8.0

    async def capture(self, daemon: Subject, folder: Path) -> None:
        """Ask for it."""
        if not isinstance(daemon, Informs):
            raise CaptureError(f"a {daemon.facts.kind} has no /info: only dockerd does")
        info = await daemon.info()
        if not info:
            raise CaptureError("dockerd did not answer /info")
        write_json(folder / "info.json", info)
