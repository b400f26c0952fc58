"""The servers of a run's own that its actors need: a registry, servers for caches, a collector of traces."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harness.actors.base import Actor
from harness.daemons.cache_servers import CACHE_SERVERS
from harness.daemons.collector import open_collector, traced_to
from harness.daemons.http_relay import HttpRelay
from harness.daemons.registry import RunRegistry, open_registry, relayed
from harness.host.ledger import Ledger
from harness.scenario import DaemonSpec


@dataclass(frozen=True)
class RunServers:
    """Those that a run has."""

    registry: RunRegistry | None = None
    caches: Mapping[str, str] = field(default_factory=dict)
    """What caches are told of their servers, by the type of cache."""
    collector: HttpRelay | None = None

    @property
    def registry_address(self) -> str:
        """Where builds reach the registry; empty where there is none."""
        return self.registry.address if self.registry else ""

    def known_to(self, spec: DaemonSpec) -> DaemonSpec:
        """Return a daemon that hands its traces to the collector, where there is one; what the scenario says stands."""
        if self.collector is None:
            return spec
        return spec.model_copy(update={"env": {**traced_to(self.collector.address), **spec.env}})


NO_SERVERS: Final = RunServers()


@asynccontextmanager
async def open_servers(
    actors: Sequence[Actor], ledger: Ledger, records: Path, doing: Callable[[str], None]
) -> AsyncIterator[RunServers]:
    """Have the servers that actors need, for the whole run, with a relay in front where one makes faults.

    Args:
        actors: the scenario's.
        ledger: where processes and folders are noted.
        records: the run's folder, for logs.
        doing: is told what may take a while.

    Raises:
        NoServer: one could not be had, or did not answer.
        NoRelay: a relay can listen nowhere.
    """
    registry, collector = None, None
    caches: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        if any(actor.needs_registry for actor in actors):
            doing("starting a registry")
            registry = await stack.enter_async_context(open_registry(ledger, records))
            if any(actor.disturbs_registry for actor in actors):
                registry = await stack.enter_async_context(relayed(registry))
        for kind in sorted({kind for actor in actors for kind in actor.needs_caches}):
            doing(f"starting a server for {kind} caches")
            caches[kind] = await stack.enter_async_context(CACHE_SERVERS[kind](ledger, records))
        if any(actor.needs_collector for actor in actors):
            doing("starting a collector of traces")
            collector = await stack.enter_async_context(open_collector(ledger, records))
        yield RunServers(registry, caches, collector)
