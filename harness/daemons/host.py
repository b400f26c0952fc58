"""The Docker daemon that the user's context points to: it is loaded, and never started or stopped.

What the run has made there goes with it (`visit`).
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from harness.core.errors import UsageError
from harness.core.manifest import DaemonFacts
from harness.daemons.base import BuildRequest, Daemon, PruneRequest, Slot
from harness.daemons.dockerd import DockerClient, image_store_in
from harness.daemons.parts import BuildHistory
from harness.daemons.visit import visit
from harness.host.cache import cache_folder
from harness.host.proc import Command
from harness.scenario import DaemonSpec
from harness.toolchain import Toolchain


class HostUnreachable(UsageError):
    """The user's own daemon does not answer."""

    def __init__(self, address: str) -> None:
        super().__init__(f"the host's Docker daemon at {address} does not answer; start it, or leave out --daemon host")


class HostDaemon(BuildHistory):
    """The user's own daemon, behind its docker command line."""

    def __init__(self, facts: DaemonFacts, client: DockerClient, name: Callable[[Iterable[str]], None]) -> None:
        self.facts, self._client, self._history = facts, client, client.buildx
        self._name = name

    def build(self, request: BuildRequest) -> Command:
        """Return the command of one build through buildx."""
        self._name(request.images)
        return self._client.buildx.build(request)

    def prune(self, request: PruneRequest) -> Command:
        """Return the command that prunes the build cache or the images."""
        return self._client.prune(request)

    def save(self, request: BuildRequest, file: Path) -> Command | None:
        """Return the command that writes a build's image to a file."""
        return self._client.save(request, file)

    async def answers(self) -> bool:
        """Whether it answers a ping."""
        return await self._client.answers()

    async def ended(self) -> int:
        """Never return: its process is not ours to watch."""
        await anyio.sleep_forever()
        raise AssertionError


@asynccontextmanager
async def open_host(toolchain: Toolchain, spec: DaemonSpec, site: Slot) -> AsyncIterator[Daemon]:  # noqa: ARG001 — it is as it is
    """Reach the user's daemon; see `OpenDaemon`."""
    address = toolchain.endpoint or ""
    client = DockerClient(str(toolchain.binaries["docker"].path), address, {})
    if not await client.answers():
        raise HostUnreachable(address)
    version: dict[str, Any] = await client.version()
    store = image_store_in(await client.info())
    details = {"image_store": store} if store else {}
    facts = DaemonFacts("dockerd", version.get("Version", ""), toolchain.spec, address, private=False, details=details)
    guest = visit(client, site.ledger.own_folder(cache_folder("visits") / site.name))
    async with guest.going_on(site.left):
        yield HostDaemon(facts, client, guest.name)
