"""Ends processes, and removes folders with their mounts, and cgroups, that were shown to be ours; tries for a while."""

import os
import re
import signal
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import psutil

from harness.core.errors import CommandMissing, CommandTimeout
from harness.host.cgroup import as_removed
from harness.host.proc import Identity, run
from harness.host.proof import remove

END_SECONDS: Final = 5.0
"""How long what is killed may take to go."""
_UNMOUNT_SECONDS: Final = 10.0
_OCTAL: Final = re.compile(rb"\\([0-7]{3})")


async def end_tree(root: Identity) -> bool:
    """SIGKILL a process and all that it started; return whether all have ended."""
    if not root.alive():
        return True
    family = [root]
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process(root.pid).children(recursive=True):
            with suppress(ProcessLookupError):
                family.append(Identity.of(process.pid))
    for member in family:
        with suppress(ProcessLookupError):
            _kill(member)
    with anyio.move_on_after(END_SECONDS, shield=True):
        while any(member.alive() for member in family):
            await anyio.sleep(0.02)
    return not any(member.alive() for member in family)


def _kill(process: Identity) -> None:
    """SIGKILL this very process, and none that has come to have its number.

    Raises:
        ProcessLookupError: it has ended.
    """
    descriptor = os.pidfd_open(process.pid)
    try:
        if process.alive():
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    finally:
        os.close(descriptor)


async def remove_folder(folder: Path, mark: str | None) -> list[str]:
    """Unmount what is mounted at or below `folder`, and remove it; outside the cache it has the mark of its harness.

    Tried again for a while: what was killed a moment ago may still be writing, or have a mount in use.
    """
    with anyio.move_on_after(END_SECONDS, shield=True):
        while folder.exists():
            for mount in sorted(_mounts_below(folder), reverse=True):
                with suppress(CommandMissing, CommandTimeout):  # it stays mounted, and is told below
                    await run(["umount", "--lazy", mount], deadline=_UNMOUNT_SECONDS, check=False)
            if not _mounts_below(folder):  # never remove what shows through a mount
                await anyio.to_thread.run_sync(partial(remove, folder, mark))
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


async def remove_cgroup(name: str) -> list[str]:
    """Remove the cgroup `name` from every hierarchy; its processes are killed first."""
    for tree in as_removed(name):
        folders = tree
        with anyio.move_on_after(END_SECONDS, shield=True):
            while folders:
                for folder in folders:
                    _kill_members(folder)
                with suppress(OSError):  # what comes after one that is in use stays with it
                    for folder in folders:
                        folder.rmdir()
                folders = [folder for folder in folders if folder.exists()]
                if folders:
                    await anyio.sleep(0.05)
        if folders:  # the mark, in another hierarchy, stays with them
            return [f"{folders[-1]} still has processes"]
    return []


def _kill_members(cgroup: Path) -> None:
    with suppress(OSError):
        for pid in (cgroup / "cgroup.procs").read_text().split():
            if int(pid):  # 0 is a process of another pid namespace, and to `kill` our own group
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
