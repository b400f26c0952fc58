"""What is looked at before every run: what of this host can be learned in some milliseconds, nothing made or fetched.

What would break a run for sure ends it before it begins; what it goes without is said.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import psutil

from harness.core.errors import HarnessError, InfraError
from harness.core.units import format_size
from harness.host.cache import cache_folder, cache_top, require_writable_cache, stranger
from harness.host.cgroup import version
from harness.host.hostinfo import DISK_FLOOR, MEMORY_FLOOR, describe, require_private_daemons
from harness.host.ledger import STAGING, ledgers
from harness.host.surroundings import lacking, require_high_limits, require_programs, require_temporary_files

State = Literal["ok", "limited", "missing"]

_SHORT_MEMORY: Final = 2 * 2**30
"""Less free memory than this, and daemon, builds and the host's own work get in each other's way."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: State
    """`limited`: a run goes without it, and loses what the sentence says; `missing`: a run cannot be."""
    detail: str
    """What was found; of what is not there, why, and what to do."""


class HostUnfit(InfraError):
    """A host on which no run can be."""

    def __init__(self, checks: list[Check]) -> None:
        super().__init__("\n".join(check.detail for check in checks))


def look_around(resumed: str = "") -> Iterator[Check]:
    """Yield what every run needs, whatever its daemon; the rest cannot be looked at where the cache is no good.

    Args:
        resumed: the name of a run that is resumed, which gives back what it left by itself.

    Raises:
        UsageError: the cache has a name that it cannot have.
    """
    yield _required("shell", require_high_limits, "its limits (ulimit) are high enough")
    yield _required("temporary files", require_temporary_files, "can be written")
    yield _programs()
    yield _memory()
    yield _stalls()
    yield (cache := _cache())
    if cache.state != "missing":
        yield _host()
        yield _left_behind(resumed)


def private_daemons() -> Check:
    """Return whether daemons of ours can be."""
    folder = cache_folder("daemons")
    try:
        require_private_daemons(folder)
    except HarnessError as error:
        return Check("private daemons", "missing", str(error))
    free = format_size(shutil.disk_usage(folder).free)
    return Check("private daemons", "ok", f"root, overlayfs; {free} free at {folder}, {format_size(DISK_FLOOR)} needed")


def require_fit() -> None:
    """Check that a run can begin here, as far as that is known at once.

    Raises:
        UsageError: the cache has a name that it cannot have.
        HostUnfit: it cannot; the message has a line for each thing that is missing.
    """
    if missing := [check for check in look_around() if check.state == "missing"]:
        raise HostUnfit(missing)


def _required(name: str, require: Callable[[], None], fine: str) -> Check:
    try:
        require()
    except InfraError as error:
        return Check(name, "missing", str(error))
    return Check(name, "ok", fine)


def _programs() -> Check:
    check = _required("programs", require_programs, "setpriv is there, and what limits and shards need")
    if check.state == "ok" and (without := lacking()):
        detail = f"without {', '.join(without)} there are no disks of a size of their own, or no shards: install them"
        return Check("programs", "limited", detail)
    return check


def _cache() -> Check:
    check = _required("cache", lambda: require_writable_cache("ledgers", "daemons", "staging"), str(cache_top()))
    if check.state == "ok" and (user := stranger()):
        detail = f"{cache_top()} is of user {user}, who can change what is run from it: set REPRO_CACHE to one of yours"
        return Check("cache", "limited", detail)
    return check


def _host() -> Check:
    facts = describe(cache_folder("daemons"))
    system = facts.system or "Linux"
    cores = facts.cores or 1
    detail = f"{system}, kernel {facts.kernel}, {facts.architecture}, {cores} cores, cgroup v{version()}"
    if cores == 1:
        return Check("host", "limited", f"{detail}: on a single core what runs side by side takes turns")
    return Check("host", "ok", detail)


def _memory() -> Check:
    free = psutil.virtual_memory().available
    detail = f"{format_size(free)} of memory free"
    if free < MEMORY_FLOOR:
        return Check("memory", "missing", f"{detail}, and the harness leaves {format_size(MEMORY_FLOOR)} to the host")
    if free < _SHORT_MEMORY:
        return Check("memory", "limited", f"{detail}: few builds side by side, and no pressure on memory")
    return Check("memory", "ok", detail)


def _stalls() -> Check:
    if Path("/proc/pressure/memory").exists():
        return Check("attention", "ok", "the kernel tells when the whole host waits for memory (PSI)")
    detail = "no PSI (boot with psi=1): a host that is out of memory may be taken for a daemon that hangs"
    return Check("attention", "limited", detail)


def _left_behind(resumed: str) -> Check:
    found = [ledger for ledger in ledgers() if not (resumed and ledger.is_of(resumed))]
    runs = {ledger.name.removesuffix(STAGING) for ledger in found}
    # a run has a ledger for each daemon, and one for what builds are made from: it is told of once, by its own name
    whole = [(ledger, min((run for run in runs if ledger.is_of(run)), key=len)) for ledger in found]
    running = dict.fromkeys(run for ledger, run in whole if ledger.in_use)
    others = dict.fromkeys(run for ledger, run in whole if not ledger.in_use and ledger.spared())
    left = dict.fromkeys(run for ledger, run in whole if not ledger.spared())
    if left:
        return Check("other runs", "limited", f"{', '.join(left)} left something behind: `repro clean` removes it")
    if others:
        return Check("other runs", "limited", f"{', '.join(others)} may run elsewhere: `repro clean` says where")
    if running:
        detail = f"{', '.join(running)} still running: what is beside it changes its timing"
        return Check("other runs", "limited", detail)
    return Check("other runs", "ok", "none, and nothing is left of any")
