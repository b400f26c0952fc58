"""A daemon process of our own: its folders, its start, its end, and what it would leave on the host."""

import os
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import anyio
from tenacity import AsyncRetrying, RetryError, retry_if_result, stop_after_delay, wait_fixed

from harness.core.errors import CommandMissing, DaemonStartError
from harness.daemons.base import TERM_SECONDS, Slot
from harness.host.cache import cache_folder
from harness.host.cgroup import Cgroup, CgroupUnavailable
from harness.host.guard import guarded
from harness.host.proc import Child, Command, run, spawn
from harness.host.relay import Relay, listening, to_socket
from harness.scenario import DaemonSpec, Limits
from harness.toolchain import Toolchain

_READY_SECONDS: Final = 60.0
_MOUNT_SECONDS: Final = 60.0
DEBUG_SOCKET: Final = "debug.sock"
"""Where a daemon serves Go's pprof, in the folder of its sockets."""


@dataclass(frozen=True)
class DaemonDirs:
    """The folders of one private daemon; all but `records` go when it ends."""

    disk: Path
    """The file system that it lives on: a folder below the cache, or one of a size of its own mounted there."""
    run: Path
    """Its sockets; short, for a socket's path is at most 107 bytes long."""
    bin: Path
    """Links to the toolchain's programs: the daemon's PATH begins with it."""
    records: Path
    cgroup: Cgroup
    limits: Limits

    @property
    def root(self) -> Path:
        """Its data, which may grow large."""
        return self.disk / "root"

    @property
    def tmp(self) -> Path:
        """Its temporary files, and what it mounts among them: containerd mounts images there to look into them."""
        return self.disk.parent / "tmp"

    @property
    def log(self) -> Path:
        """What the daemon prints."""
        return self.records / "daemon.log"

    @property
    def environment(self) -> Mapping[str, str]:
        """The daemon's and its clients' environment beside our own."""
        return {"PATH": f"{self.bin}:{os.environ.get('PATH', os.defpath)}", "TMPDIR": str(self.tmp)}


async def settle_in(toolchain: Toolchain, spec: DaemonSpec, site: Slot) -> DaemonDirs:
    """Make the folders of a private daemon, its disk and its cgroup, and note all of them in the ledger.

    Raises:
        CgroupUnavailable, CommandError: this host cannot limit it as the scenario wants.
    """
    name = f"repro-{site.name}"
    base = site.ledger.own_folder(cache_folder("daemons") / site.name)
    short = Path("/run") if os.access("/run", os.W_OK) else Path(tempfile.gettempdir())
    sockets = site.ledger.own_folder(short / name)
    cgroup = Cgroup(site.ledger.own_cgroup(name))
    home = DaemonDirs(
        disk=base / "disk", run=sockets, bin=base / "bin", records=site.records, cgroup=cgroup, limits=spec.limits
    )
    home.disk.mkdir()
    if spec.limits.disk is not None:
        await mount_disk(base / "disk.img", home.disk, spec.limits.disk)
    home.root.mkdir()
    home.bin.mkdir()
    home.tmp.mkdir()
    for program, binary in toolchain.binaries.items():
        (home.bin / program).symlink_to(binary.path)
    if spec.limits.memory is not None or spec.limits.cpus is not None:
        cgroup.limit(memory=spec.limits.memory, cpus=spec.limits.cpus)
    return home


async def mount_disk(image: Path, folder: Path, size: int) -> None:
    """Mount a new file system of `size` bytes, held in a sparse file; its loop device goes with the mount.

    Raises:
        CommandError: this host cannot make or mount one.
    """
    with image.open("wb") as file:
        file.truncate(size)
    await run(["mkfs.ext4", "-q", "-F", "-m", "0", image], deadline=_MOUNT_SECONDS)
    await run(["mount", "-o", "loop", image, folder], deadline=_MOUNT_SECONDS)


class Service:
    """A private daemon's process: it can be stopped, and started again on the same root."""

    def __init__(
        self, kind: str, home: DaemonDirs, site: Slot, command: Command, ready: Callable[[], Coroutine[Any, Any, bool]]
    ) -> None:
        self.kind = kind
        self._home, self._site, self._command, self._ready = home, site, replace(command, cores=site.cores), ready
        self._process: Child | None = None
        self._runs = anyio.Event()
        self.cgroup: str | None = home.cgroup.name
        """The one that it lives in; None where this host has none to give."""

    @property
    def pid(self) -> int | None:
        """Its process; None while it is stopped."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start it, and wait until it is ready.

        Raises:
            DaemonStartError: it ended, or was not ready in time; the message has the end of its log.
        """
        log = self._home.log
        try:
            with log.open("ab") as output:
                process = spawn(self._command, output=output, dies_with_us=not self._site.may_stay)
        except CommandMissing as error:
            raise DaemonStartError(self.kind, str(error), log) from error
        self._site.ledger.own_process(process.pid)
        self._process = process
        self._confine(process.pid)
        retrying = AsyncRetrying(
            stop=stop_after_delay(_READY_SECONDS), wait=wait_fixed(0.03), retry=retry_if_result(lambda done: not done)
        )
        try:
            await retrying(self._ready_or_dead)
        except RetryError as error:
            raise DaemonStartError(self.kind, f"not ready after {_READY_SECONDS:g} s: {self._waits}", log) from error
        if process.returncode is not None:
            raise DaemonStartError(self.kind, f"it ended with status {process.returncode}", log)
        self._runs.set()

    @property
    def _waits(self) -> str:
        """How far a daemon has come that is not ready."""
        listens = any(path.is_socket() and path.name != DEBUG_SOCKET for path in self._home.run.iterdir())
        return "it listens, and answers no request" if listens else "it has not begun to listen"

    def _confine(self, pid: int) -> None:
        """Put the daemon into its cgroup; on a host without cgroups, fail only if the scenario sets limits."""
        try:
            self._home.cgroup.adopt(pid)
        except CgroupUnavailable:
            if self._home.limits.memory is not None or self._home.limits.cpus is not None:
                raise
            self.cgroup = None

    async def _ready_or_dead(self) -> bool:
        return self._process is None or self._process.returncode is not None or await self._ready()

    async def stop(self, grace: float = TERM_SECONDS) -> bool:
        """SIGTERM it, and SIGKILL it after `grace` seconds; return whether it ended by itself before that."""
        process, self._process, self._runs = self._process, None, anyio.Event()
        return await process.end(grace) if process else True

    async def falls(self, seconds: float) -> int | None:
        """Wait until somebody else ends it, as was meant; return its status, or None where it outlives that time."""
        process, self._process, self._runs = self._process, None, anyio.Event()
        if process is None:
            return None
        try:
            with anyio.move_on_after(seconds):
                await process.wait()
        finally:
            if process.returncode is None:
                self._process = process
                self._runs.set()
        if process.returncode is not None:
            await process.finish()
        return process.returncode

    async def ended(self) -> int:
        """Wait until it ends although nobody stopped it, and return its status."""
        while True:
            await self._runs.wait()
            process = self._process
            status = await process.wait() if process else None
            if process is self._process and status is not None:
                return status

    def detach(self) -> None:
        """Leave it running, and forget it."""
        if self._process:
            self._process.detach()


@asynccontextmanager
async def before(socket: Path, site: Slot) -> AsyncIterator[Relay | None]:
    """Have a relay before a daemon's socket, where the site asks for one; None where it does not.

    Raises:
        NoRelay: it can listen nowhere.
        NoClientHost: the kernel makes none of those that the site asks for.
    """
    if not (site.relayed or site.hosts):
        yield None
        return
    relay = Relay(to_socket(str(socket)))
    async with listening(relay, site.hosts):
        yield relay


@asynccontextmanager
async def running(
    kind: str, home: DaemonDirs, site: Slot, command: Command, ready: Callable[[], Coroutine[Any, Any, bool]]
) -> AsyncIterator[Service]:
    """Start a daemon and wait until it is ready; end it on leaving, unless the slot says that it stays.

    Raises:
        DaemonStartError: see `Service.start`.
    """
    service = Service(kind, home, site, command, ready)
    kept = False
    guard = nullcontext() if site.may_stay else guarded(home.cgroup.name)
    with guard:
        try:
            await service.start()
            yield service
            kept = site.stays
        finally:
            if kept:
                service.detach()
            else:
                with anyio.CancelScope(shield=True):
                    await service.stop(site.grace)
