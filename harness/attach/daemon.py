"""A daemon that runs already: found by the host's context, its socket or its pid; asked, and never changed.

No signal is sent to it, no builder is made for it, and its clients keep what they write in a folder that goes.
"""

import os
import re
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

import anyio
import anyio.to_thread

from harness.attach.process import DaemonProcess, holder, kind_of
from harness.core.errors import CaptureError, InfraError, SubjectError, UsageError
from harness.core.manifest import DaemonFacts
from harness.daemons.buildctl import Buildctl
from harness.daemons.buildkitd import version_in
from harness.daemons.buildx import Buildx
from harness.daemons.dockerd import DockerClient
from harness.daemons.pprof import Pprof, PprofOff
from harness.host.proc import Identity, run
from harness.toolchain.base import version_of
from harness.toolchain.host import context_endpoint
from harness.toolchain.programs import PLUGIN_FOLDERS, on_host

_HOSTS_OWN: Final = "unix:///var/run/docker.sock"
_TELL_SECONDS: Final = 3.0
_USUAL: Final = {"dockerd": "docker.sock", "buildkitd": "buildkitd.sock"}
_TURN_ON: Final = (
    ". `debug` in dockerd's daemon.json, and a reload, would turn it on; SIGUSR1 would have it write its stacks to a "
    "file. Both are left to its owner"
)
_CLIENT: Final = {"dockerd": "docker-buildx", "buildkitd": "buildctl"}


class NoSuchDaemon(UsageError):
    """A daemon that is not where it was said to be."""

    def __init__(self, spec: str, why: str) -> None:
        super().__init__(
            f"no daemon at {spec!r}: {why}; give `host`, the unix socket of a dockerd or a buildkitd, or its pid"
        )


@dataclass(frozen=True)
class Endpoint:
    """Where a daemon is, before anything is asked of it."""

    kind: str
    address: str
    """Of its API: ``unix:///run/docker.sock``, ``tcp://127.0.0.1:2375``."""
    process: DaemonProcess | None

    @property
    def programs(self) -> Mapping[str, Path]:
        """The daemon's own program by its kind, where we can see it."""
        return {self.kind: Path(f"/proc/{self.process.pid}/exe")} if self.process else {}


class NoPages:
    """The debug pages of a buildkitd that has none."""

    async def page(self, path: str, deadline: float, **query: str | int) -> bytes | None:  # noqa: ARG002 — nobody is asked
        """Say so."""
        return self._refuse()

    async def goroutine_count(self) -> int | None:
        """Return nothing."""
        return None

    async def goroutine_dump(self, deadline: float) -> str:  # noqa: ARG002 — nobody is asked
        """Say so."""
        return self._refuse()

    async def close(self) -> None:
        """Do nothing."""

    def _refuse(self) -> NoReturn:
        raise CaptureError("this buildkitd has no debug address that we can reach: it takes --debugaddr at its start")


Pages = Pprof | NoPages


class FoundDockerd:
    """A dockerd that somebody else started."""

    def __init__(self, place: Endpoint, facts: DaemonFacts, client: DockerClient, buildx: Buildx, pages: Pages) -> None:
        self.facts, self._pages, self.log_tail = facts, pages, partial(_journal, place)
        self.info, self.page, self.goroutine_count = client.info, pages.page, pages.goroutine_count
        self.build_records, self.cache_records = buildx.build_records, buildx.cache_records
        self.builds, self.iteration_of, self.progress = buildx.builds, buildx.iteration_of, buildx.progress

    async def goroutine_dump(self, deadline: float) -> str:
        """Return the stacks of all goroutines; see `Profiled`."""
        try:
            return await self._pages.goroutine_dump(deadline)
        except PprofOff as error:
            raise PprofOff(_TURN_ON) from error


class FoundBuildkitd:
    """A buildkitd that somebody else started."""

    def __init__(self, place: Endpoint, facts: DaemonFacts, buildctl: Buildctl, pages: Pages) -> None:
        self.facts, self.log_tail = facts, partial(_journal, place)
        self.page, self.goroutine_count, self.goroutine_dump = pages.page, pages.goroutine_count, pages.goroutine_dump
        self.build_records, self.cache_records = buildctl.build_records, buildctl.cache_records
        self.builds, self.iteration_of, self.progress = buildctl.builds, buildctl.iteration_of, buildctl.progress


FoundDaemon = FoundDockerd | FoundBuildkitd


async def locate(spec: str) -> Endpoint:
    """Return where a daemon is: ``host``, a unix socket, or a pid.

    Raises:
        NoSuchDaemon: nothing that we know is there.
        NoHostDocker: the host's context cannot be read.
    """
    if spec.isdecimal():
        return _of_process(spec, int(spec))
    address = await _hosts_address() if spec == "host" else spec
    scheme, _, rest = address.rpartition("://")
    if scheme in {"", "unix"}:
        return await _of_socket(spec, Path(rest))
    if scheme != "tcp":
        raise NoSuchDaemon(spec, f"{address} is not on this host; ask there")
    return Endpoint("dockerd", address, None)


async def _hosts_address() -> str:
    if given := os.environ.get("DOCKER_HOST"):
        return given
    docker = await on_host("docker")
    return await context_endpoint(docker) if docker else _HOSTS_OWN


def _of_process(spec: str, pid: int) -> Endpoint:
    try:
        Identity.of(pid)
    except ProcessLookupError:
        raise NoSuchDaemon(spec, "no process has this id") from None
    kind = kind_of(pid)
    if kind is None:
        raise NoSuchDaemon(spec, "this process is neither a dockerd nor a buildkitd")
    process = DaemonProcess.of(pid, kind)
    sockets = process.listening()
    unix = [each.removeprefix("unix://") for each in _configured_addresses(process) if each.startswith("unix://")]
    reported = {os.path.realpath(process.reached(path)) for path in unix}
    ranked = sorted(sockets, key=lambda path: (os.path.realpath(path) not in reported, path.name != _USUAL[kind]))
    if ranked:
        return Endpoint(kind, f"unix://{ranked[0]}", process)
    if ports := process.listening_ports():
        return Endpoint(kind, ports[0], process)
    raise NoSuchDaemon(spec, f"we see no socket that this {kind} listens on (that takes root, or its owner)")


def _configured_addresses(process: DaemonProcess) -> list[str]:
    """Return where it was told to serve its API."""
    if process.kind == "dockerd":
        return [*process.options("H", "host"), *process.configuration.get("hosts", ())]
    return [*process.options("addr"), *process.configuration.get("grpc", {}).get("address", ())]


async def _of_socket(spec: str, path: Path) -> Endpoint:
    if not path.is_socket():
        raise NoSuchDaemon(spec, f"{path} is no socket" if path.exists() else f"there is no {path}")
    try:
        pid = await anyio.to_thread.run_sync(holder, path)
    except OSError as error:
        raise NoSuchDaemon(spec, str(error.strerror or error)) from error
    named = kind_of(pid) if pid else None
    kind = named or await speaks(path)
    if kind is None:
        raise NoSuchDaemon(spec, "what listens there speaks neither Docker's API nor BuildKit's")
    return Endpoint(kind, f"unix://{path.absolute()}", DaemonProcess.of(pid, named) if pid and named else None)


async def speaks(path: Path) -> str | None:
    """Return which kind of daemon answers on a socket; None where none does in time.

    A gRPC server sends its settings at once (RFC 9113: a frame of type 4), before it has read anything.
    """
    with anyio.move_on_after(_TELL_SECONDS):
        try:
            async with await anyio.connect_unix(path) as stream:
                await stream.send(b"GET /_ping HTTP/1.1\r\nHost: daemon\r\nConnection: close\r\n\r\n")
                answer = await stream.receive(4096)
                while len(answer) < len("HTTP/1.1 ") or (answer[:5] == b"HTTP/" and b"\r\n\r\n" not in answer):
                    answer += await stream.receive(4096)
        except (OSError, anyio.EndOfStream, anyio.BrokenResourceError):
            return None
        if answer.startswith(b"HTTP/"):
            return "dockerd" if b"\r\napi-version:" in answer.lower() else None
        return "buildkitd" if answer[3] == 4 else None
    return None


@asynccontextmanager
async def open_found(place: Endpoint) -> AsyncIterator[FoundDaemon]:
    """Have what a daemon that runs already can be asked; on leaving nothing of it is left."""
    with tempfile.TemporaryDirectory(prefix="repro-client-") as private:
        environment = {"DOCKER_CONFIG": private, "BUILDX_CONFIG": private, "OTEL_SDK_DISABLED": "true"}
        program = str(client_of(place) or _CLIENT[place.kind])
        pages = _debug_pages(place)
        try:
            if place.kind == "dockerd":
                client = DockerClient(program, place.address, environment)
                of_engine = {**environment, "DOCKER_HOST": place.address, "DOCKER_CONTEXT": "default"}
                engine = await client.version()
                components = {part["Name"]: part["Version"] for part in engine.get("Components", ())}
                version = engine.get("Version") or await _version_of_program(place)
                facts = _facts(place, version, {"components": components})
                yield FoundDockerd(place, facts, client, Buildx((program,), of_engine), pages)
            else:
                buildctl = Buildctl(program, place.address, environment)
                facts = _facts(place, await _version_of_program(place) or await _reported_version(buildctl), {})
                yield FoundBuildkitd(place, facts, buildctl, pages)
        finally:
            await pages.close()


def _debug_pages(place: Endpoint) -> Pages:
    """Return dockerd's on its own socket; buildkitd's where it was told to serve them, or where it listens besides."""
    api = place.address.removeprefix("unix://")
    if place.kind == "dockerd":
        return Pprof(Path(api) if api.startswith("/") else api)
    process = place.process
    if process is None:
        return NoPages()
    reported = [*process.options("debugaddr"), process.configuration.get("grpc", {}).get("debugAddress") or ""]
    unix = [process.reached(address.removeprefix("unix://")) for address in reported if address.startswith("unix://")]
    unix += [path for path in process.listening() if "debug" in path.name and str(path) != api]
    if unix:
        return Pprof(unix[0])
    apis = {_port(address) for address in _configured_addresses(process)}
    ports = [address for address in process.listening_ports() if _port(address) not in apis]
    ports.sort(key=lambda address: _port(address) not in map(_port, reported))
    return Pprof(ports[0]) if ports else NoPages()


def _port(address: str) -> str:
    return address.rpartition(":")[2]


async def _journal(place: Endpoint, lines: int) -> str:
    """Return what a daemon has last printed to systemd's journal; see `TellsLog`."""
    if place.process is None or not place.process.prints_to_socket():
        raise CaptureError("where the daemon writes its log is not known: it prints to no file, and to no journal")
    words = ("--no-pager", "--output", "short-iso-precise", "--lines", str(lines), f"_PID={place.process.pid}")
    reported = (await run(("journalctl", *words), deadline=_TELL_SECONDS)).stdout
    if not reported.strip() or reported.startswith("-- No entries --"):
        raise CaptureError("the journal has nothing of this process")
    return reported


def _facts(place: Endpoint, version: str, details: Mapping[str, Any]) -> DaemonFacts:
    process = place.process
    return DaemonFacts(
        kind=place.kind,
        version=version,
        toolchain="",
        address=place.address,
        private=False,
        pid=process.pid if process else None,
        log=process.log() if process else None,
        cgroup=process.cgroup() if process else None,
        root=process.root() if process else None,
        details=details,
    )


async def _version_of_program(place: Endpoint) -> str:
    """Return what its own program says; a program that sees other files than we do is not ours to run."""
    if place.process is None or place.process.apart:
        return ""
    try:
        reported = await version_of(place.kind, place.programs[place.kind])
    except SubjectError:
        return ""
    match = re.search(r"version ([^\s,]+)", reported) if place.kind == "dockerd" else None
    return match[1] if match else version_in(reported)


async def _reported_version(buildctl: Buildctl) -> str:
    """Return what the daemon answers; nothing from one that does not."""
    try:
        reported = await buildctl.output("debug", "info")
    except InfraError:
        return ""
    return version_in(reported)


def client_of(place: Endpoint) -> Path | None:
    """Return the client that lists a daemon's records: from beside its program, else from `PATH` or Docker's folders.

    What lies beside a program that sees other files than we do is not ours to run.
    """
    name = _CLIENT[place.kind]
    beside: list[Path] = []
    if place.process and not place.process.apart:
        called = [Path(word).parent for word in place.process.argv[:1] if word.startswith("/")]
        beside = [*called, Path(os.path.realpath(place.programs[place.kind])).parent]
    own_plugins = Path(os.environ.get("DOCKER_CONFIG", "~/.docker")).expanduser() / "cli-plugins"
    for folder in (*beside, *map(Path, os.get_exec_path()), own_plugins, *PLUGIN_FOLDERS):
        if os.access(folder / name, os.X_OK) and (folder / name).is_file():
            return folder / name
    return None
