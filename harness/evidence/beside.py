"""The progress of the builds that ran beside the one that hangs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.client.watched_build import Watch
from harness.core.errors import CaptureError
from harness.core.files import write_whole
from harness.evidence.base import Subject


@dataclass(frozen=True)
class Beside:
    """``beside-<iteration>.jsonl``: a line that says which build it is and where it stood, then what it said last."""

    builds: Sequence[Watch]
    name: str = "builds beside it"
    deadline: float = 2.0

    async def capture(self, daemon: Subject, folder: Path) -> None:  # noqa: ARG002 — we have heard it all ourselves
        """Write what they said."""
        if not self.builds:
            raise CaptureError("no other build was running")
        for build in self.builds:
            progress = build.progress
            about = {
                "iteration": build.iteration,
                "actor": build.actor,
                "phase": progress.phase,
                "killed": build.killed,
            }
            lines = [json.dumps(about), *progress.last, *progress.messages]
            write_whole(folder / f"beside-{build.iteration}.jsonl", "\n".join(lines) + "\n")
