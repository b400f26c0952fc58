"""Where a running daemon keeps things, as its process shows: its kind, sockets, root, log and cgroup. It is only read.

Source of the fields: proc(5), unix(7), ``/proc/pid/net/unix``, ``/proc/pid/cgroup``.
"""

import json
import os
import re
import socket
import struct
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from harness.toolchain.base import NEEDS

_PROC: Final = Path("/proc")
_ACCEPTS: Final = 0x10000
"""The flag of a socket that is listened on (``__SO_ACCEPTCON``)."""
_CONNECT_SECONDS: Final = 2.0
_SOCKET: Final = re.compile(r"socket:\[(\d+)\]")
_CONFIGURATIONS: Final = {
    "dockerd": ("config-file", "/etc/docker/daemon.json"),
    "buildkitd": ("config", "/etc/buildkit/buildkitd.toml"),
}
_DEFAULT_ROOTS: Final = {"dockerd": "/var/lib/docker", "buildkitd": "/var/lib/buildkit"}
_DATABASES: Final = {
    "dockerd": re.compile(r"(.+?)/buildkit/(?:.+/)?[^/]+\.db"),
    "buildkitd": re.compile(r"(.+)/history\.db"),
}
"""What each has open for as long as it runs, and where its root is in the path."""


@dataclass(frozen=True)
class DaemonProcess:
    """A daemon's process."""

    pid: int
    kind: str
    argv: Sequence[str]
    configuration: Mapping[str, Any] = field(default_factory=dict)
    apart: bool = False
    """Whether it sees other files than we do, as in a container: then all paths lead through ``/proc/pid/root``."""

    @classmethod
    def of(cls, pid: int, kind: str) -> "DaemonProcess":
        """Return what the command line and the configuration of a daemon say."""
        argv = _argv(pid)
        apart = _namespace(pid, "mnt") != _namespace("self", "mnt")
        bare = cls(pid, kind, argv, {}, apart)
        option, default = _CONFIGURATIONS[kind]
        file = bare.reached(next(bare.options(option), default))
        return cls(pid, kind, argv, _configuration(file), apart)

    def reached(self, path: str) -> Path:
        """Return a path of the daemon's as this process reaches it."""
        if not path.startswith("/"):
            return _PROC / str(self.pid) / "cwd" / path
        return _PROC / str(self.pid) / "root" / path.lstrip("/") if self.apart else Path(path)

    def options(self, *names: str) -> Iterator[str]:
        """Yield the values of options on its command line: ``--root DIR``, ``--root=DIR``, ``-H ADDRESS``."""
        dashed = {f"{dashes}{name}" for name in names for dashes in ("-", "--")}
        for word, after in zip(self.argv, [*self.argv[1:], ""], strict=True):
            name, joined, value = word.partition("=")
            if name in dashed:
                yield value if joined else after

    def listening(self) -> list[Path]:
        """Return the unix sockets that it listens on, as paths of ours."""
        held = set(_sockets_of(self.pid))
        return [self.reached(path) for inode, path in _listened_on(self.pid) if inode in held and path[0] != "@"]

    def listening_ports(self) -> list[str]:
        """Return the TCP addresses that it listens on and that we can reach; none where its network is another."""
        if _namespace(self.pid, "net") != _namespace("self", "net"):
            return []
        with suppress(psutil.Error):
            connections = psutil.Process(self.pid).net_connections("tcp")
            return [f"tcp://{_loopback(each.laddr.ip)}:{each.laddr.port}" for each in connections if _listens(each)]
        return []

    def root(self) -> Path:
        """Return the folder that it keeps its data in: by the databases that it has open, else as it was told."""
        for path in _open_files(self.pid):
            if match := _DATABASES[self.kind].fullmatch(path):
                return self.reached(match[1])
        names = ("data-root", "g", "graph") if self.kind == "dockerd" else ("root",)
        roots = [
            *self.options(*names),
            *(str(self.configuration[name]) for name in names if name in self.configuration),
        ]
        return self.reached(next(iter(roots), _DEFAULT_ROOTS[self.kind]))

    def log(self) -> Path | None:
        """Return the file that it prints to; None where that is a terminal, a pipe, or the journal."""
        for descriptor in (2, 1):
            with suppress(OSError):
                path = (_PROC / str(self.pid) / "fd" / str(descriptor)).readlink()
                file = self.reached(str(path))
                if file.is_file():
                    return file
        return None

    def prints_to_socket(self) -> bool:
        """Whether it prints to a socket, as to systemd's journal (``StandardOutput=journal``)."""
        with suppress(OSError):
            return str((_PROC / str(self.pid) / "fd" / "2").readlink()).startswith("socket:")
        return False

    def cgroup(self) -> str | None:
        """Return its cgroup below the root of the hierarchy that counts memory; None where that is the root itself."""
        lines = [line.split(":", 2) for line in _read(_PROC / str(self.pid) / "cgroup").splitlines()]
        by_controllers = {controllers: path for _, controllers, path in lines}
        counted = [path for names, path in by_controllers.items() if "memory" in names.split(",")]
        path = next(iter(counted), by_controllers.get("", "/")).strip("/")
        return path if path and not path.startswith("..") else None


def kind_of(pid: int) -> str | None:
    """Return which kind of daemon a process is by its program's name; None where it is none that we know."""
    names = [Path(word).name for word in _argv(pid)[:1]]
    with suppress(OSError):
        names.append((_PROC / str(pid) / "exe").readlink().name.removesuffix(" (deleted)"))
    return next((name for name in names if name in NEEDS), None)


def holder(path: Path) -> int | None:
    """Return the process that serves a unix socket: a daemon if it is one's; None where the kernel does not say.

    Raises:
        OSError: nobody listens on it, or we may not connect to it.
    """
    peer = _peer(path)
    if peer is not None and kind_of(peer):
        return peer
    wanted = {inode for inode, name in _listened_on("self") if os.path.realpath(name) == os.path.realpath(path)}
    holders = [pid for pid in psutil.pids() if wanted and wanted.intersection(_sockets_of(pid))]
    return next((pid for pid in holders if kind_of(pid)), peer)  # systemd listens before it starts the daemon


def _peer(path: Path) -> int | None:
    """Return the process that called ``listen`` (``SO_PEERCRED``); None if it is not visible, or its queue is full."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_CONNECT_SECONDS)
        try:
            client.connect(str(path))
        except (BlockingIOError, TimeoutError):  # one that accepts nobody any more
            return None
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid: int = struct.unpack("3i", credentials)[0]
    return pid or None


def _listened_on(pid: int | str) -> Iterator[tuple[int, str]]:
    """Yield inode and path of each unix socket that is listened on in the network that a process sees.

    A line: ``0000000000000000: 00000002 00000000 00010000 0001 01 26031 /run/docker.sock``.
    """
    for line in _read(_PROC / str(pid) / "net" / "unix").splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if len(fields) == 8 and int(fields[3], 16) & _ACCEPTS:
            yield int(fields[6]), fields[7]


def _open_files(pid: int) -> Iterator[str]:
    with suppress(OSError):
        for descriptor in (_PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                yield str(descriptor.readlink())


def _sockets_of(pid: int) -> Iterator[int]:
    return (int(match[1]) for path in _open_files(pid) if (match := _SOCKET.fullmatch(path)))


def _argv(pid: int) -> list[str]:
    return _read(_PROC / str(pid) / "cmdline").rstrip("\0").split("\0")


def _namespace(pid: int | str, kind: str) -> str:
    """Return the name of a namespace of a process; nothing where we may not see it, which then is not ours."""
    with suppress(OSError):
        return str((_PROC / str(pid) / "ns" / kind).readlink())
    return ""


def _configuration(file: Path) -> Mapping[str, Any]:
    with suppress(OSError, ValueError):
        text = file.read_text()
        read = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
        return read if isinstance(read, dict) else {}
    return {}


def _listens(connection: Any) -> bool:
    return bool(connection.status == psutil.CONN_LISTEN)


def _loopback(ip: str) -> str:
    return "127.0.0.1" if ip in {"0.0.0.0", "::"} else f"[{ip}]" if ":" in ip else ip  # noqa: S104 — read, not bound


def _read(file: Path) -> str:
    with suppress(OSError):
        return file.read_text(errors="replace")
    return ""
