"""All evidence of a daemon that runs already, in a folder of its own: `captures/<UTC time>-<4 hex>/`.

1. The folder is made.
2. Everything that needs no build is captured, gentlest first, each kind within a deadline of its own.
3. `captured.json` says what was had, and why not; `daemon.json` what the daemon, its programs and the host are.
4. The dumps are diagnosed.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.to_thread

from harness import __version__
from harness.attach.daemon import Endpoint, FoundDaemon, client_of
from harness.core.errors import InfraError, SubjectError
from harness.core.manifest import Binary, CaptureManifest, Programs
from harness.core.records import FORMAT, Diagnosis
from harness.evidence.table import capture_all
from harness.host.hostinfo import describe
from harness.store.evidence import EvidenceFolder
from harness.toolchain.base import inspect, sha256_of


@dataclass(frozen=True)
class Captured:
    """What a capture came to."""

    folder: Path
    results: Mapping[str, str]
    """For each kind of evidence, `captured` or why not."""
    diagnosis: Diagnosis | None
    """None where there is no dump to read."""
    seconds: float

    @property
    def captured_kinds(self) -> int:
        """How many kinds were had."""
        return sum(result == "captured" for result in self.results.values())


async def capture_daemon(
    daemon: FoundDaemon,
    place: Endpoint,
    folder: Path,
    why: str,
    stage_begins: Callable[[int, int], None] = lambda _number, _of: None,
) -> Captured:
    """Capture everything of a daemon into a folder of its own, and diagnose it.

    Args:
        daemon: see `open_found`.
        place: where it was found.
        folder: an empty one.
        why: what it is captured for, kept in `daemon.json`.
        stage_begins: see `capture_all`.
    """
    began, at = anyio.current_time(), datetime.now(UTC).isoformat(timespec="seconds")
    results = await capture_all(daemon, folder, stage_begins=stage_begins)
    written = EvidenceFolder(folder)
    written.write_captured(results)
    seconds = anyio.current_time() - began
    manifest = CaptureManifest(
        format=FORMAT,
        harness=__version__,
        captured=at,
        seconds=round(seconds, 1),
        why=why,
        toolchain=Programs("", await _programs(place, daemon.facts.version)),
        daemon=daemon.facts,
        host=describe(folder.absolute()),
    )
    written.write_json("daemon.json", manifest)
    found = await anyio.to_thread.run_sync(written.write_diagnosis, asdict(daemon.facts))
    return Captured(folder, results, found, anyio.current_time() - began)


async def _programs(place: Endpoint, version: str) -> dict[str, Binary]:
    """Return what the daemon's own program is, which is not started for it, and what its client is."""
    versions: dict[str, Binary] = {}
    for name, path in place.programs.items():
        try:
            versions[name] = Binary(path.resolve(), version, await sha256_of(path))
        except OSError as error:
            versions[name] = Binary(path, version, f"not to be read: {error.strerror}")
    client = client_of(place)
    if client:
        try:
            versions[client.name] = await inspect(client.name, client)
        except (SubjectError, InfraError, OSError) as error:
            versions[client.name] = Binary(client, str(error), "")
    return versions
