"""A cgroup of our own, by one name below the root of every hierarchy: version 2, or version 1 with its controllers.

Limits stand at the top; the daemon lives in a leaf below it, because in version 2 a cgroup that has processes of its
own may have no controllers for what is below (the kernel's cgroup-v2.rst, "No Internal Process Constraint").
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.errors import InfraError

ROOT: Final = Path("/sys/fs/cgroup")
_CONTROLLERS: Final = ("memory", "cpu")
_PERIOD: Final = 100_000
"""Microseconds over which a CPU quota counts; the kernel's default."""


class CgroupUnavailable(InfraError):
    """A cgroup that cannot be made or set here."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"{path}: {error.strerror}; limits need a writable cgroup with memory and cpu controllers")


def version() -> int:
    """Return which version of cgroups this host's controllers are on."""
    return 2 if (ROOT / "cgroup.controllers").exists() else 1


@dataclass(frozen=True)
class Cgroup:
    """One cgroup; whoever makes it has it in a ledger first, which removes it."""

    name: str

    def adopt(self, pid: int, leaf: str = "daemon") -> None:
        """Move a process into a leaf of it, both made where they are not there; what it starts is born there.

        Raises:
            CgroupUnavailable: this host does not let us.
        """
        for top in self._tops():
            folder = top / leaf
            try:
                folder.mkdir(parents=True, exist_ok=True)
                if version() == 2:
                    for above in (ROOT, top):
                        (above / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in _CONTROLLERS))
                (folder / "cgroup.procs").write_text(str(pid))
            except OSError as error:
                raise CgroupUnavailable(folder, error) from error

    def limit(self, *, memory: int | None = None, cpus: float | None = None) -> None:
        """Set limits over all that is in it: bytes, without swap, and cores; `None` leaves one as it is.

        Raises:
            CgroupUnavailable: this host does not let us.
        """
        if memory is not None:
            self._set("memory", "memory.limit_in_bytes", "memory.max", str(memory))
            with suppress(CgroupUnavailable):  # only where the kernel accounts for swap
                self._set("memory", "memory.memsw.limit_in_bytes", "memory.swap.max", str(memory) if self._v1 else "0")
        if cpus is not None:
            quota = round(cpus * _PERIOD)
            self._set("cpu", "cpu.cfs_quota_us", "cpu.max", str(quota) if self._v1 else f"{quota} {_PERIOD}")

    def unlimit_cpus(self) -> None:
        """Take the limit of its CPUs away.

        Raises:
            CgroupUnavailable: this host does not let us.
        """
        self._set("cpu", "cpu.cfs_quota_us", "cpu.max", "-1" if self._v1 else "max")

    @property
    def _v1(self) -> bool:
        return version() == 1

    def _tops(self) -> Iterator[Path]:
        yield from (ROOT / controller / self.name for controller in _CONTROLLERS) if self._v1 else (ROOT / self.name,)

    def _set(self, controller: str, v1: str, v2: str, value: str) -> None:
        file = ROOT / controller / self.name / v1 if self._v1 else ROOT / self.name / v2
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(value)
        except OSError as error:
            raise CgroupUnavailable(file, error) from error
