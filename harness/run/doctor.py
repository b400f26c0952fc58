"""Whether this host can run what it will be asked to: each thing that a run needs is had, as a run would have it.

What is fetched is fetched here, so that a run at night need not be the first to learn that it cannot.
"""

import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import anyio
import psutil

from harness.core.errors import HarnessError
from harness.core.units import format_size
from harness.daemons.private import mount_disk
from harness.daemons.registry import registry_program
from harness.host.cache import cache_folder
from harness.host.cgroup import Cgroup, version
from harness.host.hostinfo import DISK_FLOOR, MEMORY_FLOOR, describe, require_private_daemons
from harness.host.ledger import Ledger, ledgers
from harness.toolchain import Toolchain, equip, resolve
from harness.toolchain.base import DRIVER_NEEDS
from harness.toolchain.base_image import static_busybox

State = Literal["ok", "limited", "missing"]

_PROBE_MEMORY: Final = 2**26
_PROBE_CORES: Final = 1.0
_PROBE_DISK: Final = 2**24
_SHORT_MEMORY: Final = 2 * 2**30
"""Less free memory than this, and daemon, builds and the host's own work get in each other's way."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: State
    """`limited`: a run goes without it, and loses what the sentence says; `missing`: a run cannot be."""
    told: str
    """What was found; of what is not there, why, and what to do."""


async def examine(preparing: Callable[[str], None]) -> AsyncIterator[Check]:
    """Yield one check after the other; where private daemons cannot be, what these would need is left out.

    Args:
        preparing: is told what may take a while.
    """
    yield _host()
    private = _private()
    yield private
    yield _memory()
    yield _stalls()
    yield _left_behind()
    if private.state == "missing":
        return
    async for check in _limits():
        yield check
    preparing("the base image of builds")
    yield await _tried("base image", _busybox(), "missing")
    daemons = []
    for kind, spec in (("dockerd", "auto"), ("buildkitd", "auto:buildkitd")):
        preparing(f"toolchain {spec}")
        daemons.append(await _tried(kind, _daemon(kind, spec), "limited"))
    if all(check.state == "limited" for check in daemons):
        daemons = [Check(check.name, "missing", check.told) for check in daemons]
    for check in daemons:
        yield check
    preparing("what drivers and registries need")
    yield await _tried("drivers", _drivers(), "limited")
    yield await _tried("registry", _registry(), "limited")


def _host() -> Check:
    facts = describe(cache_folder("daemons"))
    system = facts.system or "Linux"
    cores = facts.cores or 1
    told = f"{system}, kernel {facts.kernel}, {facts.architecture}, {cores} cores, cgroup v{version()}"
    if cores == 1:
        return Check("host", "limited", f"{told}: on a single core what runs side by side takes turns")
    return Check("host", "ok", told)


def _private() -> Check:
    folder = cache_folder("daemons")
    try:
        require_private_daemons(folder)
    except HarnessError as error:
        return Check("private daemons", "missing", str(error))
    free = format_size(shutil.disk_usage(folder).free)
    return Check("private daemons", "ok", f"root, overlayfs; {free} free at {folder}, {format_size(DISK_FLOOR)} needed")


def _memory() -> Check:
    free = psutil.virtual_memory().available
    told = f"{format_size(free)} free"
    if free < MEMORY_FLOOR:
        return Check("memory", "missing", f"{told}, and the harness leaves {format_size(MEMORY_FLOOR)} to the host")
    if free < _SHORT_MEMORY:
        return Check("memory", "limited", f"{told}: few builds side by side, and no pressure on memory")
    return Check("memory", "ok", told)


def _stalls() -> Check:
    if Path("/proc/pressure/memory").exists():
        return Check("attention", "ok", "the kernel tells when the whole host waits for memory (PSI)")
    told = "no PSI (boot with psi=1): a host that is out of memory may be taken for a daemon that hangs"
    return Check("attention", "limited", told)


def _left_behind() -> Check:
    found = [*ledgers()]
    running = [ledger.name for ledger in found if ledger.in_use]
    others = [ledger.name for ledger in found if not ledger.in_use and ledger.spared()]
    left = [ledger.name for ledger in found if not ledger.spared()]
    if left:
        return Check("other runs", "limited", f"{', '.join(left)} left something behind: `repro clean` removes it")
    if others:
        return Check("other runs", "limited", f"{', '.join(others)} may run elsewhere: `repro clean` says where")
    if running:
        return Check(
            "other runs", "limited", f"{', '.join(running)} still running: what is beside it changes its timing"
        )
    return Check("other runs", "ok", "none, and nothing is left of any")


async def _limits() -> AsyncIterator[Check]:
    """Limit a cgroup, and mount a disk of a size of its own, as a scenario's `daemon.limits` would have it."""
    name = f"repro-doctor-{secrets.token_hex(3)}"
    ledger = Ledger.open(name)
    try:
        yield await _tried("limits", _limited(ledger, name), "limited")
        yield await _tried("disk", _disk(ledger, name), "limited")
    finally:
        with anyio.CancelScope(shield=True):
            problems = await ledger.reclaim()
    if problems:
        yield Check("leftovers", "limited", f"{'; '.join(problems)}; `repro clean` tries again")


async def _limited(ledger: Ledger, name: str) -> str:
    cgroup = Cgroup(ledger.own_cgroup(name))
    cgroup.limit(memory=_PROBE_MEMORY, cpus=_PROBE_CORES)
    cgroup.leaf("daemon")
    return "a daemon's memory and CPU can be limited (cgroup)"


async def _disk(ledger: Ledger, name: str) -> str:
    base = ledger.own_folder(cache_folder("daemons") / name)
    (base / "disk").mkdir()
    await mount_disk(base / "disk.img", base / "disk", _PROBE_DISK)
    return "a daemon's root can have a file system of a size of its own (ext4 in a file)"


async def _busybox() -> str:
    return str(await static_busybox())


async def _daemon(kind: str, spec: str) -> str:
    toolchain = await resolve(spec)
    return f"{toolchain.spec}: {toolchain.binaries[kind].version}"


async def _drivers() -> str:
    for driver in DRIVER_NEEDS:
        await equip(Toolchain("auto", {}), driver)
    return f"{', '.join(DRIVER_NEEDS)} have what they need"


async def _registry() -> str:
    return str(await registry_program())


async def _tried(name: str, having: Awaitable[str], otherwise: State) -> Check:
    """Return a check of something that is had or not."""
    try:
        return Check(name, "ok", await having)
    except HarnessError as error:
        return Check(name, otherwise, str(error))
