"""A private buildkitd whose builds go through buildx's remote driver, with no Docker daemon beside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from harness.core.manifest import DaemonFacts
from harness.daemons.base import BuildRequest, Daemon, PruneRequest, Slot
from harness.daemons.buildkitd import Buildkitd, open_buildkitd
from harness.daemons.buildx import BUILDER, Buildx, client_environment
from harness.host.proc import Command, run
from harness.scenario import DaemonSpec
from harness.toolchain import Toolchain

_CREATE_SECONDS: Final = 30.0


class Remote(Buildkitd):
    """A running private buildkitd, and buildx pointed at it."""

    def __init__(self, buildkitd: Buildkitd, buildx: Buildx) -> None:
        super().__init__(buildkitd.started)
        self._buildx = buildx

    @property
    def facts(self) -> DaemonFacts:
        """What is recorded of it, with the process that runs now."""
        facts = super().facts
        return replace(facts, details={**facts.details, "driver": "remote"})

    def build(self, request: BuildRequest) -> Command:
        """Return the command of one build through buildx."""
        return self._buildx.build(request)

    def prune(self, request: PruneRequest) -> Command | None:
        """Return the command that prunes the cache, where that has what is to be removed."""
        return self._buildx.prune(request) if super().prune(request) else None


@asynccontextmanager
async def open_remote(toolchain: Toolchain, spec: DaemonSpec, site: Slot) -> AsyncIterator[Daemon]:
    """Start a private buildkitd, and make a builder for it; see `OpenDaemon`."""
    async with open_buildkitd(toolchain, spec, site) as buildkitd:
        buildx = Buildx(
            program=(str(buildkitd.home.bin / "docker-buildx"),),
            environment=client_environment(buildkitd.home),
            builder=BUILDER,
            load=(),
            image=("--output", "type=image"),
        )
        create = (*buildx.program, "create", "--name", BUILDER, "--driver", "remote", buildkitd.started.address)
        await run(create, deadline=_CREATE_SECONDS, env=buildx.environment)
        yield Remote(buildkitd, buildx)
