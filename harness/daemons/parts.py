"""What several kinds of daemons are made of: each class answers one or two of the Protocols in `base`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.core.manifest import DaemonFacts
from harness.daemons.base import TERM_SECONDS, BuildRecords, Listable, RunningBuild
from harness.daemons.buildctl import Buildctl
from harness.daemons.buildx import Buildx
from harness.daemons.control import Control, NotServed
from harness.daemons.pprof import Pprof
from harness.daemons.private import DaemonDirs, Service
from harness.host.proc import Command
from harness.host.relay import Relay


@dataclass(frozen=True)
class PrivateDaemon:
    """A private daemon that is up, and how it is reached."""

    facts: DaemonFacts
    service: Service
    home: DaemonDirs
    pprof: Pprof
    control: Control
    relay: Relay | None = None
    """What clients of builds reach it through, where something stands between."""

    @property
    def address(self) -> str:
        """Where the scenario's clients reach it; what the harness asks goes straight."""
        return f"tcp://{self.relay.address}" if self.relay else self.facts.address


class OwnProcess:
    """A daemon whose process is ours: it can be stopped, and started again (`Restartable`)."""

    _facts: DaemonFacts
    _service: Service

    @property
    def facts(self) -> DaemonFacts:
        """What is recorded of it, with the process that runs now."""
        return replace(self._facts, pid=self._service.pid)

    async def ended(self) -> int:
        """Wait until its process ends by itself, and return the exit status."""
        return await self._service.ended()

    async def stop(self, grace: float = TERM_SECONDS) -> bool:
        """SIGTERM it, and SIGKILL it after `grace` seconds; return whether it ended by itself before that."""
        return await self._service.stop(grace)

    async def falls(self, seconds: float) -> int | None:
        """Wait until somebody else ends it, as was meant; return its status, or None where it outlives that time."""
        return await self._service.falls(seconds)

    async def start(self) -> None:
        """Start it again on the same root, and wait until it is ready.

        Raises:
            DaemonStartError: it did not come up.
        """
        await self._service.start()


class DebugPages:
    """A daemon that serves Go's pprof (`Profiled`), and other pages beside it (`ServesPages`)."""

    _pprof: Pprof

    async def goroutine_count(self) -> int | None:
        """Return how many goroutines it has; None where it does not say so in time."""
        return await self._pprof.goroutine_count()

    async def goroutine_dump(self, deadline: float) -> str:
        """Return the stacks of all goroutines (``debug=2``)."""
        return await self._pprof.goroutine_dump(deadline)

    async def page(self, path: str, deadline: float, **query: str | int) -> bytes | None:
        """Return one page of it; None where it serves none at this path."""
        return await self._pprof.page(path, deadline, **query)


class BuildHistory:
    """A daemon that tells of its builds (`TellsBuilds`), and whose client lists what it keeps (`Listing`)."""

    _history: Buildctl | Buildx

    async def builds(self) -> Sequence[RunningBuild]:
        """Return the builds that it holds to be running."""
        return await self._history.builds()

    async def iteration_of(self, ref: str) -> int | None:
        """Return which iteration a running build is."""
        return await self._history.iteration_of(ref)

    async def progress(self, ref: str) -> bytes:
        """Return what has become of a running build so far, as rawjson."""
        return await self._history.progress(ref)

    def listing(self, what: Listable) -> Command:
        """Return the client command that lists records."""
        return self._history.listing(what)


class ControlledHistory(BuildHistory):
    """The same, with a control API that is asked first (`Controlled`)."""

    control: Control

    async def builds(self) -> Sequence[RunningBuild]:
        """Return the builds that it holds to be running."""
        try:
            return await self.control.running_builds()
        except NotServed:
            return await super().builds()


class Records:
    """A daemon whose records are all of our own builds (`ListsRecords`)."""

    _history: Buildctl | Buildx

    async def build_records(self) -> BuildRecords:
        """Return the records of its builds."""
        return await self._history.build_records()

    async def cache_records(self) -> str:
        """Return the records of its cache."""
        return await self._history.cache_records()
