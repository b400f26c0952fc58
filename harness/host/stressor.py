"""Takes memory, CPU or disk until it is killed: a program of its own, that imports nothing of ours.

``stressor.py JOIN MODE …``, where JOIN is what its own pid is written to first (``cgroup.procs`` files, with colons
between them; empty for none), and MODE is one of ``memory BYTES``, ``cpu THREADS``, ``io FOLDER THREADS BYTES`` and
``disk FILE BYTES``. It prints ``ready`` once it has what it is to take. Where memory runs out it is the first to be
killed. ``oom PID BYTES`` takes up to twice so much memory, as long as that process lives: to have the kernel kill that.
"""

import ctypes
import errno
import mmap
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

READY: Final = "ready"
_MIB: Final = 2**20
_STEP: Final = _MIB
_TOLD_BYTES: Final = 16 * _MIB
_BLOCK: Final = 4096
_REFILL_SECONDS: Final = 0.2
_PR_SET_PDEATHSIG: Final = 1
"""prctl(2): the signal that the kernel sends when the parent dies."""


def memory(size: int) -> NoReturn:
    """Hold so many bytes, every page of them touched; say on the way how far it is."""
    held = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for start in range(0, size, mmap.PAGESIZE):
        if start % _TOLD_BYTES == 0:
            _say(f"{start // _MIB} MiB held")
        held[start] = 1
    _say(READY)
    while True:
        signal.pause()


def oom(pid: int, size: int) -> None:
    """Take ever more memory as long as a process lives."""
    held: list[mmap.mmap] = []
    while _lives(pid) and len(held) * _STEP < 2 * size:
        piece = mmap.mmap(-1, _STEP, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for start in range(0, _STEP, mmap.PAGESIZE):
            piece[start] = 1
        held.append(piece)


def _lives(pid: int) -> bool:
    """Whether a process is there, and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def cpu(threads: int) -> NoReturn:
    """Burn so many cores."""
    _team(threads, lambda _: sum(range(100_000)))


def io(folder: Path, threads: int, size: int) -> NoReturn:
    """Write so many files of so many bytes to the disk, over and over."""
    block = os.urandom(_MIB)
    files = [(folder / str(number)).open("wb", buffering=0) for number in range(threads)]
    for file in files:
        os.posix_fallocate(file.fileno(), 0, size)

    def write(number: int) -> None:
        files[number].seek(0)
        for start in range(0, size, _MIB):
            files[number].write(block[: size - start])
        os.fsync(files[number].fileno())

    _team(threads, write)


def disk(path: Path, level: int) -> NoReturn:
    """Have so many bytes of the disk used, with a file of real blocks; what is freed meanwhile is taken too."""
    with path.open("wb") as file:
        end = _filled(file.fileno(), 0, level)
        _say(READY)
        while True:
            time.sleep(_REFILL_SECONDS)
            end = _filled(file.fileno(), end, level)


def _filled(file: int, end: int, level: int) -> int:
    """Make a file longer, by as much as there is, until `level` bytes of its disk are used; return its new end."""
    step = level
    while True:
        disk = os.fstatvfs(file)
        used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
        step = min(step, level - used, level - end)  # no longer than `level`: blocks may cost nothing, or be told late
        if step < _BLOCK:
            return end
        try:
            os.posix_fallocate(file, end, step)
            end += step
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            step //= 2


def _team(count: int, work: Callable[[int], object]) -> NoReturn:
    """Fork processes that repeat their work; they die with this process, which ends as soon as one of them does."""
    us, prctl = os.getpid(), ctypes.CDLL(None, use_errno=True).prctl
    for number in range(count):
        if os.fork() == 0:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            while os.getppid() == us:  # else it died before the kernel knew
                work(number)
            os._exit(1)
    _say(READY)
    os.wait()
    sys.exit("one of the processes ended")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _main(join: str, mode: str, *words: str) -> NoReturn:
    if mode != "oom":  # the kernel adds the cgroup's whole limit to what such a process holds
        Path("/proc/self/oom_score_adj").write_text("1000")
    for file in filter(None, join.split(":")):
        Path(file).write_text("0")  # the kernel takes it for who writes it
    if mode == "memory":
        memory(int(words[0]))
    elif mode == "oom":
        oom(int(words[0]), int(words[1]))
        sys.exit()
    elif mode == "cpu":
        cpu(int(words[0]))
    elif mode == "io":
        io(Path(words[0]), int(words[1]), int(words[2]))
    elif mode == "disk":
        disk(Path(words[0]), int(words[1]))
    sys.exit(f"{mode} is no mode")


if __name__ == "__main__":
    try:
        _main(*sys.argv[1:])
    except OSError as error:
        sys.exit(str(error))
