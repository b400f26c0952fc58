"""BuildKit in a container of a private dockerd: the docker-container driver of ``docker buildx``."""

import math
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import psutil
import tomli_w

from harness.core.errors import CommandError, CommandTimeout, DaemonStartError, SubjectError
from harness.core.manifest import DaemonFacts
from harness.daemons.base import TERM_SECONDS, BuildRequest, Daemon, PruneRequest, Slot
from harness.daemons.buildx import BUILDER, Buildx
from harness.daemons.dockerd import Dockerd, open_dockerd
from harness.daemons.gc import for_buildkitd
from harness.daemons.parts import BuildHistory, DebugPages, Records
from harness.daemons.pprof import Pprof
from harness.daemons.private import DaemonDirs
from harness.host.proc import Command, Identity, run
from harness.scenario import DaemonSpec
from harness.toolchain import Toolchain

_IMAGE_SECONDS: Final = 600.0
_BOOT_SECONDS: Final = 60.0
_CLIENT_SECONDS: Final = 30.0
_IMAGE: Final = "localhost:1/buildkit-under-test:latest"
"""Buildx pulls whatever it is told, before it looks at what the engine has; from here it can pull nothing else."""
_NAME: Final = f"buildx_buildkit_{BUILDER}0"
"""What buildx calls the container of a builder's first node."""
_STATE: Final = f"volumes/{_NAME}_state/_data"
"""Where dockerd's root has BuildKit's."""


class BuilderImageUnavailable(SubjectError):
    """A BuildKit image that the private dockerd did not get."""

    def __init__(self, image: str, why: str) -> None:
        super().__init__(f"daemon.image {image!r} cannot be obtained, and so no BuildKit runs: {' '.join(why.split())}")


class DockerContainer(DebugPages, BuildHistory, Records):
    """A running private dockerd, and the BuildKit in its one container."""

    def __init__(self, dockerd: Dockerd, buildx: Buildx, pprof: Pprof) -> None:
        self._dockerd, self._buildx, self._pprof, self._history = dockerd, buildx, pprof, buildx
        self._details: Mapping[str, Any] = {}
        self._container: Identity | None = None

    @property
    def facts(self) -> DaemonFacts:
        """What is recorded of it, with dockerd's process that runs now; the version says which BuildKit is on trial."""
        facts = self._dockerd.facts
        version = f"{facts.version} with BuildKit {self._details.get('buildkit', '')}"
        builder = _below_init(self._container.pid) if self._container and self._container.alive() else None
        return replace(facts, version=version, builder=builder, details={**facts.details, **self._details})

    def build(self, request: BuildRequest) -> Command:
        """Return the command of one build through buildx."""
        return self._buildx.build(request)

    def save(self, request: BuildRequest, file: Path) -> Command | None:
        """Return the command that writes a build's image to a file, where it was loaded out of the container."""
        return self._dockerd.save(request, file) if "load" in request.exports else None

    async def answers(self) -> bool:
        """Whether dockerd answers a ping."""
        return await self._dockerd.answers()

    async def ended(self) -> int:
        """Wait until dockerd's process ends by itself, and return the exit status."""
        return await self._dockerd.ended()

    async def info(self) -> Mapping[str, Any]:
        """Return dockerd's answer to ``/info``; empty where it gives none in time."""
        return await self._dockerd.info()

    def prune(self, request: PruneRequest) -> Command | None:
        """Return the command that prunes BuildKit's cache, or dockerd's images."""
        return self._buildx.prune(request) if request.what == "cache" else self._dockerd.prune(request)

    async def create(self, spec: DaemonSpec) -> None:
        """Fetch the image, create the container, and wait until BuildKit is ready.

        Raises:
            ImageUnavailable: dockerd did not get it; the message has docker's own words.
            DaemonStartError: BuildKit did not come up.
        """
        docker, home = self._dockerd.client.command, self._dockerd.home
        await _run(docker("tag", await self._obtain(spec.image or ""), _IMAGE), _CLIENT_SECONDS)
        configuration = home.records / "buildkitd.toml"
        configuration.write_text(tomli_w.dumps(_configuration(spec)))
        create = docker(
            *("buildx", "create", "--name", BUILDER, "--driver", "docker-container"),
            *("--driver-opt", f"image={_IMAGE},network=host,cgroup-parent=/{home.cgroup.name}"),
            *("--buildkitd-config", str(configuration)),
        )
        await _run(create, _CLIENT_SECONDS)
        version = await self._boot()
        (home.run / "buildkit").symlink_to(home.root / _STATE)
        self._details = {"driver": "docker-container", "image": spec.image, "buildkit": version}

    async def stop(self, grace: float = TERM_SECONDS) -> bool:
        """Stop dockerd, and have BuildKit die with it: alone, a container outlives a dockerd that is killed."""
        by_itself = await self._dockerd.stop(grace)
        self._end_builder()
        return by_itself

    async def falls(self, seconds: float) -> int | None:
        """Wait until somebody else ends dockerd; BuildKit then dies with it. Return its status, or None: it lives."""
        status = await self._dockerd.falls(seconds)
        if status is not None:
            self._end_builder()
        return status

    def _end_builder(self) -> None:
        if self._container and self._container.alive():
            with suppress(ProcessLookupError):
                os.kill(self._container.pid, signal.SIGKILL)

    async def start(self) -> None:
        """Start dockerd, and then BuildKit on the root that it had.

        Raises:
            DaemonStartError: one of them did not come up.
        """
        await self._dockerd.start()
        await self._boot()

    async def stop_builder(self, grace: float = TERM_SECONDS) -> bool:
        """Have docker stop the container, or kill it where it has no grace; return whether it ended by itself."""
        container, self._container = self._container, None
        words = ("kill", _NAME) if grace <= 0 else ("stop", "--time", str(math.ceil(grace)), _NAME)
        with suppress(CommandError):  # of one that has ended already
            await _run(self._dockerd.client.command(*words), _CLIENT_SECONDS + grace)
        if container and container.alive():
            with suppress(ProcessLookupError):
                os.kill(container.pid, signal.SIGKILL)
        status = "0"
        with suppress(CommandError):
            asked = self._dockerd.client.command("inspect", "--format", "{{.State.ExitCode}}", _NAME)
            status = await _run(asked, _CLIENT_SECONDS)
        return status.strip() != "137"

    async def start_builder(self) -> None:
        """Have buildx start the container again.

        Raises:
            DaemonStartError: BuildKit did not come up.
        """
        await self._boot()

    async def _obtain(self, image: str) -> str:
        """Return what dockerd calls the image once it has it."""
        from_file = image.endswith(".tar")
        words = ("load", "--input", image) if from_file else ("pull", "--quiet", image)
        try:
            told = await _run(self._dockerd.client.command(*words), _IMAGE_SECONDS)
        except (CommandError, CommandTimeout) as error:
            raise BuilderImageUnavailable(image, error.output) from error
        loaded = re.search(r"^Loaded image(?: ID)?: (\S+)", told, re.MULTILINE)
        return loaded[1] if from_file and loaded else image

    async def _boot(self) -> str:
        """Start the container where it does not run; return BuildKit's version."""
        docker = self._dockerd.client.command
        try:
            told = await _run(self._buildx.command("inspect", "--bootstrap"), _BOOT_SECONDS)
            pid = await _run(docker("inspect", "--format", "{{.State.Pid}}", _NAME), _CLIENT_SECONDS)
            self._container = Identity.of(int(pid))
        except (CommandError, CommandTimeout, ProcessLookupError) as error:
            why = str(error).splitlines()[-1]  # above it is buildx's progress
            raise DaemonStartError("BuildKit in its container", why, _keep_log(self._dockerd.home)) from error
        version = re.search(r"^BuildKit(?: version)?:\s+(\S+)", told, re.MULTILINE | re.IGNORECASE)
        return version[1] if version else ""


async def _run(command: Command, deadline: float) -> str:
    return (await run(command.argv, deadline=deadline, env=command.env)).stdout


def _below_init(pid: int) -> int:
    """Return the process that the container's init, docker's own, has started; itself where it is no such init."""
    with suppress(psutil.NoSuchProcess):
        init = psutil.Process(pid)
        if init.name() == "docker-init":
            return next((child.pid for child in init.children()), pid)
    return pid


def _configuration(spec: DaemonSpec) -> dict[str, Any]:
    """Return buildkitd.toml: pprof where its volume lets us reach it, and the policy of garbage collection."""
    ours: dict[str, Any] = {"debug": True, "grpc": {"debugAddress": "unix:///var/lib/buildkit/debug.sock"}}
    return ours | ({"worker": {"oci": for_buildkitd(spec.gc)}} if spec.gc else {})


@asynccontextmanager
async def open_docker_container(toolchain: Toolchain, spec: DaemonSpec, site: Slot) -> AsyncIterator[Daemon]:
    """Start a private dockerd, and BuildKit in a container of it; see `OpenDaemon`."""
    async with open_dockerd(toolchain, spec, site) as dockerd:
        buildx = replace(dockerd.client.buildx, builder=BUILDER, image=("--output", "type=image"))
        pprof = Pprof(dockerd.home.run / "buildkit" / "debug.sock")  # by a link, as a socket's path must be short
        daemon = DockerContainer(dockerd, buildx, pprof)
        try:
            await daemon.create(spec)
            yield daemon
        finally:
            await pprof.close()
            _keep_log(dockerd.home)


def _keep_log(home: DaemonDirs) -> Path:
    """Copy what BuildKit printed, as dockerd keeps it (``json-file``), to where the run's records are."""
    kept = home.records / "buildkit.log"
    for log in home.root.glob("containers/*/*-json.log"):
        shutil.copyfile(log, kept)
    return kept
