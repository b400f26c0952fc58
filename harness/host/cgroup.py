"""A cgroup of our own, by one name below the root of every hierarchy: version 2, or version 1 with its controllers.

Limits stand at the top; the daemon lives in a leaf below it, because in version 2 a cgroup that has processes of its
own may have no controllers for what is below (the kernel's cgroup-v2.rst, "No Internal Process Constraint"). An empty
one below it, named by our mark, shows later that it was we who made it.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.core.errors import InfraError
from harness.host.proc import STARTED_BY

ROOT: Final = Path("/sys/fs/cgroup")
_CONTROLLERS: Final = ("memory", "cpu")
_PERIOD: Final = 100_000
"""Microseconds over which a CPU quota counts; the kernel's default."""


class CgroupError(InfraError):
    """A cgroup that this host cannot provide as requested."""


class CgroupUnavailable(CgroupError):
    """A cgroup that cannot be made or set here."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"{path}: {error.strerror}; limits need a writable cgroup with memory and cpu controllers")


class CgroupThrottled(CgroupError):
    """A cgroup that another act throttles at the moment."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the CPU of {name} is throttled by another already")


def version() -> int:
    """Return which version of cgroups this host's controllers are on."""
    return 2 if (ROOT / "cgroup.controllers").exists() else 1


def folders_of(name: str) -> Iterator[Path]:
    """Yield where the cgroup of that name is: below the root of each hierarchy, and nowhere deeper."""
    for top in (ROOT, *sorted(each for each in ROOT.glob("*/") if not each.is_symlink() and each.is_mount())):
        if (top / "cgroup.procs").exists() and (top / name).is_dir():
            yield top / name


def is_made_by(name: str, mark: str) -> bool:
    """Whether the harness with that mark made the cgroup of that name, in one hierarchy at least."""
    return any((folder / _by(mark)).is_dir() for folder in folders_of(name))


def as_removed(name: str) -> list[list[Path]]:
    """Return a cgroup of each hierarchy with those below it, each before what it is in; our mark is the last.

    Those without a mark come first: in hierarchies that we do not use, what runs in ours makes cgroups of that name.
    """
    trees = [[path for path in (top, *top.rglob("*")) if path.is_dir()] for top in folders_of(name)]
    trees.sort(key=lambda tree: any(map(_is_mark, tree)))
    return [sorted(tree, key=lambda each: (-len(each.parts), _is_mark(each))) for tree in trees]


def _by(mark: str) -> str:
    return f"by-{mark}"


def _is_mark(folder: Path) -> bool:
    return folder.name.startswith(_by(""))


@dataclass(frozen=True)
class Cgroup:
    """One cgroup. A ledger has its name before it is made, and removes it."""

    name: str

    def adopt(self, pid: int, leaf: str = "daemon") -> None:
        """Move a process into a leaf of it; what it starts is born there.

        Raises:
            CgroupUnavailable: this host does not let us.
        """
        for file in self.leaf(leaf):
            with _reported(file):
                file.write_text(str(pid))

    def leaf(self, name: str) -> tuple[Path, ...]:
        """Return the files that move a process into a leaf of it when its pid, or 0 for its own, is written to them.

        Raises:
            CgroupUnavailable: this host does not let us make it.
        """
        folders = dict.fromkeys(self._folder(controller) / name for controller in _CONTROLLERS)
        for folder in folders:
            with _reported(folder):
                folder.mkdir(exist_ok=True)
        return tuple(folder / "cgroup.procs" for folder in folders)

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

    @contextmanager
    def throttled(self, cpus: float) -> Iterator[None]:
        """Let all that is in it use only so many cores, and on leaving what it could before.

        Raises:
            CgroupThrottled: it is so already: who came first would give back too much, and who came last too little.
            CgroupUnavailable: this host does not let us.
        """
        file = self._file("cpu", "cpu.cfs_quota_us", "cpu.max")
        mark = file.parent / "throttled"
        with _reported(mark):
            try:
                mark.mkdir()
            except FileExistsError as error:
                raise CgroupThrottled(self.name) from error
        try:
            with _reported(file):
                before = file.read_text()
            self.limit(cpus=cpus)
            try:
                yield
            finally:
                with _reported(file):
                    file.write_text(before)
        finally:
            mark.rmdir()

    def memory_limit(self) -> int:
        """Return how many bytes `limit` lets all that is in it use.

        Raises:
            CgroupUnavailable: this host does not say.
        """
        file = self._file("memory", "memory.limit_in_bytes", "memory.max")
        with _reported(file):
            return int(file.read_text())

    def times_throttled(self) -> int:
        """Return in how many periods what is in it was kept from using more CPU than it may.

        Raises:
            CgroupUnavailable: this host does not say.
        """
        file = self._file("cpu", "cpu.stat", "cpu.stat")
        with _reported(file):
            return sum(
                int(line.split()[1]) for line in file.read_text().splitlines() if line.startswith("nr_throttled")
            )

    def oom_kills(self) -> int:
        """Return how many processes of the daemon's leaf the kernel has killed for want of memory.

        Raises:
            CgroupUnavailable: this host does not say.
        """
        file = self.leaf("daemon")[0].with_name("memory.oom_control" if self._v1 else "memory.events")
        with _reported(file):
            return sum(int(line.split()[1]) for line in file.read_text().splitlines() if line.startswith("oom_kill "))

    @property
    def _v1(self) -> bool:
        return version() == 1

    def _folder(self, controller: str) -> Path:
        """Return it in the hierarchy of a controller, made where it is not there; a hierarchy itself is never made."""
        top = ROOT / controller / self.name if self._v1 else ROOT / self.name
        with _reported(top):
            with suppress(FileExistsError):
                top.mkdir()
                (top / _by(STARTED_BY[1])).mkdir()
            for above in () if self._v1 else (ROOT, top):
                (above / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in _CONTROLLERS))
        return top

    def _file(self, controller: str, v1: str, v2: str) -> Path:
        return self._folder(controller) / (v1 if self._v1 else v2)

    def _set(self, controller: str, v1: str, v2: str, value: str) -> None:
        file = self._file(controller, v1, v2)
        with _reported(file):
            file.write_text(value)


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CgroupUnavailable(path, error) from error
