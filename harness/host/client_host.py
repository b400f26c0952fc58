"""Another host for clients, as far as their network goes: a network namespace with nothing in it but its own loopback.

An open file of this process holds it. It stands in no folder, and the kernel takes it back once that file is closed and
no client is left in it, however this process ends: so no ledger has it.
"""

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Thread
from typing import Final

from harness.core.errors import InfraError
from harness.host.proc import Command

_NEWNET: Final = 0x40000000
"""``CLONE_NEWNET``; Python has ``os.unshare`` from 3.12 on."""
_SET_FLAGS: Final = 0x8914
"""``SIOCSIFFLAGS``."""
_LOOPBACK_UP: Final = struct.pack("16sh14x", b"lo", 1)
"""``struct ifreq``: the loopback, with ``IFF_UP``."""


class NoClientHost(InfraError):
    """A network namespace that the kernel will not make."""

    def __init__(self, error: OSError) -> None:
        super().__init__(
            f"no network namespace can be made for a client host: {error.strerror or error}; "
            "run as root, or leave out `host`"
        )


@dataclass(frozen=True)
class ClientHost:
    """One of them, with a socket that listens on its loopback."""

    place: str
    """Where the kernel shows it."""
    listener: socket.socket

    def running(self, command: Command) -> Command:
        """Return a command as it is run there."""
        return replace(command, argv=("nsenter", f"--net={self.place}", "--", *command.argv))


@contextmanager
def client_host(port: int) -> Iterator[ClientHost]:
    """Make a host, and listen on that port of its loopback; both go on leaving.

    Raises:
        NoClientHost: the kernel makes none.
    """
    made: list[tuple[int, socket.socket] | OSError] = []

    def make() -> None:
        try:
            made.append(_made(port))
        except OSError as error:
            made.append(error)

    thread = Thread(target=make)  # a namespace is a thread's: this one ends, so that nothing else ever runs in it
    thread.start()
    thread.join()
    [found] = made
    if isinstance(found, OSError):
        raise NoClientHost(found) from found
    namespace, listener = found
    try:
        with listener:
            yield ClientHost(f"/proc/{os.getpid()}/fd/{namespace}", listener)
    finally:
        os.close(namespace)


def _made(port: int) -> tuple[int, socket.socket]:
    """Move this thread to a new namespace; return a file that holds it, and a socket that listens in it."""
    if ctypes.CDLL(None, use_errno=True).unshare(_NEWNET):
        raise OSError(number := ctypes.get_errno(), os.strerror(number))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, _LOOPBACK_UP)
    listener = socket.create_server(("127.0.0.1", port))
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC), listener
