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

import anyio
import httpx
import psutil
from tenacity import AsyncRetrying, RetryError, retry_if_result, stop_after_delay, wait_fixed

from harness.core.errors import HarnessError, InfraError
from harness.daemons.registry_relay import RegistryRelay
from harness.host.cache import cache_folder
from harness.host.ledger import Ledger
from harness.host.proc import Child, Command, spawn
from harness.host.relay import listening, to_address
from harness.toolchain.apt import fetch_file

_PROGRAM: Final = "docker-registry"
_READY_SECONDS: Final = 20.0
_ANSWER_SECONDS: Final = 2.0
_LOG_TAIL: Final = 1500


@dataclass(frozen=True)
class RunRegistry:
    """The run's own, as builds and actors know it."""

    address: str
    """Where builds reach it, such as ``127.0.0.1:41234``."""
    pid: int
    relay: RegistryRelay | None = None
    """What stands at that address in front of it, where an actor makes faults of it."""


class NoRegistry(InfraError):
    """No registry to push to."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the run needs a registry of its own: {why}")


async def registry_program() -> Path:
    """Return ``docker-registry``: from ``PATH``, else the cache, else Debian's archive into the cache.

    Raises:
        NoRegistry: none is available here.
    """
    if found := shutil.which(_PROGRAM):
        return Path(found).absolute()
    cached = cache_folder("registry") / _PROGRAM
    if not os.access(cached, os.X_OK):
        try:
            await fetch_file(_PROGRAM, cached, lambda path: path.parent.name == "bin")
        except (HarnessError, OSError) as error:
            raise NoRegistry(f"PATH has no {_PROGRAM}, and {error}; install it, or put one on PATH") from error
    return cached


@asynccontextmanager
async def open_registry(ledger: Ledger, records: Path) -> AsyncIterator[RunRegistry]:
    """Start a registry, and yield it; it ends, and is emptied, on leaving.

    Args:
        ledger: where its process and its storage are noted.
        records: a folder of the run for its log.

    Raises:
        NoRegistry: it could not be had, or did not answer; the message has the end of its log.
    """
    program = await registry_program()
    folder = ledger.own_folder(cache_folder("registries") / ledger.name)
    configuration = folder / "config.json"
    configuration.write_text(json.dumps(_configuration(folder / "storage")))
    log = records / "registry.log"
    with log.open("wb") as output:
        command = Command((str(program), "serve", str(configuration)), {"OTEL_TRACES_EXPORTER": "none"})
        process = spawn(command, output=output, dies_with_us=True)
    try:
        ledger.own_process(process.pid)
        yield RunRegistry(await _answering(process, log), process.pid)
    finally:
        with anyio.CancelScope(shield=True):
            await process.finish()


@asynccontextmanager
async def relayed(registry: RunRegistry) -> AsyncIterator[RunRegistry]:
    """Have a relay in front of a registry, and yield the registry as it is behind it.

    Raises:
        NoRelay: it can listen nowhere.
    """
    relay = RegistryRelay(to_address(registry.address))
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


async def _answering(process: Child, log: Path) -> str:
    """Return the address once it answers there."""

    async def look() -> str | None:
        if process.returncode is not None:
            raise NoRegistry(f"it ended with status {process.returncode}: {_end_of(log)}")
        address = _address(process.pid)
        return address if address and await _answers(address) else None

    retrying = AsyncRetrying(
        stop=stop_after_delay(_READY_SECONDS), wait=wait_fixed(0.05), retry=retry_if_result(lambda found: not found)
    )
    try:
        return await retrying(look) or ""
    except RetryError as error:
        raise NoRegistry(f"it did not answer within {_READY_SECONDS:g} s: {_end_of(log)}") from error


def _address(pid: int) -> str | None:
    """Return where a process listens, or None while it does not."""
    try:
        connections = psutil.Process(pid).net_connections("tcp4")
    except psutil.Error:
        return None
    listening = [each.laddr for each in connections if each.status == psutil.CONN_LISTEN]
    return f"{listening[0].ip}:{listening[0].port}" if listening else None


async def _answers(address: str) -> bool:
    async with httpx.AsyncClient(timeout=_ANSWER_SECONDS, trust_env=False) as client:
        try:
            return (await client.get(f"http://{address}/v2/")).is_success
        except httpx.HTTPError:
            return False


def _end_of(log: Path) -> str:
    return " ".join(log.read_text(errors="replace")[-_LOG_TAIL:].split())
