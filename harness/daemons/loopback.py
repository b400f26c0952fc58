"""A server of the run's own on the loopback: started on a port that the kernel chooses, and ended with the run."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import httpx
import psutil
from tenacity import AsyncRetrying, RetryError, retry_if_result, stop_after_delay, wait_fixed

from harness.core.errors import InfraError
from harness.host.ledger import Ledger
from harness.host.proc import Child, Command, spawn

_READY_SECONDS: Final = 20.0
_ANSWER_SECONDS: Final = 2.0
_LOG_TAIL: Final = 1500


@dataclass(frozen=True)
class LoopbackServer:
    """One that answers."""

    address: str
    """Where, such as ``127.0.0.1:41234``."""
    pid: int


class NoServer(InfraError):
    """A server that a run needs and does not have."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"the run needs {what} of its own: {why}")


@asynccontextmanager
async def served(what: str, command: Command, page: str, ledger: Ledger, log: Path) -> AsyncIterator[LoopbackServer]:
    """Start a server, and yield it once it answers; it ends on leaving.

    Args:
        what: what it is, to a person: `a registry`.
        command: what starts it, on a port of the loopback that the kernel chooses.
        page: what it answers with success once it is up, ``/v2/``.
        ledger: where its process is noted.
        log: where it prints to.

    Raises:
        NoServer: it did not answer; the message has the end of its log.
    """
    with log.open("wb") as output:
        process = spawn(command, output=output, dies_with_us=True)
    try:
        ledger.own_process(process.pid)
        yield LoopbackServer(await _answering(what, process, page, log), process.pid)
    finally:
        with anyio.CancelScope(shield=True):
            await process.finish()


async def _answering(what: str, process: Child, page: str, log: Path) -> str:
    """Return the address once it answers there."""

    async def look() -> str | None:
        if process.returncode is not None:
            raise NoServer(what, f"it ended with status {process.returncode}: {_end_of(log)}")
        address = _address(process.pid)
        return address if address and await _answers(f"http://{address}{page}") else None

    retrying = AsyncRetrying(
        stop=stop_after_delay(_READY_SECONDS), wait=wait_fixed(0.05), retry=retry_if_result(lambda found: not found)
    )
    try:
        return await retrying(look) or ""
    except RetryError as error:
        raise NoServer(what, f"it did not answer within {_READY_SECONDS:g} s: {_end_of(log)}") from error


def _address(pid: int) -> str | None:
    """Return where a process listens, or None while it does not."""
    try:
        connections = psutil.Process(pid).net_connections("tcp4")
    except psutil.Error:
        return None
    listening = [each.laddr for each in connections if each.status == psutil.CONN_LISTEN]
    return f"{listening[0].ip}:{listening[0].port}" if listening else None


async def _answers(url: str) -> bool:
    async with httpx.AsyncClient(timeout=_ANSWER_SECONDS, trust_env=False) as client:
        try:
            return (await client.get(url)).is_success
        except httpx.HTTPError:
            return False


def _end_of(log: Path) -> str:
    return " ".join(log.read_text(errors="replace")[-_LOG_TAIL:].split())
