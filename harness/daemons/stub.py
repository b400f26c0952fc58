"""No daemon at all: builds are a small shell script told to behave, hang or die; for tests of the harness itself.

``daemon.config`` maps iterations to behaviours (see ``stub_client.sh``) and ``default`` to that of all others.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from harness.daemons.base import BuildRequest, Daemon, DaemonFacts, Site
from harness.daemons.private import running, settle_in
from harness.proc import Child, Command
from harness.scenario import DaemonSpec
from harness.toolchain import Toolchain

_CLIENT: Final = Path(__file__).with_name("stub_client.sh")


class Stub:
    """A process that does nothing, and clients that only pretend."""

    def __init__(self, facts: DaemonFacts, process: Child, behaviours: Mapping[str, str]) -> None:
        self.facts = facts
        self._process, self._behaviours = process, behaviours

    def build(self, request: BuildRequest) -> Command:
        """Return a client that behaves as the configuration says for this iteration."""
        behaviour = self._behaviours.get(str(request.iteration), self._behaviours.get("default", "ok"))
        return Command(("sh", str(_CLIENT), behaviour))

    def prune(self, *, everything: bool) -> Command:  # noqa: ARG002 — nothing to prune
        """Return a command that does nothing."""
        return Command(("true",))

    async def answers(self) -> bool:
        """It always answers."""
        return True

    async def ended(self) -> int:
        """Wait until its process ends."""
        return await self._process.wait()


@asynccontextmanager
async def open_stub(toolchain: Toolchain, spec: DaemonSpec, site: Site) -> AsyncIterator[Daemon]:
    """Start a process in the daemon's place; see `OpenDaemon`."""
    home = settle_in(toolchain, site)

    async def ready() -> bool:
        return True

    async with running(home, site, Command(("sleep", "infinity")), ready) as process:
        facts = DaemonFacts("stub", "", toolchain.spec, "", private=True, pid=process.pid, log=home.log)
        yield Stub(facts, process, {str(key): str(value) for key, value in spec.config.items()})
