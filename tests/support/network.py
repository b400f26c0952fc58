"""Hosts that are network namespaces of this one, on a bridge of their own: each can be cut off, and killed whole."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_NET: Final = "10.77"
PORT: Final = 8786


def _program(name: str) -> str:
    return shutil.which(name) or name


def _ip(*words: str) -> None:
    subprocess.run([_program("ip"), *words], check=True, capture_output=True, timeout=20)


@dataclass
class Node:
    """One host: a namespace, with a folder and a cache of its own."""

    name: str
    address: str
    space: str
    link: str
    """Its end of the cable at the bridge."""
    folder: Path
    env: Mapping[str, str]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *argv: str) -> subprocess.Popen[bytes]:
        """Start a program on it, in a session of its own; what it prints goes to a file named like the program."""
        with (self.folder / f"{len(self.started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    _program("nsenter"),
                    f"--net=/run/netns/{self.space}",
                    *argv,
                ],  # `ip netns exec` would hide the cgroups
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "REPRO_CACHE": str(self.folder / "cache"), "REPRO_HOST": self.name, **self.env},
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def scheduler(self, *options: str) -> subprocess.Popen[bytes]:
        """Start a scheduler of Dask."""
        words = ("--host", self.address, "--port", str(PORT), "--no-dashboard", *options)
        return self.start(sys.executable, "-m", "distributed.cli.dask_scheduler", *words)

    def worker(self, scheduler: str, *options: str) -> subprocess.Popen[bytes]:
        """Start a worker of Dask that makes runs."""
        words = ("--name", self.name, "--resources", "repro=1", "--nthreads", "1", "--no-nanny", "--no-dashboard")
        place = ("--local-directory", str(self.folder / "dask"))
        return self.start(sys.executable, "-m", "distributed.cli.dask_worker", scheduler, *words, *place, *options)

    def repro(self, *words: str) -> subprocess.Popen[bytes]:
        """Start `repro` on it."""
        return self.start(sys.executable, "-m", "harness", *words)

    def said(self, number: int = -1) -> str:
        """Return what one of its programs, the last where it is not said which, has printed."""
        return (self.folder / f"{number % len(self.started)}.log").read_text(errors="replace")

    def cut(self, *, off: bool) -> None:
        """Take its cable out, or put it in again."""
        _ip("link", "set", self.link, "down" if off else "up")

    def end(self) -> None:
        """Kill what runs on it."""
        for process in self.started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def network(folder: Path, names: Sequence[str], env: Mapping[str, str]) -> Iterator[dict[str, Node]]:
    """Have hosts of these names on a network of their own, until left.

    Args:
        folder: where each has one of its own.
        names: of the hosts.
        env: what their programs have in their environment beside ours.
    """
    tag, net = secrets.token_hex(2), f"{_NET}.{secrets.randbelow(250)}"
    bridge = f"rb{tag}"
    nodes: dict[str, Node] = {}
    try:
        _ip("link", "add", bridge, "type", "bridge")
        _ip("link", "set", bridge, "up")
        for number, name in enumerate(names, 1):
            space, link, address = f"rn{tag}-{name}", f"rl{tag}{number}", f"{net}.{number}"
            (folder / name).mkdir(parents=True)
            nodes[name] = Node(name, address, space, link, folder / name, env)
            _ip("netns", "add", space)
            _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("link", "set", link, "master", bridge, "up")
            _ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")
            _ip("-n", space, "link", "set", "lo", "up")
        yield nodes
    finally:
        for node in nodes.values():
            node.end()
            subprocess.run([_program("ip"), "netns", "del", node.space], check=False, capture_output=True, timeout=20)
        subprocess.run([_program("ip"), "link", "del", bridge], check=False, capture_output=True, timeout=20)


def certificates(folder: Path) -> dict[str, str]:
    """Make an authority, and a key that it vouches for; return Dask's settings for it, as environment variables.

    Dask asks who vouches for a certificate, and not whose name is in it.
    """
    folder.mkdir(parents=True)
    ca, key, cert, request = (folder / name for name in ("ca.pem", "key.pem", "cert.pem", "request.pem"))
    made = ("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for command in (
        (*made, "-x509", "-days", "2", "-subj", "/CN=repro test", "-keyout", str(folder / "ca.key"), "-out", str(ca)),
        (*made, "-subj", "/CN=fleet", "-keyout", str(key), "-out", str(request)),
        (
            *("openssl", "x509", "-req", "-days", "2", "-in", str(request), "-CA", str(ca), "-CAcreateserial"),
            *("-CAkey", str(folder / "ca.key"), "-out", str(cert)),
        ),
    ):
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    settings = {"CA_FILE": ca}
    for role in ("CLIENT", "SCHEDULER", "WORKER"):
        settings |= {f"{role}__CERT": cert, f"{role}__KEY": key}
    return {f"DASK_DISTRIBUTED__COMM__TLS__{name}": str(file) for name, file in settings.items()}
