"""A daemon process of our own: its folders, its start, its end, and what it would leave on the host."""

import os
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
from tenacity import AsyncRetrying, RetryError, retry_if_result, stop_after_delay, wait_fixed

from harness.cache import cache_folder
from harness.daemons.base import Site
from harness.errors import CommandMissing, DaemonStartError
from harness.proc import Child, Command, spawn
from harness.toolchain import Toolchain

_READY_SECONDS: Final = 60.0
_TERM_SECONDS: Final = 10.0
"""How long a daemon may take to stop by itself; an idle one takes under a second, a hung one does not stop at all."""


@dataclass(frozen=True)
class Home:
    """The folders of one private daemon; all but `records` go when it ends."""

    root: Path
    """Its data, which may grow large; below the cache."""
    run: Path
    """Its sockets; short, for a socket's path is at most 107 bytes long."""
    bin: Path
    """Links to the toolchain's programs: the daemon's PATH begins with it."""
    records: Path
    cgroup: str

    @property
    def log(self) -> Path:
        """What the daemon prints."""
        return self.records / "daemon.log"

    @property
    def environment(self) -> Mapping[str, str]:
        """The daemon's and its clients' environment beside our own."""
        return {"PATH": f"{self.bin}:{os.environ.get('PATH', os.defpath)}"}


def settle_in(toolchain: Toolchain, site: Site) -> Home:
    """Make the folders of a private daemon, and note them and its cgroup in the ledger."""
    name = f"repro-{site.name}"
    base = site.ledger.own_folder(cache_folder("daemons") / site.name)
    short = Path("/run") if os.access("/run", os.W_OK) else Path(tempfile.gettempdir())
    run = site.ledger.own_folder(short / name)
    home = Home(base / "root", run, base / "bin", site.records, site.ledger.own_cgroup(name))
    home.root.mkdir()
    home.bin.mkdir()
    for program, binary in toolchain.binaries.items():
        (home.bin / program).symlink_to(binary.path)
    return home


@asynccontextmanager
async def running(
    home: Home, site: Site, command: Command, ready: Callable[[], Coroutine[Any, Any, bool]]
) -> AsyncIterator[Child]:
    """Start a daemon and wait until it is ready; end it and give back all that the ledger names on leaving.

    Raises:
        DaemonStartError: it ended, or was not ready in time; the message has the end of its log.
    """
    kind = Path(command.argv[0]).name
    try:
        with home.log.open("ab") as log:
            process = spawn(command, output=log, dies_with_us=not site.keep)
    except CommandMissing as error:
        raise DaemonStartError(kind, str(error), home.log) from error
    site.ledger.own_process(process.pid)
    kept = False
    try:
        await _await_ready(kind, home, process, ready)
        yield process
        kept = site.keep
    finally:
        if kept:
            process.let_go()
        else:
            with anyio.CancelScope(shield=True):
                await process.end(_TERM_SECONDS)


async def _await_ready(kind: str, home: Home, process: Child, ready: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    async def ready_or_dead() -> bool:
        return process.returncode is not None or await ready()

    retrying = AsyncRetrying(
        stop=stop_after_delay(_READY_SECONDS), wait=wait_fixed(0.1), retry=retry_if_result(lambda done: not done)
    )
    try:
        await retrying(ready_or_dead)
    except RetryError as error:
        raise DaemonStartError(kind, f"not ready after {_READY_SECONDS:g} s", home.log) from error
    if process.returncode is not None:
        raise DaemonStartError(kind, f"it ended with status {process.returncode}", home.log)
