"""A private dockerd with its own containerd; builds go through the docker driver of ``docker buildx``."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio.to_thread
import docker
from docker.errors import DockerException

from harness.daemons.base import BuildRequest, Daemon, DaemonFacts, PruneRequest, Site
from harness.daemons.gc import for_dockerd
from harness.daemons.pprof import Pprof
from harness.daemons.private import Home, Service, running, settle_in
from harness.errors import CaptureError, CommandError, CommandTimeout
from harness.proc import Command, run
from harness.scenario import DaemonSpec
from harness.toolchain import Toolchain

T = TypeVar("T")

_ANSWER_SECONDS: Final = 3
_LIST_SECONDS: Final = 10.0


@dataclass(frozen=True)
class DockerClient:
    """The docker command line, pointed at one engine."""

    program: str
    address: str
    environment: dict[str, str]

    def build(self, request: BuildRequest) -> Command:
        """Return the command of one build through ``docker buildx``."""
        args = [part for key, value in request.args.items() for part in ("--build-arg", f"{key}={value}")]
        export = {"load": ["--load"], "image": [], "oci": ["--output", "type=oci,dest=/dev/null"]}[request.export]
        return self._command(
            *("buildx", "build", "--builder", "default", "--progress", "rawjson", "--network", request.network),
            *(["--no-cache"] if request.no_cache else []),
            *(*args, "--tag", request.tag, *export, str(request.context)),
        )

    def prune(self, request: PruneRequest) -> Command:
        """Return the command that prunes the build cache or the images."""
        words = {
            "cache": ["buildx", "prune", "--builder", "default"],
            "images": ["image", "prune"],
            "everything": ["system", "prune", "--volumes"],
            "tag": ["image", "rm"],
        }[request.what]
        if request.what == "tag":
            return self._command(*words, "--force", request.tag)
        return self._command(
            *(*words, "--force", *(["--all"] if request.all else [])),
            *(part for text in request.filters for part in ("--filter", text)),
            *(["--keep-storage", f"{request.keep}B"] if request.keep is not None else []),
        )

    async def running_records(self) -> int:
        """Return how many build records are running (``docker buildx history ls``, in buildx 0.20 and later)."""
        command = self._command("buildx", "history", "ls", "--builder", "default", "--filter", "status=running")
        try:
            told = await run(command.argv, deadline=_LIST_SECONDS, env=command.env)
        except (CommandError, CommandTimeout) as error:
            raise CaptureError(" ".join(str(error).split())) from error
        return len(told.stdout.splitlines()[1:])

    async def answers(self) -> bool:
        """Whether the engine answers a ping."""
        return await self._asked(lambda engine: bool(engine.ping()), silent=False)

    async def version(self) -> dict[str, Any]:
        """Return the engine's answer to ``/version``; empty where it gives none."""
        silent: dict[str, Any] = {}
        return await self._asked(lambda engine: engine.version(), silent=silent)

    async def _asked(self, question: Callable[[docker.DockerClient], T], silent: T) -> T:
        return await anyio.to_thread.run_sync(_ask, self.address, question, silent, abandon_on_cancel=True)

    def _command(self, *words: str) -> Command:
        return Command((self.program, *words), self.environment | {"DOCKER_HOST": self.address})


def _ask(address: str, question: Callable[[docker.DockerClient], T], silent: T) -> T:
    """Return the engine's answer to one request, or `silent` where it gives none in time."""
    try:
        client = docker.DockerClient(base_url=address, timeout=_ANSWER_SECONDS)
        try:
            return question(client)
        finally:
            client.close()
    except (DockerException, OSError):
        return silent


class Dockerd:
    """A running private dockerd."""

    def __init__(self, facts: DaemonFacts, service: Service, client: DockerClient, pprof: Pprof) -> None:
        self._facts, self._service = facts, service
        self.ended, self.stop, self.start = service.ended, service.stop, service.start
        self.build, self.prune, self.answers = client.build, client.prune, client.answers
        self.running_records = client.running_records
        self.goroutine_count, self.goroutine_dump = pprof.goroutine_count, pprof.goroutine_dump

    @property
    def facts(self) -> DaemonFacts:
        """What is recorded of it, with the process that runs now."""
        return replace(self._facts, pid=self._service.pid)


@asynccontextmanager
async def open_dockerd(toolchain: Toolchain, spec: DaemonSpec, site: Site) -> AsyncIterator[Daemon]:
    """Start a private dockerd; see `OpenDaemon`."""
    home = await settle_in(toolchain, spec, site)
    socket = home.run / "docker.sock"
    configuration = home.records / "daemon.json"
    configuration.write_text(json.dumps(_configuration(home, spec, socket), indent=1))
    client = DockerClient(str(home.bin / "docker"), f"unix://{socket}", _client_environment(home))
    command = Command((str(home.bin / "dockerd"), "--config-file", str(configuration)), home.environment)
    async with running(home, site, command, client.answers) as service:
        pprof = Pprof(socket)
        try:
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
                details={
                    "image_store": spec.image_store,
                    "components": {part["Name"]: part["Version"] for part in version.get("Components", ())},
                },
            )
            yield Dockerd(facts, service, client, pprof)
        finally:
            await pprof.close()


def _configuration(home: Home, spec: DaemonSpec, socket: Path) -> dict[str, Any]:
    """Return daemon.json: beside any other daemon, no network of the host touched, debug and pprof on."""
    ours: dict[str, Any] = {
        "data-root": str(home.root),
        "exec-root": str(home.run / "exec"),
        "pidfile": str(home.run / "docker.pid"),
        "hosts": [f"unix://{socket}"],
        "cgroup-parent": f"/{home.cgroup.name}",
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


def _client_environment(home: Home) -> dict[str, str]:
    """Return what keeps docker and buildx off the user's own configuration; it is made here."""
    plugins = home.bin.parent / "client" / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-buildx").symlink_to(home.bin / "docker-buildx")
    return {
        "DOCKER_CONFIG": str(plugins.parent),
        "BUILDX_CONFIG": str(plugins.parent / "buildx"),
        "DOCKER_CLI_HINTS": "false",
        "OTEL_SDK_DISABLED": "true",
        **home.environment,
    }
