"""What a run owns on its host, written down before it is made, so that it can be given back whatever happens.

One JSON file a run, below the cache: processes by pid and start time, folders with the mounts below them, and cgroups.
Nothing else is ever ended, unmounted or removed. A lock beside it is held as long as its harness lives; what belongs to
one that is not dead for sure, by its lock, host and boot, is left alone, whoever else names it. A ledger is believed
only where nobody else can have written it, and where it is no copy; even then what it names is only touched where it
shows that it is ours (`proof`).
"""

import json
import os
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio
import psutil

from harness.core.errors import InfraError
from harness.core.files import typed
from harness.host.cache import CacheUnusable, cache_folder
from harness.host.owner import FileLock, State, has_ended, host, pid_namespace, state_of
from harness.host.proc import STARTED_BY, Identity, boot_id
from harness.host.proof import (
    Disbelieved,
    Made,
    in_place,
    is_signed,
    make,
    no_cgroup_of_ours,
    no_folder_of_ours,
    no_process_of_ours,
    read_ours,
    remove_draft,
    remove_empty_cgroup,
)
from harness.host.removal import END_SECONDS, end_tree, remove_cgroup, remove_folder

WAS_LEFT: Final = ", and was left"
"""How a sentence ends on what is in a ledger and is not shown to be its run's."""
_UNSEEN: Final = (
    "its processes are of another pid namespace, and cannot be seen to have ended from here, so its folders were left;"
    " run `repro clean` there, or on the host itself"
)
_MARK: Final = re.compile(r"[\w-]{1,64}")
_MOST_PIDS: Final = 2**31

STAGING: Final = "-staging"
"""Stands behind the name of a run in that of its ledger of what builds are made from."""

ELSEWHERE: Final = "elsewhere.json"
"""A file in a folder of a ledger: what the run has that no folder, mount or process of this host is."""


@dataclass(frozen=True)
class GivenBack:
    """What came of giving back what lay elsewhere."""

    problems: tuple[str, ...] = ()
    """Why it is to be tried again, a sentence each."""
    told: tuple[str, ...] = ()
    """What stays there for good, a sentence each: it may be another's."""


GiveBack = Callable[[Path], Awaitable[GivenBack]]
"""Gives back what the file of that name says."""


class FolderTaken(InfraError):
    """A folder that was to be ours alone, and is there already."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} is there already; `repro clean` removes what an earlier run has left")


class NoPlace(InfraError):
    """A folder where no run may have one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} is not where runs have their folders, and `repro clean` would leave it")


class LedgerTaken(InfraError):
    """A ledger's name that another has."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a ledger {name} already; `repro clean` settles it, or says whose it is")


class LeftAlone(InfraError):
    """A ledger whose processes and folders this harness must not touch."""

    def __init__(self, name: str, why: str) -> None:
        self.why = why
        super().__init__(f"{name}: {why}")


@dataclass
class Ledger:
    """One run's belongings."""

    name: str
    harness: Identity
    processes: list[Identity] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    cgroups: list[str] = field(default_factory=list)
    host: str | None = None
    """Where it was begun; earlier versions did not note it."""
    namespace: int | None = None
    """The pid namespace that its processes' ids are of; None where that is not known."""
    made: dict[str, Made] = field(default_factory=dict)
    """What each folder was as it was made: another in its place is not ours."""
    mark: str | None = None
    """What the programs that its harness started carry, and what it made outside the cache."""
    locked_by: int | None = None
    """The inode of its lock: a copy has another one beside it, and does not see who holds it."""
    told: list[str] = field(default_factory=list, compare=False)
    """What stays elsewhere for good, once it is settled."""
    _begun: bool = field(default=False, compare=False, repr=False)
    """Whether it was begun by us, and not read."""
    _lock: FileLock | None = field(default=None, compare=False, repr=False)

    @classmethod
    def open(cls, name: str) -> "Ledger":
        """Begin the ledger of the run `name`, owned by this process as long as it lives, or until it is let go.

        Raises:
            LedgerTaken: there is one of that name, of a living harness or not settled.
        """
        ledger = cls(
            name,
            Identity.of(os.getpid()),
            host=host(),
            namespace=pid_namespace(),
            mark=STARTED_BY[1],
            _begun=True,
        )
        ledger._lock = ledger._locked()
        if ledger._lock is None:
            raise LedgerTaken(name)
        if ledger.file.exists() or ledger._draft.exists():
            ledger.detach()
            raise LedgerTaken(name)
        ledger.locked_by = ledger._lock.inode
        ledger.write()
        return ledger

    @property
    def file(self) -> Path:
        """Where it is written."""
        return cache_folder("ledgers") / f"{self.name}.json"

    @property
    def in_use(self) -> bool:
        """Whether somebody holds it: the harness that began it, or one that settles it."""
        state = state_of(self._lock_file)
        return state == "held" or (state == "missing" and self.harness.alive())

    @property
    def sees_processes(self) -> bool:
        """Whether the process ids in it are of our own namespace, in this boot."""
        ours = pid_namespace()
        return self.harness.boot == boot_id() and (self.host is None or (ours is not None and self.namespace == ours))

    def spared(self) -> str | None:
        """Return why it is not to be settled from here; None where its harness is dead for sure, or has let it go."""
        return self._spared(state_of(self._lock_file))

    def _spared(self, lock: State) -> str | None:
        on = "" if self.host is None or self.host == host() else f" on host {self.host}"
        if lock == "held":
            return f"still running (pid {self.harness.pid}{on}), or being cleaned by another"
        if self.harness.boot != boot_id():
            if self.host is None:
                return (
                    f"made on another host, or before this one booted, it does not say; if before, remove {self.file}"
                )
            return f"made{on}; run `repro clean` there" if on else None  # else it ended with the boot
        if self._is_copy:
            return f"a copy; `repro clean` where it was begun settles it, and {self.file} can be removed"
        return self._spared_without_lock() if lock == "missing" else None

    def _spared_without_lock(self) -> str | None:
        if self.harness.alive():
            return f"still running (pid {self.harness.pid})"
        if not self.sees_processes:
            return "its lock is gone, and its processes are of another pid namespace; run `repro clean` there"
        return None

    @property
    def _is_copy(self) -> bool:
        if self.locked_by is None:
            return False
        with suppress(FileNotFoundError):
            return self._lock_file.lstat().st_ino != self.locked_by
        return False

    def is_of(self, run: str) -> bool:
        """Whether it is a run's own, or that of a part of it: a shard, or what its builds are made from."""
        return f"{self.name}-".startswith(f"{run}-")

    def own_process(self, *pids: int) -> None:
        """Note processes that we started."""
        for pid in pids:
            with suppress(ProcessLookupError):  # it has ended already, so there is nothing to give back
                self.processes.append(Identity.of(pid))
        self.write()

    def own_folder(self, folder: Path) -> Path:
        """Note a folder, then make it; what is mounted below it is ours too.

        Raises:
            FolderTaken: it is there already, and so is not ours.
            NoPlace: it would be where runs have no folders.
        """
        folder = folder.resolve()  # as the kernel lists mounts
        if not in_place(folder):
            raise NoPlace(folder)
        if folder.exists():
            raise FolderTaken(folder)
        self.folders.append(folder)
        self.write()
        self.made[str(folder)] = make(folder, STARTED_BY[1])
        self.write()
        return folder

    def own_cgroup(self, name: str) -> str:
        """Note a cgroup, by its name below the root of every hierarchy."""
        self.cgroups.append(name)
        self.write()
        return name

    def write(self) -> None:
        """Write it, whole or not at all."""
        self._draft.unlink(missing_ok=True)
        descriptor = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as draft:
            json.dump(self._written(), draft, default=str, indent=1)
        self._draft.replace(self.file)

    def _written(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "host": self.host,
            "namespace": self.namespace,
            "harness": asdict(self.harness),
            "processes": [asdict(process) for process in self.processes],
            "folders": self.folders,
            "cgroups": self.cgroups,
            "made": self.made,
            "mark": self.mark,
            "locked_by": self.locked_by,
        }

    def discard(self) -> None:
        """Remove what was written: nothing in it is there any more, or needs to be given back."""
        self._draft.unlink(missing_ok=True)
        self.file.unlink(missing_ok=True)
        self._release(remove=True)

    def detach(self) -> None:
        """Leave what is in it to `repro clean`, also while we live."""
        self._release(remove=False)

    def _locked(self) -> FileLock | None:
        """Take its lock; None where another has it.

        Raises:
            CacheUnusable: the cache can only be read.
        """
        try:
            return FileLock.take(self._lock_file)
        except OSError as error:
            raise CacheUnusable(self._lock_file, error) from error

    def _release(self, *, remove: bool) -> None:
        lock, self._lock = self._lock, None
        if lock:
            lock.release(remove=remove)

    @property
    def _lock_file(self) -> Path:
        return self.file.with_name(f"{self.name}.lock")

    @property
    def _draft(self) -> Path:
        return self.file.with_name(f"{self.name}.draft")

    async def reclaim(self, elsewhere: GiveBack | None = None) -> list[str]:
        """End, unmount and remove everything in it; return what could not be, one sentence each.

        The ledger itself goes once nothing is left; else it is let go.

        Args:
            elsewhere: gives back what lies elsewhere; without it, a folder that names such things stays.

        Raises:
            LeftAlone: it is another's, or may be.
        """
        if self._lock is None and not self._take():
            return []
        try:
            problems = await self._give_back(elsewhere)
            if not problems:
                self.discard()
        finally:
            self.detach()
        return problems

    def _take(self) -> bool:
        """Take the lock of a ledger that was read, and read it again; return whether it is still there.

        Raises:
            LeftAlone: it is another's, or may be.
        """
        if _read_newest(self.name) is None:
            return False
        if why := self.spared():
            raise LeftAlone(self.name, why)
        self._lock = self._locked()
        if self._lock is None:
            raise LeftAlone(self.name, self._spared("held") or "")
        now = _read_newest(self.name)
        if now is None:  # another has settled it meanwhile
            self._release(remove=True)
            return False
        if now.harness != self.harness:
            self.detach()
            raise LeftAlone(self.name, "begun again meanwhile")
        vars(self).update({key: value for key, value in vars(now).items() if key != "_lock"})
        if self.locked_by not in {None, self._lock.inode}:  # its lock was gone, and has just been made anew
            self.locked_by = self._lock.inode
            self.write()
        return True

    async def _give_back(self, elsewhere: GiveBack | None) -> list[str]:
        problems = []
        others = [] if self._begun else [each for each in ledgers() if each.name != self.name and each.spared()]
        if self.harness.boot == boot_id():  # of an earlier one only the folders are left
            if self.sees_processes:
                for process in self.processes:
                    problems += await self._end(process, others)
            for name in self.cgroups:
                problems += await self._remove_cgroup(name, others)
            if self.processes and not self.sees_processes and not await _ended(self.namespace):
                return [*problems, _UNSEEN]
        for folder in reversed(self.folders):
            problems += await self._remove(folder, elsewhere, others)
        return problems

    async def _end(self, process: Identity, others: Sequence["Ledger"]) -> list[str]:
        """End a process with all that it started."""
        if not process.alive():
            return []
        if not self._begun and (why := no_process_of_ours(process, self.mark, self.cgroups)):
            return [f"process {process.pid} {why}{WAS_LEFT}"]
        if whose := [each.name for each in others if each.holds(process)]:
            return [f"process {process.pid} is of {whose[0]} too{WAS_LEFT}"]
        return [] if await end_tree(process) else [f"process {process.pid} did not end, even on SIGKILL"]

    def holds(self, process: Identity) -> bool:
        """Whether to end a process, with all that it started, would be to end what is of this ledger."""
        ours = {self.harness.pid, *(each.pid for each in self.processes)}
        with suppress(psutil.Error):
            known = psutil.Process(process.pid)
            below = {each.pid for each in known.children(recursive=True)}
            above = {each.pid for each in known.parents()} - {self.harness.pid}  # it may have let go of another's
            return bool(ours & {process.pid, *below, *above})
        return process.pid in ours

    async def _remove_cgroup(self, name: str, others: Sequence["Ledger"]) -> list[str]:
        if whose := [each.name for each in others if name in each.cgroups]:
            return [f"cgroup {name} is of {whose[0]} too{WAS_LEFT}"]
        if name == f"repro-{self.name}":
            remove_empty_cgroup(name)
        if not self._begun and (why := no_cgroup_of_ours(name, self.mark)):
            return [f"cgroup {name} {why}{WAS_LEFT}"]
        return await remove_cgroup(name)

    async def _remove(self, folder: Path, elsewhere: GiveBack | None, others: Sequence["Ledger"]) -> list[str]:
        """Remove a folder; a folder that the ledger does not note as made is removed only if it is empty."""
        remove_draft(folder, self.mark)
        if not os.path.lexists(folder):
            return [] if in_place(folder) or self.sees_processes else [f"{folder} cannot be seen from here"]
        if whose := [each.name for each in others if any(_overlap(folder, one) for one in each.folders)]:
            return [f"{folder} is of {whose[0]} too{WAS_LEFT}"]
        made = self.made.get(str(folder))
        if why := no_folder_of_ours(folder, made, self.mark, this_boot=self.harness.boot == boot_id()):
            return [f"{folder} {why}{WAS_LEFT}"]
        if made is None and not is_signed(folder, self.mark):
            try:
                folder.rmdir()
            except OSError:
                return [f"{folder} is not known to have been made by the run{WAS_LEFT}"]
        if problems := await self._give_back_elsewhere(folder / ELSEWHERE, elsewhere):
            return problems
        return await remove_folder(folder, self.mark)

    async def _give_back_elsewhere(self, file: Path, elsewhere: GiveBack | None) -> list[str]:
        if not file.exists():
            return []
        if elsewhere is None:
            return [f"{file} names what is to be given back first: `repro clean` does"]
        given = await elsewhere(file)
        self.told += given.told
        if not given.problems:
            file.unlink()  # it is not asked again where we are killed before the folder has gone
        return [*given.problems]


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def ledgers() -> Iterator[Ledger]:
    """Yield every ledger that was not settled, also those of runs still going on."""
    folder = cache_folder("ledgers")
    for name in sorted({file.stem for file in folder.iterdir()}):
        if ledger := _read_newest(name):
            yield ledger


def _read_newest(name: str) -> Ledger | None:
    """Return the ledger of that name; a harness that was killed as it wrote leaves a draft, which says more."""
    folder = cache_folder("ledgers")
    return _read(folder / f"{name}.draft") or _read(folder / f"{name}.json")


def disbelieved() -> Iterator[str]:
    """Yield why a file among the ledgers is not believed, a sentence each; one that is written just now is let be."""
    for file in sorted(cache_folder("ledgers").iterdir()):
        if file.suffix in {".json", ".draft"}:
            try:
                read_ours(file)
                if state_of(file.with_suffix(".lock")) != "held" and _read_newest(file.stem) is None and file.exists():
                    yield f"{file}: not believed, for it is damaged"
            except Disbelieved as error:
                yield str(error)
            except (OSError, ValueError):
                continue


@dataclass(frozen=True)
class _Written:
    """What a ledger's file has; earlier versions did not write all of it."""

    harness: Identity
    processes: list[Identity]
    folders: list[str]
    cgroups: list[str]
    host: str | None = None
    namespace: int | None = None
    made: dict[str, Made] = field(default_factory=dict)
    mark: str | None = None
    locked_by: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no run has written: it could stand for something else where it is used, or is said."""
        texts = [self.host or "", self.harness.boot, *self.folders, *self.cgroups]
        if not all(text.isprintable() for text in texts):
            raise ValueError("a name in it cannot be printed")
        if not all(0 < each.pid < _MOST_PIDS for each in (self.harness, *self.processes)):
            raise ValueError("a process in it has a number that none has")
        if self.mark is not None and not _MARK.fullmatch(self.mark):
            raise ValueError("its mark is none")


def _read(file: Path) -> Ledger | None:
    """Return what was written; None where it was just settled, is torn, or is not ours, and so cannot be trusted."""
    try:
        written = typed(json.loads(read_ours(file)), _Written)
    except (OSError, ValueError, RecursionError, Disbelieved):
        return None
    return Ledger(**vars(written) | {"name": file.stem, "folders": [Path(folder) for folder in written.folders]})


def remove_remnants() -> None:
    """Remove what is left of ledgers that have nothing in them, where who was to write or to discard one was killed."""
    for lock_file in cache_folder("ledgers").glob("*.lock"):
        draft, whole = lock_file.with_suffix(".draft"), lock_file.with_suffix(".json")
        if state_of(lock_file) != "free" or not (lock := FileLock.take(lock_file)):
            continue
        with suppress(OSError):
            if draft.lstat().st_size == 0 and not whole.exists():  # a ledger comes before the first thing that it has
                draft.unlink()
        lock.release(remove=not os.path.lexists(draft) and not os.path.lexists(whole))


async def _ended(namespace: int | None) -> bool:
    """Whether a pid namespace comes to its end within a while."""
    with anyio.move_on_after(END_SECONDS, shield=True):
        while not (ended := has_ended(namespace)):
            await anyio.sleep(0.05)
    return ended
