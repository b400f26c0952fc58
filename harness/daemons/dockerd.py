"""A private dockerd with its own containerd; builds go through the docker driver of ``docker buildx``."""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio.to_thread

from harness.core.errors import DaemonStartError
from harness.core.manifest import DaemonFacts
from harness.daemons.api_build import ApiRequest
from harness.daemons.base import COMPOSED_IMAGE, OF_OURS, BuildRequest, PruneRequest, Slot
from harness.daemons.buildx import Buildx, client_environment
from harness.daemons.control import Control
from harness.daemons.gc import for_dockerd
from harness.daemons.parts import ControlledHistory, DebugPages, OwnProcess, PrivateDaemon, Records
from harness.daemons.pprof import Pprof
from harness.daemons.private import DaemonDirs, before, running, settle_in
from harness.host.proc import Command
from harness.scenario import DaemonSpec
from harness.toolchain import BAKE, COMPOSE, Toolchain, is_before

if TYPE_CHECKING:
    import docker

T = TypeVar("T")

_ANSWER_SECONDS: Final = 3
_BUILDX_OPTIONS: Final = {
    "filename": "Dockerfile",
    "image-resolve-mode": "local",
    "attest:provenance": "mode=min,inline-only=true",
}
"""What buildx tells the frontend beside what it was told."""
_SNAPSHOTTER: Final = "io.containerd.snapshotter.v1"
"""The `driver-type` in ``/info`` of an engine on containerd's image store."""
_NO_NAME: Final = "<none>:<none>"
"""What stands for the name of an image that has none."""


@dataclass(frozen=True)
class Images:
    """The images of an engine."""

    named: frozenset[str] = frozenset()
    """Their names, such as ``repro-ci-0:latest``."""
    nameless: frozenset[str] = frozenset()
    """The ids of those without one, also without a digest in a repository of somebody's."""
    ids: frozenset[str] = frozenset()
    """The ids of all."""


@dataclass(frozen=True)
class DockerClient:
    """The docker command line, pointed at one engine."""

    program: str
    address: str
    environment: Mapping[str, str]

    @property
    def buildx(self) -> Buildx:
        """The engine's own builder (the docker driver)."""
        return Buildx((self.program, "buildx"), self._environment)

    def prune(self, request: PruneRequest) -> Command:
        """Return the command that prunes the build cache or the images."""
        if request.what == "cache":
            return self.buildx.prune(request)
        if request.what == "tag":
            return self.command("image", "rm", "--force", *request.images)
        words = ["image", "prune"] if request.what == "images" else ["system", "prune", "--volumes"]
        return self.command(
            *(*words, "--force", *(["--all"] if request.all else [])),
            *(part for text in request.filters for part in ("--filter", text)),
        )

    def save(self, request: BuildRequest, file: Path) -> Command | None:
        """Return the command that writes a build's image to a file."""
        is_image = bool({"load", "image"} & {*request.exports})
        return self.command("save", "--output", str(file), request.tag) if is_image else None

    async def answers(self) -> bool:
        """Whether the engine answers a ping."""
        return await self._asked(lambda engine: bool(engine.ping()), silent=False)

    async def version(self) -> dict[str, Any]:
        """Return the engine's answer to ``/version``; empty where it gives none."""
        silent: dict[str, Any] = {}
        return await self._asked(lambda engine: engine.version(), silent=silent)

    async def info(self) -> dict[str, Any]:
        """Return the engine's answer to ``/info``; empty where it gives none."""
        silent: dict[str, Any] = {}
        return await self._asked(lambda engine: engine.info(), silent=silent)

    async def images(self) -> Images:
        """Return the images that the engine keeps; none where it gives no answer."""
        silent: list[dict[str, Any]] = []
        listed = await self._asked(lambda engine: engine.api.images(), silent=silent)
        names = {each["Id"]: [*_names_of(each)] for each in listed}
        named = frozenset(name for tags in names.values() for name in tags)
        return Images(named, frozenset(image for image, tags in names.items() if not tags), frozenset(names))

    async def remove_images(self, images: Sequence[str]) -> dict[str, str]:
        """Take images away by their names or ids; return why not, for those that stay. One that is gone is no fault."""

        def remove(engine: "docker.DockerClient") -> dict[str, str]:
            import docker  # noqa: PLC0415 — see `_ask`

            refused = {}
            for image in images:
                try:
                    engine.api.remove_image(image)
                except docker.errors.NotFound:
                    continue
                except docker.errors.APIError as error:
                    refused[image] = str(error.explanation or error)
            return refused

        return await self._asked(remove, silent=dict.fromkeys(images, "the engine gave no answer"))

    async def _asked(self, question: "Callable[[docker.DockerClient], T]", silent: T) -> T:
        return await anyio.to_thread.run_sync(_ask, self.address, question, silent, abandon_on_cancel=True)

    def command(self, *words: str) -> Command:
        """Return a command of the docker command line."""
        return Command((self.program, *words), self._environment)

    @property
    def _environment(self) -> Mapping[str, str]:
        return {**self.environment, "DOCKER_HOST": self.address}


def _names_of(image: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of an image: its tags, and digests, but those of a repository of ours."""
    yield from (name for name in image.get("RepoTags") or () if name != _NO_NAME)
    digests: Sequence[str] = image.get("RepoDigests") or ()
    yield from (name for name in digests if not name.startswith((OF_OURS, "<none>")))


def _ask(address: str, question: "Callable[[docker.DockerClient], T]", silent: T) -> T:
    """Return the engine's answer to one request, or `silent` where it gives none in time."""
    scheme, _, place = address.partition("://")
    if scheme == "unix" and not Path(place).exists():  # docker's client would leave a socket open for nothing
        return silent
    import docker  # noqa: PLC0415 — a fifth of the start of every command, and asked for by few

    try:
        client = docker.DockerClient(base_url=address, timeout=_ANSWER_SECONDS)
        try:
            return question(client)
        finally:
            client.close()
    except (docker.errors.DockerException, OSError):
        return silent


class Dockerd(OwnProcess, DebugPages, ControlledHistory, Records):
    """A running private dockerd."""

    def __init__(self, started: PrivateDaemon, client: DockerClient) -> None:
        self._facts, self._service, self._pprof = started.facts, started.service, started.pprof
        self.home, self.control, self.client = started.home, started.control, client
        self.relay, self._outside = started.relay, replace(client, address=started.address)
        self._history = client.buildx

    def build(self, request: BuildRequest) -> Command:
        """Return the command of one build through buildx."""
        return self._outside.buildx.build(request)

    def composed(self, request: BuildRequest) -> Command:
        """Return the command of one build of several services through compose."""
        command = self._outside.command(
            *("compose", "--project-name", "repro", "--file", str(request.definition), "build"),
            *(["--no-cache"] if request.no_cache else []),
            *(["--pull"] if request.pull else []),
            *(part for key, value in request.client_args.items() for part in ("--build-arg", f"{key}={value}")),
            *request.targets,
        )
        bake: Mapping[str, str] = self._facts.details.get("compose_env", {})
        env = {**command.env, **bake, "BUILDKIT_PROGRESS": "rawjson", COMPOSED_IMAGE: request.tag}
        return replace(command, env=env)

    def asked(self, request: BuildRequest) -> ApiRequest:
        """Return what it is asked for by who builds without a client: the same as buildx asks for."""
        options = {**_BUILDX_OPTIONS, **request.options}
        return ApiRequest(request.folders, options, request.no_cache, "moby", _full_name(request.tag))

    def prune(self, request: PruneRequest) -> Command:
        """Return the command that prunes the build cache or the images."""
        return self._outside.prune(request)

    def save(self, request: BuildRequest, file: Path) -> Command | None:
        """Return the command that writes a build's image to a file."""
        return self.client.save(request, file)

    async def answers(self) -> bool:
        """Whether it answers a ping."""
        return await self.client.answers()

    async def info(self) -> Mapping[str, Any]:
        """Return its answer to ``/info``; empty where it gives none in time."""
        return await self.client.info()

    async def start(self) -> None:
        """Start it again, and wait until it is ready.

        Its containerd dies with it. Until that one is reaped, dockerd would take it for alive, and wait ten seconds for
        its answer; so what says its pid is removed.

        Raises:
            DaemonStartError: it did not come up.
        """
        (self.home.run / "exec" / "containerd" / "containerd.pid").unlink(missing_ok=True)
        await super().start()


def _full_name(tag: str) -> str:
    """Return an image's name with its registry: ``docker.io/library/repro-ci-0:latest``."""
    first, _, rest = tag.partition("/")
    if not rest:
        return f"docker.io/library/{tag}"
    return tag if first == "localhost" or {".", ":"} & {*first} else f"docker.io/{tag}"


@asynccontextmanager
async def open_dockerd(toolchain: Toolchain, spec: DaemonSpec, site: Slot) -> AsyncIterator[Dockerd]:
    """Start a private dockerd; see `OpenDaemon`."""
    home = await settle_in(toolchain, spec, site)
    socket = home.run / "docker.sock"
    configuration = home.records / "daemon.json"
    configuration.write_text(json.dumps(_configuration(home, spec, socket), indent=1))
    client = DockerClient(str(home.bin / "docker"), f"unix://{socket}", client_environment(home))
    command = Command(
        (str(home.bin / "dockerd"), "--config-file", str(configuration)), {**home.environment, **spec.env}
    )
    async with running("dockerd", home, site, command, client.answers) as service, before(socket, site) as relay:
        pprof, control = Pprof(socket), Control(socket, engine=True)
        try:
            info = await client.info()
            _require_own_root(info, home)
            version = await client.version()
            facts = DaemonFacts(
                kind="dockerd",
                version=version.get("Version", ""),
                toolchain=toolchain.spec,
                address=client.address,
                private=True,
                pid=service.pid,
                log=home.log,
                cgroup=service.cgroup,
                disk=home.disk,
                root=home.root,
                details={
                    "debug_socket": str(socket),
                    "image_store": image_store_in(info) or spec.image_store,
                    **_compose_env(toolchain),
                    "components": {part["Name"]: part["Version"] for part in version.get("Components", ())},
                },
            )
            yield Dockerd(
                PrivateDaemon(facts=facts, service=service, home=home, pprof=pprof, control=control, relay=relay),
                client,
            )
        finally:
            control.close()
            await pprof.close()


def _compose_env(toolchain: Toolchain) -> dict[str, Mapping[str, str]]:
    """Return what compose is told, for the daemon's record: to build by itself, where its bake takes a later buildx."""
    compose, buildx = (toolchain.binaries.get(name) for name in (COMPOSE, "docker-buildx"))
    return {"compose_env": {"COMPOSE_BAKE": "false"}} if compose and buildx and is_before(buildx, BAKE) else {}


def image_store_in(info: Mapping[str, Any]) -> str:
    """Return where an engine keeps images, by its answer to ``/info``: `containerd` or `graphdriver`; empty: unknown.

    Engines before 24.0 know of no other place than a graph driver, whatever they are told.
    """
    if "Driver" not in info:
        return ""
    status = {str(pair[0]): str(pair[1]) for pair in info.get("DriverStatus") or () if len(pair) == 2}
    return "containerd" if status.get("driver-type") == _SNAPSHOTTER else "graphdriver"


def _require_own_root(info: Mapping[str, Any], home: DaemonDirs) -> None:
    """Make sure of the daemon that answers that it lives on the root made for it: its prunes delete what is there.

    Raises:
        DaemonStartError: it lives elsewhere.
    """
    root = info.get("DockerRootDir")
    if root is not None and Path(root).resolve() != home.root.resolve():
        why = f"it lives on {root}, not on {home.root} that was made for it, and so nothing may be pruned there"
        raise DaemonStartError("dockerd", why, home.log)


def _configuration(home: DaemonDirs, spec: DaemonSpec, socket: Path) -> dict[str, Any]:
    """Return daemon.json: beside any other daemon, no network of the host touched, debug and pprof on."""
    ours: dict[str, Any] = {
        "data-root": str(home.root),
        "exec-root": str(home.run / "exec"),
        "pidfile": str(home.run / "docker.pid"),
        "hosts": [f"unix://{socket}"],
        "cgroup-parent": f"/{home.cgroup.name}",
        "exec-opts": ["native.cgroupdriver=cgroupfs"],  # systemd's, usual with cgroup v2, takes no such parent
        "bridge": "none",
        "iptables": False,
        "ip6tables": False,
        "ip-forward": False,
        "userland-proxy": False,
        "debug": True,
        "features": {"containerd-snapshotter": spec.image_store == "containerd"},
    }
    if spec.gc:
        ours["builder"] = {"gc": for_dockerd(spec.gc)}
    features = {"features": ours["features"] | spec.config.get("features", {})}
    return ours | spec.config | features
