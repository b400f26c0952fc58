"""The daemon's processes as the kernel sees them; it answers for one that is stopped too.

Source of the fields: proc(5), ``/proc/pid/stat`` and ``/proc/pid/fd``.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
import psutil

from harness.client.activity import RUNTIMES, bytes_moved
from harness.core.errors import CaptureError
from harness.core.files import write_json
from harness.evidence.base import Subject

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_KIND: Final = re.compile(r"(?:anon_inode:\[?)?(\w+)")


@dataclass(frozen=True)
class Thread:
    """One thread, or a whole process: its state as ``ps`` has it, and its CPU time so far."""

    id: int
    name: str
    state: str
    waits_in: str
    """The kernel's function that it sleeps in, where the kernel says so."""
    cpu_seconds: float


@dataclass(frozen=True)
class Process:
    """One process with its threads."""

    whole: Thread
    parent: int
    command: Sequence[str]
    rss: int
    moved: int
    """Bytes that it has read and written."""
    open_files: Mapping[str, int]
    """How many, by kind: file, socket, pipe, eventpoll…"""
    threads: Mapping[int, Thread] = field(default_factory=dict)


@dataclass(frozen=True)
class Processes:
    """``process.json``: the process that builds, and below `others` the rest of the daemon's tree.

    `stopped`: it was in state T at one of the two looks, and so answered nobody. `cores`: the CPU that it, or a thread
    of it, used between them, `over` seconds apart. `moved`: the bytes a second that it read and wrote meanwhile.
    `step_lives`: whether the first process of a step, which a runtime has started, lives.
    """

    over: float = 1.0
    name: str = "process"
    deadline: float = 6.0

    async def capture(self, daemon: Subject, folder: Path) -> None:
        """Look twice, and write what is there and what has moved."""
        pids = daemon.facts.pids[::-1]
        before, began = await _look(pids), anyio.current_time()
        await anyio.sleep(self.over)
        after, seconds = await _look(pids), anyio.current_time() - began
        figures = [_figures(process, before.get(pid), seconds) for pid, process in after.items()]
        figures.sort(key=lambda process: process["name"] != "buildkitd")  # in a container it is below its docker-init
        if not figures:
            raise CaptureError("the daemon's process is not known, or has ended")
        figures[0]["step_lives"] = any(_is_step(process, after) for process in after.values())
        write_json(folder / "process.json", {**figures[0], "others": figures[1:]})


async def _look(pids: Sequence[int]) -> dict[int, Process]:
    """Read the processes and all below them; in a thread, for the kernel may have us wait for one of them."""
    return await anyio.to_thread.run_sync(lambda: dict(_tree(pids)), abandon_on_cancel=True)


def _tree(pids: Sequence[int]) -> Iterator[tuple[int, Process]]:
    for pid in pids:
        with suppress(psutil.Error):
            for process in (root := psutil.Process(pid), *root.children(recursive=True)):
                with suppress(psutil.Error, OSError):  # it has ended meanwhile
                    yield process.pid, _process(process)


def _process(process: psutil.Process) -> Process:
    folder = Path("/proc") / str(process.pid)
    threads = {}
    for task in (folder / "task").iterdir():
        with suppress(OSError):
            threads[int(task.name)] = _thread(task)
    return Process(
        whole=_thread(folder),
        parent=process.ppid(),
        command=process.cmdline(),
        rss=process.memory_info().rss,
        moved=bytes_moved(process.pid),
        open_files=Counter(_kinds(folder / "fd")),
        threads=threads,
    )


def _thread(folder: Path) -> Thread:
    """Read ``stat``: ``1234 (dockerd) S 1 …``; of what follows the name, 0 is the state, 11 and 12 are ticks of CPU."""
    stat = (folder / "stat").read_text()
    fields = stat[stat.rindex(")") + 2 :].split()
    waits_in = ""
    with suppress(OSError):
        waits_in = (folder / "wchan").read_text().strip("0\n")
    name = stat[stat.index("(") + 1 : stat.rindex(")")]
    return Thread(int(folder.name), name, fields[0], waits_in, (int(fields[11]) + int(fields[12])) / _TICKS)


def _is_step(process: Process, tree: Mapping[int, Process]) -> bool:
    above = tree.get(process.parent)
    runs = above and RUNTIMES.match(above.whole.name) and not RUNTIMES.match(process.whole.name)
    return bool(runs) and process.whole.state not in {"Z", "X"}


def _kinds(folder: Path) -> Iterator[str]:
    """Yield what each descriptor is: ``socket:[123]``, ``anon_inode:[eventpoll]``, or a path."""
    for descriptor in folder.iterdir():
        with suppress(OSError):
            target = str(descriptor.readlink())
            kind = _KIND.match(target)
            yield kind[1] if kind else "deleted file" if target.endswith(" (deleted)") else "file"


def _figures(process: Process, before: Process | None, seconds: float) -> dict[str, Any]:
    known = before.threads if before else {}
    return {
        "pid": process.whole.id,
        "parent": process.parent,
        "name": process.whole.name,
        "state": process.whole.state,
        "stopped": any(look.whole.state in {"T", "t"} for look in (before, process) if look),
        "cores": _cores(process.whole, before.whole if before else None, seconds),
        "cpu_seconds": process.whole.cpu_seconds,
        "rss": process.rss,
        "moved": round((process.moved - before.moved) / seconds) if before and seconds else None,
        "open_files": {"count": sum(process.open_files.values()), **process.open_files},
        "command": process.command,
        "threads": [
            {**asdict(thread), "cores": _cores(thread, known.get(number), seconds)}
            for number, thread in process.threads.items()
        ],
    }


def _cores(now: Thread, before: Thread | None, seconds: float) -> float:
    return round((now.cpu_seconds - before.cpu_seconds) / seconds, 3) if before else 0.0
