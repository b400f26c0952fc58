"""A private buildkitd whose builds go through buildx: the remote driver. Nothing of Docker's runs beside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from harness.core.manifest import DaemonFacts
from harness.daemons.base import Daemon, PruneRequest, Slot
from harness.daemons.buildkitd import Buildkitd, open_buildkitd
from harness.daemons.buildx import BUILDER, Buildx, client_environment
from harness.host.proc import Command, run
from harness.scenario import DaemonSpec
from harness.toolchain import Toolchain

_CREATE_SECONDS: Final = 30.0


class Remote:
    """A running private buildkitd, and buildx pointed at it."""

    def __init__(self, buildkitd: Buildkitd, buildx: Buildx) -> None:
        self._buildkitd, self._buildx, self.control = buildkitd, buildx, buildkitd.control
        self.build, self.answers, self.builds = buildx.build, buildkitd.answers, buildkitd.builds
        self.iteration_of, self.progress = buildkitd.iteration_of, buildkitd.progress
        self.ended, self.stop, self.start = buildkitd.ended, buildkitd.stop, buildkitd.start
        self.goroutine_count, self.goroutine_dump = buildkitd.goroutine_count, buildkitd.goroutine_dump
        self.page, self.build_records = buildkitd.page, buildkitd.build_records
        self.cache_records, self.listing = buildkitd.cache_records, buildkitd.listing

    @property
    def facts(self) -> DaemonFacts:
        """What is recorded of it, with the process that runs now."""
        facts = self._buildkitd.facts
        return replace(facts, details={**facts.details, "driver": "remote"})

    def prune(self, request: PruneRequest) -> Command | None:
        """Return the command that prunes the cache, where that has what is to be removed."""
        return self._buildx.prune(request) if self._buildkitd.prune(request) else None


@asynccontextmanager
async def open_remote(toolchain: Toolchain, spec: DaemonSpec, site: Slot) -> AsyncIterator[Daemon]:
    """Start a private buildkitd, and make a builder for it; see `OpenDaemon`."""
    async with open_buildkitd(toolchain, spec, site) as buildkitd:
        buildx = Buildx(
            program=(str(buildkitd.home.bin / "docker-buildx"),),
            environment=client_environment(buildkitd.home),
            builder=BUILDER,
            load=("--output", "type=docker,dest=/dev/null"),
            image=("--output", "type=image"),
        )
        create = (*buildx.program, "create", "--name", BUILDER, "--driver", "remote", buildkitd.facts.address)
        await run(create, deadline=_CREATE_SECONDS, env=buildx.environment)
        yield Remote(buildkitd, buildx)
