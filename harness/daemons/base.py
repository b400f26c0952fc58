"""What a daemon under test can be asked for, whatever its kind."""

import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol, runtime_checkable

from harness.core.manifest import DaemonFacts
from harness.host.ledger import Ledger
from harness.host.proc import Command
from harness.host.relay import Relay
from harness.scenario import DaemonSpec
from harness.toolchain import Toolchain

TERM_SECONDS: Final = 10.0
"""How long a daemon may take to stop by itself; an idle one takes under a second, a hung one does not stop at all."""
ITERATION_ARG: Final = "REPRO_ITERATION"
"""A build argument that no Dockerfile uses, so that steps stay cached and results the same: it ties the daemon's record
of a build to its iteration.
"""

OF_OURS: Final = "repro-"
"""How the names of images begin that a scenario does not name."""
Listable = Literal["cache", "builds", "workers"]
"""What a daemon's client can list: the records of the cache or of the builds, or the workers."""


@dataclass(frozen=True)
class Cache:
    """A cache outside of the daemon, in the words of BuildKit's clients, which are the same for all of them."""

    type: str
    """`inline`, `local`, `registry`, `s3` or `gha`."""
    place: str
    """A folder, or an image reference; of an inline one the image; on a server for caches a name."""
    mode: str | None = None
    ignore_error: bool = False
    """Whether a build whose cache cannot be exported goes on as if it could."""
    server: str = ""
    """What it is told of the server that has it, `s3` and `gha`."""

    def exported(self, target: str = "") -> str:
        """Return what the export of a build, or of one target of several, is told."""
        if self.type == "inline":
            return "type=inline"
        mode = f",mode={self.mode}" if self.mode else ""
        return self._at("dest", target) + mode + (",ignore-error=true" if self.ignore_error else "")

    def imported(self, target: str = "") -> str:
        """Return what the import is told."""
        return self._at("src", target)

    def _at(self, folder: str, target: str) -> str:
        name = {"local": folder, "s3": "name", "gha": "scope"}.get(self.type, "ref")
        kind = "registry" if self.type == "inline" else self.type
        return ",".join((f"type={kind}", *filter(None, [self.server]), f"{name}={of_target(self.place, target)}"))


def of_target(name: str, target: str) -> str:
    """Return the name of what a target of several makes: ``repro-ci-0:latest-app``."""
    return f"{name}-{target}" if target else name


@dataclass(frozen=True)
class BuildRequest:
    """One build for a client to ask for."""

    iteration: int
    context: Path
    """A folder with the Dockerfile in it."""
    args: Mapping[str, str]
    tag: str
    exports: tuple[str, ...]
    """Each of them `load`, `image`, `oci`, `tar`, `local` or `push`."""
    places: Mapping[str, Path] = field(default_factory=dict)
    """Where the exports that make files put them, by their kind: `local` a folder; other archives go into the void."""
    no_cache: bool = False
    pull: bool = False
    network: str = "none"
    cache_to: Cache | None = None
    cache_from: tuple[Cache, ...] = ()
    targets: tuple[str, ...] = ()
    """The stages to build at once, each to a result of its own; without any, the last one."""
    definition: Path | None = None
    """The file that tells bake what `targets` are."""
    git: str = ""
    """The address of the git repository that the daemon is to fetch instead of `context`."""
    contexts: Mapping[str, str] = field(default_factory=dict)
    """Named contexts: a folder, or a reference such as ``docker-image://alpine:3.22``."""
    secrets: Mapping[str, Path] = field(default_factory=dict)
    """Files, by the id that steps name."""
    ssh_key: Path | None = None
    """The key of the agent that steps find."""
    platforms: tuple[str, ...] = ()
    host: str | None = None
    """The name of the client host that its client is on; None for ours."""

    @property
    def client_args(self) -> Mapping[str, str]:
        """The arguments as a client is told them: the scenario's, and the one that says which iteration it is."""
        return {**self.args, ITERATION_ARG: str(self.iteration)}

    @property
    def folders(self) -> Mapping[str, Path]:
        """What the daemon reads of the client's folders, by the names that the frontend asks for."""
        own = {} if self.git else {"context": self.context, "dockerfile": self.context}
        return own | {name: Path(place) for name, place in self.contexts.items() if place.startswith("/")}

    @property
    def options(self) -> Mapping[str, str]:
        """What the Dockerfile frontend is told."""
        options = {f"build-arg:{key}": value for key, value in self.client_args.items()}
        options["force-network-mode"] = self.network
        if self.pull:
            options["image-resolve-mode"] = "pull"
        if self.platforms:
            options["platform"] = ",".join(self.platforms)
        if self.git:
            options["context"] = self.git
        for name, place in self.contexts.items():
            options[f"context:{name}"] = f"local:{name}" if place.startswith("/") else place
        return options

    @property
    def results(self) -> int:
        """How many results the client exports."""
        return len(self.targets) or 1

    def archive(self, kind: str) -> str:
        """Return where an export that makes a file puts it."""
        return str(self.places.get(kind, "/dev/null"))

    @property
    def images(self) -> tuple[str, ...]:
        """The names of what it makes."""
        return tuple(of_target(self.tag, target) for target in self.targets or ("",))


def archive_type(request: BuildRequest) -> str:
    """Return the type of an archive that docker loads: its own has no room for several platforms."""
    return "oci" if len(request.platforms) > 1 else "docker"


@dataclass(frozen=True)
class PruneRequest:
    """What a client is to have removed."""

    what: Literal["cache", "images", "everything", "tag"] = "cache"
    all: bool = False
    """Also what a later build could still use, not only what is dangling."""
    filters: tuple[str, ...] = ()
    """In the client's own form, such as ``until=24h`` or ``type=regular``."""
    keep: int | None = None
    """Bytes of build cache to leave."""
    images: tuple[str, ...] = ()
    """Those to remove, for `tag`."""


@dataclass
class Slot:
    """Where a daemon is set up."""

    name: str
    """Unique on the host; the cgroup and the folders are named after it."""
    records: Path
    """For its log and its configuration: small, and kept with the run."""
    ledger: Ledger
    cores: tuple[int, ...] = ()
    """Those that it runs on; without any, on all."""
    may_stay: bool = False
    """Start the daemon so that it can be left running; one that is not dies with the harness."""
    stays: bool = False
    """Leave the daemon running on leaving."""
    grace: float = TERM_SECONDS
    """How long it may take to end on SIGTERM, on leaving."""
    relayed: bool = False
    """Have clients reach it over TCP, through a relay that can be made to fail."""
    hosts: tuple[str, ...] = ()
    """The names of client hosts that reach it through the relay."""
    left: list[str] = field(default_factory=list)
    """What could not be given back of what no ledger has, a sentence each."""


class BuildClient(Protocol):
    """Who waits for a build: a program of ours, or this process itself."""

    @property
    def pid(self) -> int | None:
        """Process id, and the id of its process group; None where it is this process."""
        ...

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        ...

    async def wait(self) -> int:
        """Wait until it ends."""
        ...

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send it a signal, or all of its group; nothing where it has ended."""
        ...

    def output(self) -> AsyncIterator[bytes]:
        """Yield what it prints, as it comes, to its end."""
        ...


class Daemon(Protocol):
    """A running daemon and its clients."""

    @property
    def facts(self) -> DaemonFacts:
        """What is recorded of it."""
        ...

    def build(self, request: BuildRequest) -> Command:
        """Return the client command for one build, which prints its progress as rawjson."""
        ...

    def prune(self, request: PruneRequest) -> Command | None:
        """Return the client command that prunes; None where this daemon keeps nothing of the kind."""
        ...

    async def answers(self) -> bool:
        """Whether it answers a trivial request within a few seconds."""
        ...

    async def ended(self) -> int:
        """Wait until its process ends by itself, and return the exit status; for ever where it is not ours."""
        ...


@runtime_checkable
class Profiled(Protocol):
    """A daemon with Go's pprof on."""

    async def goroutine_count(self) -> int | None:
        """Return how many goroutines it has; None where it does not say so in time."""
        ...

    async def goroutine_dump(self, deadline: float) -> str:
        """Return the stacks of all goroutines (``debug=2``).

        Raises:
            CaptureError: it did not answer by the deadline.
        """
        ...


@runtime_checkable
class ServesPages(Protocol):
    """A daemon with a debug address."""

    async def page(self, path: str, deadline: float, **query: str | int) -> bytes | None:
        """Return one page of it; None where it serves none at this path.

        Raises:
            CaptureError: it did not answer by the deadline.
        """
        ...


@runtime_checkable
class Informs(Protocol):
    """A daemon with Docker's API."""

    async def info(self) -> Mapping[str, Any]:
        """Return its answer to ``/info``; empty where it gives none in time."""
        ...


@runtime_checkable
class TellsLog(Protocol):
    """A daemon that keeps its log elsewhere than in a file, and returns it when asked."""

    async def log_tail(self, lines: int) -> str:
        """Return its last lines.

        Raises:
            CaptureError: it is not there.
        """
        ...


@dataclass(frozen=True)
class BuildRecords:
    """What a daemon says of the builds that it has done and does."""

    text: str
    """As its client prints it."""
    running: tuple[str, ...]
    """The lines of the builds that the daemon reports as running."""


@runtime_checkable
class ListsRecords(Protocol):
    """A daemon whose client lists what it keeps."""

    async def build_records(self) -> BuildRecords:
        """Return the records of its builds.

        Raises:
            CaptureError: it did not say.
        """
        ...

    async def cache_records(self) -> str:
        """Return the records of its cache, in the client's own words.

        Raises:
            CaptureError: it did not say.
        """
        ...


@runtime_checkable
class Listing(Protocol):
    """A daemon whose client can list its records as an act, without a deadline of the daemon's own."""

    def listing(self, what: Listable) -> Command:
        """Return the client command that lists the records of the cache or of the builds, or the workers."""
        ...


@runtime_checkable
class SavesImages(Protocol):
    """A daemon with images, whose client writes one to a file."""

    def save(self, request: BuildRequest, file: Path) -> Command | None:
        """Return the client command that writes a build's result to a file; None where that is none of its images."""
        ...


@dataclass(frozen=True)
class RunningBuild:
    """A record of a build that a daemon holds to be running, whether it still has a client or not."""

    ref: str
    iteration: int | None = None
    """Which one of ours it is, where the list of records says so already."""


@runtime_checkable
class TellsBuilds(Protocol):
    """A daemon that lists its running builds, those without a client included. Each question has a deadline."""

    async def builds(self) -> Sequence[RunningBuild]:
        """Return the builds that the daemon holds to be running.

        Raises:
            CaptureError: it did not say.
        """
        ...

    async def iteration_of(self, ref: str) -> int | None:
        """Return the iteration that a running build belongs to; None for a build of somebody else.

        Raises:
            CaptureError: it did not say, or the record has gone.
        """
        ...

    async def progress(self, ref: str) -> bytes:
        """Return what has become of a running build so far, as rawjson.

        Raises:
            CaptureError: it did not say, or the record has gone.
        """
        ...


COMPOSED_IMAGE: Final = "REPRO_IMAGE"
"""The variable that tells compose what the images of a build are called, up to the target."""


@runtime_checkable
class BuildsByCompose(Protocol):
    """A daemon on which compose can build."""

    def composed(self, request: BuildRequest) -> Command:
        """Return the command of one build of several services."""
        ...


@runtime_checkable
class Relayed(Protocol):
    """A daemon that a relay may stand before."""

    @property
    def relay(self) -> Relay | None:
        """What clients reach it through; None where they reach it straight."""
        ...


@runtime_checkable
class Restartable(Protocol):
    """A daemon that can be stopped, and started again on the same root."""

    async def stop(self, grace: float = ...) -> bool:
        """SIGTERM it, and SIGKILL it after `grace` seconds; return whether it ended by itself before that."""
        ...

    async def falls(self, seconds: float) -> int | None:
        """Wait until somebody else ends it, as was meant; return its status, or None where it outlives that time."""
        ...

    async def start(self) -> None:
        """Start it, and wait until it is ready.

        Raises:
            DaemonStartError: it did not come up.
        """
        ...


@runtime_checkable
class RestartsBuilder(Protocol):
    """A daemon with a builder in a container, which can be stopped and started again by itself."""

    async def stop_builder(self, grace: float = ...) -> bool:
        """SIGTERM it, and SIGKILL it after `grace` seconds; return whether it ended by itself before that."""
        ...

    async def start_builder(self) -> None:
        """Start it on the root that it had, and wait until it is ready.

        Raises:
            DaemonStartError: it did not come up.
        """
        ...


class OpenDaemon(Protocol):
    """Opens a daemon of one kind: starts it and waits for it on entering, ends it and cleans up on leaving."""

    def __call__(self, toolchain: Toolchain, spec: DaemonSpec, site: Slot) -> AbstractAsyncContextManager[Daemon]:
        """Return the context manager.

        Raises (on entering):
            DaemonStartError: it did not come up; what was started of it has been ended.
        """
        ...
