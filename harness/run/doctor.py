"""Whether this host can do what runs need: each check acquires one resource in the way a run does.

What is fetched is fetched here, so that a run at night need not be the first to learn that it cannot.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import anyio

from harness.core.errors import HarnessError
from harness.daemons.private import mount_disk
from harness.daemons.registry import registry_program
from harness.host.cache import cache_folder
from harness.host.cgroup import Cgroup
from harness.host.ledger import Ledger
from harness.run.preflight import Check, State, look_around, private_daemons
from harness.toolchain import Toolchain, equip, resolve
from harness.toolchain.base import DRIVER_NEEDS
from harness.toolchain.base_image import static_busybox

_PROBE_MEMORY: Final = 2**26
_PROBE_CORES: Final = 1.0
_PROBE_DISK: Final = 2**24


async def examine(preparing: Callable[[str], None]) -> AsyncIterator[Check]:
    """Yield one check after the other; where private daemons cannot be, what these would need is left out.

    The first ones are those that every run begins with (`preflight`).

    Args:
        preparing: is told what may take a while.
    """
    looked = []
    for check in look_around():
        looked.append(check)
        yield check
    if any(check.state == "missing" for check in looked):
        return
    private = private_daemons()
    yield private
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
        daemons = [Check(check.name, "missing", check.detail) for check in daemons]
    for check in daemons:
        yield check
    preparing("what drivers and registries need")
    yield await _tried("drivers", _drivers(), "limited")
    yield await _tried("registry", _registry(), "limited")


async def _limits() -> AsyncIterator[Check]:
    """Limit a cgroup, and mount a disk of a size of its own, as a scenario's `daemon.limits` would have it."""
    name = f"doctor-{secrets.token_hex(3)}"
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
    cgroup = Cgroup(ledger.own_cgroup(f"repro-{name}"))
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
    """Return a check of a resource that is either available or not."""
    try:
        return Check(name, "ok", await having)
    except HarnessError as error:
        return Check(name, otherwise, str(error))
