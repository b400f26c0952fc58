"""A git server of the run's own, on the loopback, for contexts that the daemon fetches: ``git daemon``."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio

from harness.core.errors import InfraError
from harness.host.proc import Command, child

_READY_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.05


class NoGitServer(InfraError):
    """No server for git contexts."""

    def __init__(self, why: str) -> None:
        super().__init__(f"`context: git` needs git's own server: {why}")


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[str]:
    """Serve every repository in a folder for reading; yield the address, ``git://127.0.0.1:41234``.

    Raises:
        NoGitServer: it did not come up.
        CommandMissing: this host has no git.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ("--reuseaddr", "--listen=127.0.0.1", f"--port={port}", "--export-all", f"--base-path={folder}")
    async with child(Command(("git", "daemon", *words, str(folder)), {"GIT_CONFIG_GLOBAL": "/dev/null"})) as server:
        with anyio.move_on_after(_READY_SECONDS) as waiting:
            while not await _answers(port):
                if server.returncode is not None:
                    raise NoGitServer(f"it ended with status {server.returncode}")
                await anyio.sleep(_POLL_SECONDS)
        if waiting.cancelled_caught:
            raise NoGitServer(f"it did not answer within {_READY_SECONDS:g} s")
        async with anyio.create_task_group() as reading:
            reading.start_soon(_discard, server.output())
            yield f"git://127.0.0.1:{port}"
            reading.cancel_scope.cancel()


async def _answers(port: int) -> bool:
    try:
        async with await anyio.connect_tcp("127.0.0.1", port):
            return True
    except OSError:
        return False


async def _discard(output: AsyncIterator[bytes]) -> None:
    """Read what it prints, so that it never waits for a reader."""
    async for _ in output:
        pass
