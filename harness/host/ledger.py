"""What a run owns on its host, written down before it is made, so that it can be given back whatever happens.

One JSON file a run, below the cache: processes by pid and start time, folders with the mounts below them, and cgroups.
Nothing else is ever ended, unmounted or removed.
"""

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import psutil

from harness.core.errors import CommandMissing, CommandTimeout, InfraError
from harness.host.cache import cache_folder
from harness.host.proc import Identity, run

_END_SECONDS: Final = 5.0
_UNMOUNT_SECONDS: Final = 10.0
_OCTAL: Final = re.compile(rb"\\([0-7]{3})")


class FolderTaken(InfraError):
    """A folder that was to be ours alone, and is there already."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} is there already; `repro clean` removes what an earlier run has left")


@dataclass
class Ledger:
    """One run's belongings."""

    name: str
    harness: Identity
    processes: list[Identity] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    cgroups: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, name: str) -> "Ledger":
        """Begin the ledger of the run `name`, owned by this process."""
        ledger = cls(name, Identity.of(os.getpid()))
        ledger.write()
        return ledger

    @property
    def file(self) -> Path:
        """Where it is written."""
        return cache_folder("ledgers") / f"{self.name}.json"

    @property
    def in_use(self) -> bool:
        """Whether the harness that began it still runs."""
        return self.harness.alive()

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
        """
        folder = folder.resolve()  # as the kernel lists mounts
        if folder.exists():
            raise FolderTaken(folder)
        self.folders.append(folder)
        self.write()
        folder.mkdir(parents=True, mode=0o700)
        return folder

    def own_cgroup(self, name: str) -> str:
        """Note a cgroup, by its name below the root of every hierarchy."""
        self.cgroups.append(name)
        self.write()
        return name

    def write(self) -> None:
        """Write it, whole or not at all."""
        self._draft.write_text(json.dumps(asdict(self), default=str, indent=1))
        self._draft.replace(self.file)

    def discard(self) -> None:
        """Remove what was written: nothing in it is there any more, or needs to be given back."""
        self._draft.unlink(missing_ok=True)
        self.file.unlink(missing_ok=True)

    @property
    def _draft(self) -> Path:
        return self.file.with_suffix(".draft")

    async def settle(self) -> list[str]:
        """End, unmount and remove everything in it; return what could not be, one sentence each.

        The ledger itself goes once nothing is left.
        """
        problems = [
            f"process {process.pid} did not end, even on SIGKILL"
            for process in self.processes
            if not await _end_tree(process)
        ]
        for name in self.cgroups:
            problems += await _remove_cgroup(name)
        for folder in reversed(self.folders):
            problems += await _remove_folder(folder)
        if not problems:
            self.discard()
        return problems


def ledgers() -> Iterator[Ledger]:
    """Yield every ledger that was not settled, also those of runs still going on."""
    folder = cache_folder("ledgers")
    for name in sorted({file.stem for file in folder.iterdir()}):
        # a harness that was killed as it wrote leaves a draft, which says more than what it was to replace
        ledger = _read(folder / f"{name}.draft") or _read(folder / f"{name}.json")
        if ledger:
            yield ledger


def _read(file: Path) -> Ledger | None:
    """Return what was written; None where it was just settled, is torn, or is not ours, and so cannot be trusted."""
    try:
        written = json.loads(file.read_text())
        return Ledger(
            file.stem,
            Identity(**written["harness"]),
            [Identity(**process) for process in written["processes"]],
            [Path(folder) for folder in written["folders"]],
            list(written["cgroups"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


async def _end_tree(root: Identity) -> bool:
    """SIGKILL a process and all that it started; return whether all have ended."""
    if not root.alive():
        return True
    family = [root]
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process(root.pid).children(recursive=True):
            with suppress(ProcessLookupError):
                family.append(Identity.of(process.pid))
    for member in family:
        if member.alive():
            with suppress(ProcessLookupError):
                os.kill(member.pid, signal.SIGKILL)
    with anyio.move_on_after(_END_SECONDS, shield=True):
        while any(member.alive() for member in family):
            await anyio.sleep(0.02)
    return not any(member.alive() for member in family)


async def _remove_folder(folder: Path) -> list[str]:
    """Unmount what is mounted at or below `folder`, and remove it.

    Tried again for a while: what was killed a moment ago may still be writing, or have a mount in use.
    """
    with anyio.move_on_after(_END_SECONDS, shield=True):
        while folder.exists():
            for mount in sorted(_mounts_below(folder), reverse=True):
                with suppress(CommandMissing, CommandTimeout):  # it stays mounted, and is told below
                    await run(["umount", "--lazy", mount], deadline=_UNMOUNT_SECONDS, check=False)
            if not _mounts_below(folder):  # never remove what shows through a mount
                await anyio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))
            if folder.exists():
                await anyio.sleep(0.1)
    mounts = _mounts_below(folder)
    if mounts:
        return [f"{mounts[0]} is still mounted; {folder} was left"]
    return [f"{folder} could not be removed"] if folder.exists() else []


def _mounts_below(folder: Path) -> list[Path]:
    """Return the mount points at or below `folder`, a point once for each mount on it."""
    points = []
    for line in Path("/proc/self/mountinfo").read_bytes().split(b"\n")[:-1]:
        # proc(5): blanks and backslashes stand as three octal digits; names are bytes, and need not be text
        point = Path(os.fsdecode(_OCTAL.sub(lambda match: bytes([int(match[1], 8)]), line.split(b" ")[4])))
        if point.is_relative_to(folder):
            points.append(point)
    return points


async def _remove_cgroup(name: str) -> list[str]:
    """Remove the cgroup `name` from every hierarchy; its processes are killed first."""
    problems = []
    root = Path("/sys/fs/cgroup")
    for top in (root / name, *root.glob(f"*/{name}")):
        if not top.is_dir():
            continue
        folders = sorted((path for path in (top, *top.rglob("*")) if path.is_dir()), reverse=True)
        with anyio.move_on_after(_END_SECONDS, shield=True):
            while folders:
                for folder in folders:
                    _kill_members(folder)
                    with suppress(OSError):
                        folder.rmdir()
                folders = [folder for folder in folders if folder.exists()]
                if folders:
                    await anyio.sleep(0.05)
        if folders:
            problems.append(f"{folders[-1]} still has processes")
    return problems


def _kill_members(cgroup: Path) -> None:
    with suppress(OSError):
        for pid in (cgroup / "cgroup.procs").read_text().split():
            if int(pid):  # 0 is a process of another pid namespace, and to `kill` our own group
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
