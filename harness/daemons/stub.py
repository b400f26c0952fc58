"""No daemon at all: builds are a small shell script told to behave, hang or die; for tests of the harness itself.

``daemon.config`` maps iterations to behaviours (see ``stub_client.sh``) and ``default`` to that of all others.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from harness.daemons.base import BuildRequest, Daemon, DaemonFacts, PruneRequest, Site
from harness.daemons.private import Service, running, settle_in
from harness.proc import Command
from harness.scenario import DaemonSpec
from harness.toolchain import Toolchain

_CLIENT: Final = Path(__file__).with_name("stub_client.sh")


class Stub:
    """A process that does nothing, and clients that only pretend."""

    def __init__(self, facts: DaemonFacts, service: Service, behaviours: Mapping[str, str]) -> None:
        self._facts, self._service, self._behaviours = facts, service, behaviours
        self.ended, self.stop, self.start = service.ended, service.stop, service.start

    @property
    def facts(self) -> DaemonFacts:
        """What is recorded of it, with the process that runs now."""
        return replace(self._facts, pid=self._service.pid)

    def build(self, request: BuildRequest) -> Command:
        """Return a client that behaves as the configuration says for this iteration."""
        behaviour = self._behaviours.get(str(request.iteration), self._behaviours.get("default", "ok"))
        return Command(("sh", str(_CLIENT), behaviour))

    def prune(self, request: PruneRequest) -> Command:  # noqa: ARG002 — nothing to prune
        """Return a command that does nothing."""
        return Command(("true",))

    async def answers(self) -> bool:
        """It always answers."""
        return True


@asynccontextmanager
async def open_stub(toolchain: Toolchain, spec: DaemonSpec, site: Site) -> AsyncIterator[Daemon]:
    """Start a process in the daemon's place; see `OpenDaemon`."""
    home = await settle_in(toolchain, spec, site)

    async def ready() -> bool:
        return True

    async with running(home, site, Command(("sleep", "infinity")), ready) as service:
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
