"""Whether a daemon that runs hangs now: what it holds to be running, where its goroutines are, what CPU it takes.

It is asked what `capture` asks first, and nothing is kept. Nothing of it is started or changed.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio.to_thread

from harness.attach.daemon import FoundDaemon
from harness.buildkit.diagnosis import diagnose_finding
from harness.buildkit.goroutines.reading import Kind
from harness.buildkit.progress import Progress
from harness.core.errors import InfraError
from harness.core.records import Diagnosis
from harness.evidence.goroutines import GoroutineDumps
from harness.evidence.process import Processes
from harness.evidence.table import capture_all

_LOOKED_AT: Final = 3
"""Builds of which is asked how far they are: each takes up to three seconds."""
_HANGS: Final = {Kind.LIVELOCK, Kind.DEADLOCK, Kind.LOST_WAKE_UP, Kind.FROZEN}
_BUSY_CORES: Final = 0.5


@dataclass(frozen=True)
class Traces:
    """What was seen in a few seconds."""

    running: int | None
    """Builds that the daemon holds to be running; None where it did not say."""
    resting: tuple[str, ...]
    """Those of them that have nothing left to do: exported, and not returned."""
    cores: float | None
    """CPU that it took."""
    diagnosis: Diagnosis | None
    """None where no dump could be taken."""
    unanswered: Mapping[str, str]
    """What could not be seen, and why."""

    @property
    def hangs(self) -> bool:
        """Whether something is in it that does not go on by itself."""
        return self.diagnosis is not None and self.diagnosis.kind in _HANGS

    @property
    def is_busy_for_nothing(self) -> bool:
        """Whether it takes CPU although no build is in it."""
        return self.running == 0 and self.cores is not None and self.cores >= _BUSY_CORES


async def look_for_traces(daemon: FoundDaemon) -> Traces:
    """Look for some seconds; every question has a deadline, so that a frozen daemon is told as one."""
    unanswered: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="repro-traces-") as name:
        folder = Path(name)
        results = await capture_all(daemon, folder, [[Processes(over=2.0), GoroutineDumps(apart=1.5, deadline=15.0)]])
        unanswered |= {what: why for what, why in results.items() if why != "captured"}
        process: dict[str, Any] = {}
        if (folder / "process.json").exists():
            process = json.loads((folder / "process.json").read_text())
        facts = {"kind": daemon.facts.kind, "version": daemon.facts.version}
        diagnosis = await anyio.to_thread.run_sync(diagnose_finding, folder, facts)
    running: int | None = None
    resting: list[str] = []
    if process.get("stopped"):
        unanswered["builds"] = "a frozen daemon is not asked"
    else:
        try:
            refs = [build.ref for build in await daemon.builds()]
            running, resting = len(refs), await _resting(daemon, refs[:_LOOKED_AT])
        except InfraError as error:
            unanswered["builds"] = " ".join(str(error).split())
    return Traces(running, tuple(resting), process.get("cores"), diagnosis, unanswered)


async def _resting(daemon: FoundDaemon, refs: Sequence[str]) -> list[str]:
    """Return those of some running builds that have nothing left to do."""
    found = []
    for ref in refs:
        try:
            log = await daemon.progress(ref)
        except InfraError:
            continue  # it has ended meanwhile
        progress = Progress(0.0)
        progress.feed(log, 0.0)
        if progress.rests:
            found.append(ref)
    return found
