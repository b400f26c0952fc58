"""Facts of the host: what `run.json` records of it, and what a private daemon needs of it."""

import os
import platform
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from harness.core.errors import InfraError, UsageError
from harness.core.manifest import HostFacts
from harness.core.units import format_size

DISK_FLOOR: Final = 2 * 2**30
"""Free bytes below which no daemon is started: a toolchain takes 0.3 GiB, a short run's root less than 1 GiB."""

DISK_RESERVE: Final = 2**29
"""Free bytes below which a run ends while it still can: what is left of it needs room to be written."""

MEMORY_FLOOR: Final = 2**29
"""Free bytes of memory that no pressure may take: the harness itself uses a sixth of it."""

_CAP_SYS_ADMIN: Final = 21
_PROXIES: Final = ("http_proxy", "https_proxy", "no_proxy")


def as_root() -> str:
    """Return the command line that does as root what this process was started for, also from a virtual environment.

    root has another ``PATH``, so the program goes by its whole path; ``sudo`` drops the environment, so what we read of
    it is named.
    """
    program, *words = sys.argv
    called = (
        [sys.executable, "-m", "harness"] if Path(program).name == "__main__.py" else [str(Path(program).absolute())]
    )
    read = sorted(name for name in os.environ if name.startswith("REPRO_") or name.lower() in _PROXIES)
    options = [f"--preserve-env={','.join(read)}"] if read else []
    return shlex.join(["sudo", *options, *called, *words])


class NotRoot(UsageError):
    """A private daemon needs root."""

    def __init__(self) -> None:
        super().__init__(f"private daemons need root (mounts, cgroups): run `{as_root()}`")


class NoMounts(InfraError):
    """root without the right to mount, as in a plain container."""

    def __init__(self) -> None:
        super().__init__(
            "private daemons need to mount, which root may not do here (no CAP_SYS_ADMIN): "
            "start this container with --privileged, or say --daemon host"
        )


class NoOverlayfs(InfraError):
    """The kernel has no overlayfs."""

    def __init__(self) -> None:
        super().__init__("this kernel has no overlayfs, which the daemons' snapshots need: try `modprobe overlay`")


class NoDisk(InfraError):
    """Too little room for a daemon's root."""

    def __init__(self, folder: Path, free: int) -> None:
        super().__init__(
            f"{folder} has {format_size(free)} free and a daemon's root needs {format_size(DISK_FLOOR)}: "
            "free some, or set REPRO_CACHE to a folder on a larger disk"
        )


class DiskLow(InfraError):
    """A disk that filled up during the run."""

    def __init__(self, folder: Path, free: int) -> None:
        super().__init__(
            f"{folder} has only {format_size(free)} left, so the run ended before its disk is full; what it recorded "
            "is whole: free some, and go on with `repro resume`"
        )


@dataclass(frozen=True)
class ResourceDemand:
    """What a part of a scenario would take of this host, in bytes."""

    what: str
    memory: int = 0
    disk: int = 0


class Unbearable(UsageError):
    """More than this host has."""

    def __init__(self, burdens: Sequence[tuple[str, int]], of: str, free: int, floor: int) -> None:
        text = ", ".join(f"{what} {format_size(count)}" for what, count in burdens)
        total = sum(count for _, count in burdens)
        super().__init__(
            f"the scenario would take {format_size(total)} of {of} ({text}); {format_size(free)} are free, and "
            f"{format_size(floor)} of them must stay so: make it less"
        )


def require_bearable(burdens: Sequence[ResourceDemand], folder: Path) -> None:
    """Check that this host has what a scenario takes, all of it at once.

    Args:
        burdens: what each part takes.
        folder: where daemons' roots live.

    Raises:
        Unbearable: it has not; the message has the figures.
    """
    memory = [(burden.what, burden.memory) for burden in burdens if burden.memory]
    available = psutil.virtual_memory().available
    if memory and sum(count for _, count in memory) > available - MEMORY_FLOOR:
        raise Unbearable(memory, "this host's memory", available, MEMORY_FLOOR)
    disk = [(burden.what, burden.disk) for burden in burdens if burden.disk]
    free = shutil.disk_usage(folder).free
    if disk and sum(count for _, count in disk) > free - DISK_FLOOR:
        raise Unbearable(disk, f"the disk of {folder}", free, DISK_FLOOR)


def free_bytes(folders: Iterable[Path]) -> int | None:
    """Return what is free on the fullest of the disks that some folders are on; None where none can be asked."""
    found = []
    for folder in folders:
        with suppress(OSError):
            found.append(shutil.disk_usage(folder).free)
    return min(found, default=None)


def require_room_to_go_on(folders: Iterable[Path]) -> None:
    """Check that what a run has on disk may still grow.

    Raises:
        DiskLow: less than the reserve is free where one of the folders is.
    """
    for folder in folders:
        free = free_bytes([folder])
        if free is not None and free < DISK_RESERVE:
            raise DiskLow(folder, free)


def require_private_daemons(folder: Path) -> None:
    """Check that this host can run private daemons with their roots below `folder`.

    Raises:
        NotRoot, NoMounts, NoOverlayfs, NoDisk: what is missing.
    """
    if os.geteuid() != 0:
        raise NotRoot
    if not _may(_CAP_SYS_ADMIN):
        raise NoMounts
    if "overlay" not in Path("/proc/filesystems").read_text().split():
        raise NoOverlayfs
    free = shutil.disk_usage(folder).free
    if free < DISK_FLOOR:
        raise NoDisk(folder, free)


def _may(capability: int) -> bool:
    """Whether this process has a capability, by its number in capabilities(7)'s header."""
    status = Path("/proc/self/status").read_text().splitlines()
    effective = next((line.split()[1] for line in status if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> capability & 1)


def describe(folder: Path) -> HostFacts:
    """Return what a maintainer asks of a host; `folder` is where the daemon's root lives."""
    usage = shutil.disk_usage(folder)
    release = Path("/etc/os-release")
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "") if release.exists() else ""
    return HostFacts(
        kernel=platform.release(),
        architecture=platform.machine(),
        system=system,
        cores=psutil.cpu_count(),
        memory_bytes=psutil.virtual_memory().total,
        cgroup=2 if Path("/sys/fs/cgroup/cgroup.controllers").exists() else 1,
        psi=Path("/proc/pressure").is_dir(),
        disk_free_bytes=usage.free,
        filesystem=_filesystem(folder),
        python=platform.python_version(),
    )


def memory_stall_seconds() -> float | None:
    """Return how long, since boot, every task of the host waited for memory (PSI ``full``); None without PSI."""
    try:
        lines = Path("/proc/pressure/memory").read_text().splitlines()
    except OSError:
        return None
    totals = [line.rpartition("total=")[2] for line in lines if line.startswith("full")]
    return int(totals[0]) / 1e6 if totals else None


def cpu_waiting_share() -> float:
    """Return the share of the last ten seconds in which some task of the host waited for a CPU; 0 without PSI."""
    try:
        some = Path("/proc/pressure/cpu").read_text().partition("avg10=")[2]
    except OSError:
        return 0.0
    return float(some.split()[0]) / 100 if some else 0.0


def _filesystem(folder: Path) -> str:
    parts = [part for part in psutil.disk_partitions(all=True) if folder.is_relative_to(part.mountpoint)]
    return max(parts, key=lambda part: len(part.mountpoint)).fstype if parts else ""
