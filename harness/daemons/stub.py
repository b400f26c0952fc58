"""No daemon at all: builds are a small shell script told to behave, hang or die; for tests of the harness itself.

``daemon.config`` maps iterations to behaviours (see ``stub_client.sh``) and ``default`` to that of all others. A build
that behaves as ``orphan …`` stays in the stub's history: for good, with its export done (``orphan hang``) or not
(``orphan stall``), or for some seconds (``orphan 3``).
"""

import json
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio

from harness.core.manifest import DaemonFacts
from harness.daemons.base import BuildRequest, Daemon, PruneRequest, RunningBuild, Slot
from harness.daemons.parts import OwnProcess
from harness.daemons.private import Service, running, settle_in
from harness.host.proc import Command
from harness.scenario import DaemonSpec
from harness.toolchain import Toolchain

_ORPHAN: Final = "orphan "
_STEP: Final = {"digest": "sha256:1", "name": "[1/1] RUN true", "started": "2026-01-01T00:00:00Z"}
_EXPORT: Final = {"digest": "sha256:2", "name": "exporting to image", "started": "2026-01-01T00:00:00Z"}
_DONE: Final = {"completed": "2026-01-01T00:00:01Z"}
_CLIENT: Final = Path(__file__).with_name("stub_client.sh")


class Stub(OwnProcess):
    """A process that does nothing, and clients that only pretend."""

    def __init__(self, facts: DaemonFacts, service: Service, behaviours: Mapping[str, str]) -> None:
        self._facts, self._service, self._behaviours = facts, service, behaviours
        self._held: dict[str, float] = {}
        """The records of orphans, by the time until which each is held."""

    def build(self, request: BuildRequest) -> Command:
        """Return a client that behaves as the configuration says for this iteration."""
        behaviour = self._behaviour(request.iteration)
        if behaviour.startswith(_ORPHAN):
            seconds = behaviour.removeprefix(_ORPHAN)
            held = math.inf if seconds in {"hang", "stall"} else float(seconds)
            self._held[str(request.iteration)] = anyio.current_time() + held
        return Command(("sh", str(_CLIENT), behaviour))

    async def builds(self) -> Sequence[RunningBuild]:
        """Return the records of orphans; they do not name their iterations."""
        now = anyio.current_time()
        return [RunningBuild(ref) for ref, until in self._held.items() if now < until]

    async def iteration_of(self, ref: str) -> int | None:
        """Return which iteration a record is of."""
        return int(ref)

    async def progress(self, ref: str) -> bytes:
        """Return a step that is done, and an export that is or is not."""
        export = _EXPORT | ({} if self._behaviour(int(ref)) == f"{_ORPHAN}stall" else _DONE)
        return json.dumps({"vertexes": [_STEP | _DONE, export]}).encode() + b"\n"

    async def start(self) -> None:
        """Start it again, with an empty history."""
        self._held.clear()
        await super().start()

    def _behaviour(self, iteration: int) -> str:
        return self._behaviours.get(str(iteration), self._behaviours.get("default", "ok"))

    def prune(self, request: PruneRequest) -> Command:  # noqa: ARG002 — nothing to prune
        """Return a command that does nothing, or what `daemon.config` says for `prune`."""
        return Command(("sh", "-c", self._behaviours.get("prune", "true")))

    async def answers(self) -> bool:
        """It always answers."""
        return True


@asynccontextmanager
async def open_stub(toolchain: Toolchain, spec: DaemonSpec, site: Slot) -> AsyncIterator[Daemon]:
    """Start a process in the daemon's place; see `OpenDaemon`."""
    home = await settle_in(toolchain, spec, site)

    async def ready() -> bool:
        return True

    async with running("stub", home, site, Command(("sleep", "infinity")), ready) as service:
        facts = DaemonFacts(
            "stub",
            "",
            toolchain.spec,
            "",
            private=True,
            pid=service.pid,
            log=home.log,
            cgroup=service.cgroup,
            disk=home.disk,
        )
        yield Stub(facts, service, {str(key): str(value) for key, value in spec.config.items()})
