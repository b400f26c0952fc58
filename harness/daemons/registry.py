"""The run's own registry: Debian's ``docker-registry`` on the loopback, so that builds can push and share cache.

It listens on an address that Docker and BuildKit alike take to speak plain HTTP.
"""

import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from harness.core.errors import HarnessError
from harness.daemons.http_relay import HttpRelay
from harness.daemons.loopback import NoServer, served
from harness.host.cache import cache_folder
from harness.host.ledger import Ledger
from harness.host.proc import Command
from harness.host.relay import listening, to_address
from harness.toolchain.apt import fetch_file

_PROGRAM: Final = "docker-registry"


@dataclass(frozen=True)
class RunRegistry:
    """The run's own, as builds and actors know it."""

    address: str
    """Where builds reach it, such as ``127.0.0.1:41234``."""
    pid: int
    relay: HttpRelay | None = None
    """What stands at that address in front of it, where an actor makes faults of it."""


_WHAT: Final = "a registry"


async def registry_program() -> Path:
    """Return ``docker-registry``: from ``PATH``, else the cache, else Debian's archive into the cache.

    Raises:
        NoServer: none is available here.
    """
    if found := shutil.which(_PROGRAM):
        return Path(found).absolute()
    cached = cache_folder("registry") / _PROGRAM
    if not os.access(cached, os.X_OK):
        try:
            await fetch_file(_PROGRAM, cached, lambda path: path.parent.name == "bin")
        except (HarnessError, OSError) as error:
            raise NoServer(_WHAT, f"PATH has no {_PROGRAM}, and {error}; install it, or put one on PATH") from error
    return cached


@asynccontextmanager
async def open_registry(ledger: Ledger, records: Path) -> AsyncIterator[RunRegistry]:
    """Start a registry, and yield it; it ends, and is emptied, on leaving.

    Args:
        ledger: where its process and its storage are noted.
        records: a folder of the run for its log.

    Raises:
        NoServer: it could not be had, or did not answer; the message has the end of its log.
    """
    program = await registry_program()
    folder = ledger.own_folder(cache_folder("registries") / ledger.name)
    configuration = folder / "config.json"
    configuration.write_text(json.dumps(_configuration(folder / "storage")))
    command = Command((str(program), "serve", str(configuration)), {"OTEL_TRACES_EXPORTER": "none"})
    async with served(_WHAT, command, "/v2/", ledger, records / "registry.log") as server:
        yield RunRegistry(server.address, server.pid)


@asynccontextmanager
async def relayed(registry: RunRegistry) -> AsyncIterator[RunRegistry]:
    """Have a relay in front of a registry, and yield the registry as it is behind it.

    Raises:
        NoRelay: it can listen nowhere.
    """
    relay = HttpRelay(to_address(registry.address))
    async with listening(relay):
        yield replace(registry, address=relay.address, relay=relay)


def _configuration(storage: Path) -> dict[str, Any]:
    """Return its configuration: a port that the kernel chooses, so that nobody else has it."""
    return {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(storage)}},
        "http": {"addr": "127.0.0.1:0"},
    }
