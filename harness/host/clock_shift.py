"""The clock of single processes set ahead or back, as after a step of NTP: the host's clock stays as it is.

A time namespace of Linux has no wall clock, and libfaketime has no hold on a static program, as daemons in Go are. But
each process has its own copy of the function with which the kernel tells it the time (the vDSO's `clock_gettime`). Its
first bytes are overwritten, while the process is stopped, by a call of the kernel's clock and an addition.
"""

import os
import platform
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from harness.core.errors import InfraError
from harness.host.proc import Identity

_STUB: Final = struct.Struct("<18sq4s")
_BEFORE: Final = bytes.fromhex(
    "b8e4000000"  # mov eax, 228 (clock_gettime)
    "0f05"  # syscall
    "85ff7405"  # the clock is 0 (CLOCK_REALTIME): add
    "83ff05750d"  # nor 5 (CLOCK_REALTIME_COARSE): return
    "48b9"  # mov rcx, the seconds
)
_AFTER: Final = bytes.fromhex("48010ec3")  # add [rsi], rcx; ret
_FUNCTION: Final = "__vdso_clock_gettime"
_STOP_SECONDS: Final = 2.0
_AGAIN: Final = 5
"""How often a process is stopped anew that was in the very bytes at the time."""


class NoClockShift(InfraError):
    """A process's clock that cannot be set."""

    def __init__(self, pid: int, why: str) -> None:
        super().__init__(f"the clock of process {pid} alone cannot be set: {why}")


@contextmanager
def clock_shifted(pid: int, seconds: int) -> Iterator[None]:
    """Have a process, and no other, see the wall clock so many seconds ahead (or back); right again on leaving.

    Its monotonic clock, its timers, and what it starts see no change.

    Raises:
        NoClockShift: it is gone, is not ours, has another time already, or this machine is not of x86-64.
    """
    if platform.machine() != "x86_64":
        raise NoClockShift(pid, f"that is known for x86-64, and this is {platform.machine()}")
    try:
        process, place = Identity.of(pid), _function(pid)
        right = _memory(pid, place, _STUB.size)
        if right.startswith(_BEFORE):
            raise NoClockShift(pid, "it has been set already: one jump at a time")
        _written(pid, place, _STUB.pack(_BEFORE, seconds, _AFTER))
    except (OSError, ValueError, struct.error) as error:
        raise NoClockShift(pid, str(error)) from error
    try:
        yield
    finally:
        with suppress(OSError):  # where it is gone, there is nothing to heal
            if process.alive():
                _written(pid, place, right)


def _memory(pid: int, at: int, size: int) -> bytes:
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        memory.seek(at)
        return memory.read(size)


def _function(pid: int) -> int:
    """Return where the process's own `clock_gettime` begins.

    Raises:
        ValueError: it has none.
    """
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        if line.endswith("[vdso]"):
            begin, end = (int(each, 16) for each in line.split()[0].split("-"))
            return begin + _offset(_memory(pid, begin, end - begin))
    raise ValueError("it has no vDSO")


def _offset(image: bytes) -> int:
    """Return where the function begins in a vDSO, an ELF file of 64 bits whose symbols lie before their names."""
    (headers,), (count,) = struct.unpack_from("<Q", image, 32), struct.unpack_from("<H", image, 56)
    segments = [struct.unpack_from("<IIQ", image, headers + 56 * number) for number in range(count)]
    dynamic = next(offset for kind, _, offset in segments if kind == 2)  # PT_DYNAMIC
    tags: dict[int, int] = {}
    while 0 not in tags:  # DT_NULL, the last
        tag, value = struct.unpack_from("<qQ", image, dynamic + 16 * len(tags))
        tags[tag] = value
    symbols, names = tags[6], tags[5]  # DT_SYMTAB, DT_STRTAB
    for symbol in range(symbols, names - 23, 24):
        name, _, _, _, value, _ = struct.unpack_from("<IBBHQQ", image, symbol)
        if image[names + name :].split(b"\0", 1)[0] == _FUNCTION.encode():
            return int(value)
    raise ValueError(f"its vDSO has no {_FUNCTION}")


def _written(pid: int, at: int, text: bytes) -> None:
    """Overwrite code of a process, while it is stopped, and none of its threads is about to run a part of it.

    Raises:
        OSError: it is gone, or is not ours.
        TimeoutError: it does not stop, or never stops elsewhere.
    """
    for _ in range(_AGAIN):
        with _stopped(pid):
            if not any(at <= place < at + len(text) for place in _places(pid)):
                with Path(f"/proc/{pid}/mem").open("wb", buffering=0) as memory:
                    memory.seek(at)
                    memory.write(text)
                return
    raise TimeoutError("it asks for the time without pause")


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    """Have all threads of a process stand still; one that somebody else has stopped stays so."""
    was = _states(pid) <= {"T"}
    os.kill(pid, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + _STOP_SECONDS
        while not _states(pid) <= {"T"}:
            if time.monotonic() > deadline:
                raise TimeoutError("it does not stop")
            time.sleep(0.001)
        yield
    finally:
        if not was:
            os.kill(pid, signal.SIGCONT)


def _states(pid: int) -> set[str]:
    """Return the states in which its threads are (proc(5))."""
    states = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            states.add((task / "stat").read_text().rpartition(")")[2].split()[0])
    return states


def _places(pid: int) -> Iterator[int]:
    """Yield where each of its threads stands in its code (proc(5), `syscall`: the last number)."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            yield int((task / "syscall").read_text().split()[-1], 16)
