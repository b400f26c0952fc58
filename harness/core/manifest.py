"""What a run is, before anything has happened in it: the records of `run.json` and of a capture's `daemon.json`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Binary:
    """One program that starts on this host: where it is, what it says it is, and its SHA-256 in hex."""

    path: Path
    version: str
    sha256: str


@dataclass(frozen=True)
class Programs:
    """A toolchain as it was used."""

    spec: str
    """How to name the very same toolchain again; empty where the programs are somebody's own."""
    binaries: Mapping[str, Binary] = field(default_factory=dict)

    @property
    def hashes(self) -> dict[str, str]:
        """The SHA-256 of each program, by its name."""
        return {name: binary.sha256 for name, binary in self.binaries.items()}


@dataclass(frozen=True)
class DaemonFacts:
    """What is recorded of a daemon."""

    kind: str
    version: str
    toolchain: str
    address: str
    private: bool
    """Whether we started it; nothing of another's daemon is ever disturbed unasked."""
    pid: int | None = None
    builder: int | None = None
    """The process that builds, where that is another: the BuildKit in a container of this dockerd."""
    log: Path | None = None
    cgroup: str | None = None
    """The daemon's own, by its name below the root of every hierarchy."""
    disk: Path | None = None
    """A folder of ours on the file system that its root is on."""
    root: Path | None = None
    """The folder that it keeps its data in, where that is known."""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that it is, as far as they are ours and run."""
        return tuple(pid for pid in (self.pid, self.builder) if pid is not None)


@dataclass(frozen=True)
class HostFacts:
    """What a maintainer asks of a host."""

    kernel: str = ""
    architecture: str = ""
    system: str = ""
    cores: int | None = None
    memory_bytes: int = 0
    cgroup: int = 0
    """The version of cgroups: 1 or 2."""
    psi: bool = False
    disk_free_bytes: int = 0
    filesystem: str = ""
    """Of the daemon's root."""
    python: str = ""


@dataclass(frozen=True)
class Resumption:
    """One time that a run was gone on with: when, by what, and how far it had come."""

    at: str
    argv: tuple[str, ...]
    iteration: int
    seconds: float


@dataclass(frozen=True)
class Addends:
    """The runs that a sum was made of, by their names, and their seeds."""

    runs: tuple[str, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class RunManifest:
    """`run.json`: what a run is, from its start; the daemon's facts come once it is up.

    What has a default came with a later version, or only some runs have it.
    """

    format: int
    argv: tuple[str, ...]
    pid: int
    """Of the harness; that of the last that went on with it."""
    started: str
    seed: int
    toolchain: Programs
    harness: str = ""
    """Its version."""
    name: str = ""
    """Of the daemon, where the scenario has several."""
    shards: int = 1
    keep: bool = False
    allow_host_damage: bool = False
    daemon: DaemonFacts | None = None
    """The first one of the run; None before it is up."""
    registry: str = ""
    host: HostFacts = HostFacts()
    kept: DaemonFacts | None = None
    """The daemon that was left to the user."""
    resumed: tuple[Resumption, ...] = ()
    merged: Addends | None = None
    """Of a sum of runs only."""
    part_of: str = ""
    """The folder of the shards that it is one of, by its name; empty of any other run."""

    @property
    def kind(self) -> str | None:
        """The daemon's kind, once it is known."""
        return self.daemon.kind if self.daemon else None

    @property
    def version(self) -> str | None:
        """The daemon's version, once it is known."""
        return self.daemon.version if self.daemon else None

    @property
    def subject(self) -> dict[str, Any]:
        """The daemon as a summary names it."""
        return {"name": self.name, "kind": self.kind, "version": self.version, "toolchain": self.toolchain.spec}


@dataclass(frozen=True)
class CaptureManifest:
    """`daemon.json` of a capture: which daemon it is of, and why it was made."""

    format: int
    harness: str
    captured: str
    """When, in UTC."""
    seconds: float
    why: str
    toolchain: Programs
    daemon: DaemonFacts
    host: HostFacts = HostFacts()
