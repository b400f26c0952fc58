"""How the daemon's logs end at the finding."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from harness.buildkit.findings import LOG
from harness.core.errors import CaptureError
from harness.core.files import write_whole
from harness.daemons.base import TellsLog
from harness.evidence.base import Subject

_TAIL_BYTES: Final = 4 * 2**20
"""What 2000 lines take, even where some are as long as a provenance record."""


@dataclass(frozen=True)
class LogTail:
    """``daemon.log``: the last lines, and one that says when that was; ``buildkit.log``: of BuildKit in a container."""

    lines: int = 2000
    since: int = 0
    """Bytes of the log that an earlier daemon has written."""
    name: str = "daemon log"
    deadline: float = 4.0

    async def capture(self, daemon: Subject, folder: Path) -> None:
        """Copy the lines."""
        facts = daemon.facts
        if facts.log is not None:
            self._copy(facts.log, folder / LOG, self.since)
        elif isinstance(daemon, TellsLog):
            told = await daemon.log_tail(self.lines)
            write_whole(folder / LOG, f"{told}{_now()}")
        else:
            raise CaptureError("where the daemon writes its log is not known")
        if facts.root and facts.builder:
            for log in facts.root.glob("containers/*/*-json.log"):  # the one container of a docker-container builder
                self._copy(log, folder / "buildkit.log")

    def _copy(self, log: Path, copy: Path, since: int = 0) -> None:
        with log.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(since if since <= size else 0, size - _TAIL_BYTES))  # it may have been cut meanwhile
            lines = file.read().splitlines(keepends=True)[-self.lines :]
        write_whole(copy, b"".join(lines) + _now().encode())


def _now() -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return f"---- repro: the finding was captured here, at {now}\n"
