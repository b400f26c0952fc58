"""A private buildkitd with its OCI worker; builds go through buildctl."""

import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import tomli_w

from harness.core.errors import UsageError
from harness.core.manifest import DaemonFacts
from harness.daemons import rootless
from harness.daemons.api_build import ApiRequest
from harness.daemons.base import BuildRequest, PruneRequest, Slot, archive_type
from harness.daemons.buildctl import Buildctl
from harness.daemons.control import Control
from harness.daemons.gc import for_buildkitd
from harness.daemons.parts import ControlledHistory, DebugPages, OwnProcess, PrivateDaemon, Records
from harness.daemons.pprof import Pprof
from harness.daemons.private import DEBUG_SOCKET, DaemonDirs, before, running, settle_in
from harness.daemons.rootless import FIRST_ID
from harness.host.proc import Command
from harness.scenario import DaemonSpec
from harness.toolchain import Toolchain


class NotToml(UsageError):
    """A configuration that TOML has no form for."""

    def __init__(self, why: str) -> None:
        super().__init__(f"daemon.config cannot be written as buildkitd.toml: {why}")


class Buildkitd(OwnProcess, DebugPages, ControlledHistory, Records):
    """A running private buildkitd."""

    def __init__(self, started: PrivateDaemon) -> None:
        self.started = started
        self._facts, self._service, self._pprof = started.facts, started.service, started.pprof
        self.home, self.control, self.relay = started.home, started.control, started.relay
        self._history, self._client = _client(started.home), _client(started.home, started.address)

    def build(self, request: BuildRequest) -> Command:
        """Return the command of one build through buildctl."""
        return self._command(
            *("build", "--progress", "rawjson", "--frontend", "dockerfile.v0"),
            *(part for name, place in request.folders.items() for part in ("--local", f"{name}={place}")),
            *(["--no-cache"] if request.no_cache else []),
            *(part for key, value in request.options.items() for part in ("--opt", f"{key}={value}")),
            *(part for key, file in request.secrets.items() for part in ("--secret", f"id={key},src={file}")),
            *(["--ssh", f"default={request.ssh_key}"] if request.ssh_key else []),
            *(["--export-cache", request.cache_to.exported()] if request.cache_to else []),
            *(part for cache in request.cache_from for part in ("--import-cache", cache.imported())),
            *(part for kind in request.exports for part in ("--output", _output(kind, request))),
        )

    def asked(self, request: BuildRequest) -> ApiRequest:
        """Return what it is asked for by who builds without a client; of an archive there is no file."""
        exporter = "docker" if request.exports == ("load",) else "image"
        return ApiRequest(request.folders, request.options, request.no_cache, exporter, request.tag)

    def prune(self, request: PruneRequest) -> Command | None:
        """Return the command that prunes the cache, which is everything that it keeps; it has no images."""
        if request.what in {"images", "tag"}:
            return None
        return self._command(
            *("prune", *(["--all"] if request.all else [])),
            *(part for text in request.filters for part in ("--filter", text)),
            *(["--keep-storage", f"{request.keep / 1e6:f}"] if request.keep is not None else []),
        )

    async def answers(self) -> bool:
        """Whether it lists its workers."""
        return await self.control.answers()

    def _command(self, *words: str) -> Command:
        return self._client.command(*words)


def _output(kind: str, request: BuildRequest) -> str:
    """Return what an export is called; what docker would load goes into the void, as an archive that it could."""
    return {
        "load": f"type={archive_type(request)},name={request.tag},dest={request.archive('load')}",
        "image": f"type=image,name={request.tag}",
        "oci": f"type=oci,dest={request.archive('oci')}",
        "tar": f"type=tar,dest={request.archive('tar')}",
        "local": f"type=local,dest={request.archive('local')}",
        "push": f"type=image,name={request.tag},push=true",
    }[kind]


def _client(home: DaemonDirs, address: str = "") -> Buildctl:
    return Buildctl(str(home.bin / "buildctl"), address or f"unix://{home.run}/buildkitd.sock", home.environment)


@asynccontextmanager
async def open_buildkitd(toolchain: Toolchain, spec: DaemonSpec, site: Slot) -> AsyncIterator[Buildkitd]:
    """Start a private buildkitd; see `OpenDaemon`."""
    home = await settle_in(toolchain, spec, site)
    configuration = home.records / "buildkitd.toml"
    configuration.write_text(_toml(_configuration(home, spec)))
    command = Command((str(home.bin / "buildkitd"), "--config", str(configuration)), {**home.environment, **spec.env})
    if spec.rootless:
        command = _rootless(command, home, configuration)
    socket = home.run / "buildkitd.sock"
    control = Control(socket)
    async with running("buildkitd", home, site, command, control.answers) as service, before(socket, site) as relay:
        pprof = Pprof(home.run / DEBUG_SOCKET)
        try:
            facts = DaemonFacts(
                kind="buildkitd",
                version=version_in(toolchain.binaries["buildkitd"].version),
                toolchain=toolchain.spec,
                address=f"unix://{home.run}/buildkitd.sock",
                private=True,
                pid=service.pid,
                log=home.log,
                cgroup=service.cgroup,
                disk=home.disk,
                root=home.root,
                details={"debug_socket": str(home.run / DEBUG_SOCKET)},
            )
            yield Buildkitd(
                PrivateDaemon(facts=facts, service=service, home=home, pprof=pprof, control=control, relay=relay)
            )
        finally:
            control.close()
            await pprof.close()


def _rootless(command: Command, home: DaemonDirs, configuration: Path) -> Command:
    """Return the command that starts it as nobody, who sees its folders and programs below that of its sockets."""
    for folder in (home.root, home.tmp):
        os.chown(folder, FIRST_ID, FIRST_ID)
    os.chown(home.run, -1, FIRST_ID)  # which stays its owner's, so that it is known to be ours
    home.run.chmod(0o775)
    inside = [(home.root, home.run / "root"), (home.tmp, home.run / "tmp")]
    for _, target in inside:
        target.mkdir(exist_ok=True)
    programs = home.run / "bin"
    programs.mkdir(exist_ok=True)
    files = [(program.resolve(), programs / program.name) for program in home.bin.iterdir()]
    files.append((configuration, home.run / configuration.name))
    for _, target in files:
        target.touch()
    launcher = (sys.executable, "-I", rootless.__file__)
    mounts = (f"{source}:{target}" for source, target in [*inside, *files])
    words = (str(programs / "buildkitd"), "--config", str(home.run / configuration.name))
    path = f"{programs}:{os.environ.get('PATH', os.defpath)}"
    own = dict.fromkeys(("TMPDIR", "HOME", "XDG_RUNTIME_DIR"), str(home.run / "tmp"))
    return Command((*launcher, *mounts, "--", *words), {**command.env, "PATH": path, **own})


def version_in(told: str) -> str:
    """Return ``v0.23.2`` out of ``buildkitd github.com/moby/buildkit v0.23.2 40b2ede…``; else what stands there."""
    match = re.search(r"\bv\d+\.\d+\S*", told) or re.search(r"(?<=github\.com/moby/buildkit )\S.*", told)
    return match[0].strip() if match else told


def _configuration(home: DaemonDirs, spec: DaemonSpec) -> dict[str, Any]:
    """Return buildkitd.toml as a mapping: the scenario's own over ours, table by table."""
    ours: dict[str, Any] = {
        "root": str(home.root),
        "debug": True,
        "insecure-entitlements": ["network.host"],
        "grpc": {"address": [f"unix://{home.run}/buildkitd.sock"], "debugAddress": f"unix://{home.run}/{DEBUG_SOCKET}"},
        "worker": {
            "oci": {"enabled": True, "networkMode": "host", "defaultCgroupParent": home.cgroup.name},
            "containerd": {"enabled": False},
        },
    }
    if spec.rootless:
        ours["root"] = f"{home.run}/root"
        ours["otel"] = {"socketPath": f"{home.run}/otel.sock"}
        ours["worker"]["oci"] |= {"rootless": True, "noProcessSandbox": True}
        del ours["worker"]["oci"]["defaultCgroupParent"]  # it has no cgroups to give: steps stay in its own
    if spec.gc:
        ours["worker"]["oci"] |= for_buildkitd(spec.gc)
    return _merged(ours, spec.config)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: _merged(below[key], value)
        for key, value in above.items()
        if isinstance(value, Mapping) and isinstance(below.get(key), Mapping)
    }
    return {**below, **above, **both}


def _toml(table: Mapping[str, Any]) -> str:
    try:
        return tomli_w.dumps(table)
    except TypeError as error:
        raise NotToml(str(error)) from error
