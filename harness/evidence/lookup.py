"""The cache record that a goroutine looks for: a dump has the addresses of its names, the memory has the names."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from harness.core.errors import CaptureError
from harness.evidence.base import Subject

_LOAD: Final = re.compile(
    r"^github\.com/moby/buildkit/solver/bboltcachestorage\.\(\*Store\)\.Load"
    r"\(0x[0-9a-f]+\??, \{0x([0-9a-f]+)\??, 0x([0-9a-f]+)\??\}, \{0x([0-9a-f]+)\??, 0x([0-9a-f]+)\??\}\)$"
)
"""``…/solver/bboltcachestorage.(*Store).Load(0xc000126830, {0xc000169e50, 0x47}, {0xc0003bfa40, 0x34})``: two strings,
each its address and its length in bytes; a ``?`` means that Go is not sure.
"""
_GOROUTINE: Final = re.compile(r"^goroutine (\d+) ")
_KEY: Final = re.compile(r"(random|sha256):[0-9a-f]{64}|[a-z0-9]{25}")
_RESULT: Final = re.compile(r"[a-z0-9]{25}::[a-z0-9]{25}")
_MOST_BYTES: Final = 128


@dataclass(frozen=True)
class Lookup:
    """A goroutine that asks the cache's database for a result of a key."""

    goroutine: int
    key: str
    result: str
    """``<worker>::<ref>``."""


@dataclass(frozen=True)
class LookedFor:
    """``lookups.json``: what goroutines were asking the cache's database for in every dump.

    The names are read where they lie in the daemon's memory, which changes nothing and holds up nobody. What lies there
    must look like the names that BuildKit gives, twice: else it was overwritten meanwhile, and nothing is said.
    """

    name: str = "record looked for"
    deadline: float = 3.0

    async def capture(self, daemon: Subject, folder: Path) -> None:
        """Read the names."""
        dumps = [_calls(file.read_text(errors="replace")) for file in sorted(folder.glob("goroutines-*.txt"))]
        calls = set.intersection(*dumps) if dumps else set()
        if not calls:
            raise CaptureError("no goroutine asks the cache's database for the same in every dump")
        found = [lookup for pid in daemon.facts.pids for lookup in _read(pid, calls)]
        if not found:
            raise CaptureError("the names are not in the daemon's memory any more, or it is not ours to read")
        (folder / "lookups.json").write_text(json.dumps([asdict(lookup) for lookup in found], indent=1) + "\n")


Call = tuple[int, tuple[int, int], tuple[int, int]]
"""A goroutine, and address and length of key and result."""


def _calls(dump: str) -> set[Call]:
    found: set[Call] = set()
    goroutine = 0
    for line in dump.splitlines():
        if match := _GOROUTINE.match(line):
            goroutine = int(match[1])
        elif match := _LOAD.match(line):
            key, key_bytes, result, result_bytes = (int(part, 16) for part in match.groups())
            found.add((goroutine, (key, key_bytes), (result, result_bytes)))
    return found


def _read(pid: int, calls: set[Call]) -> Iterator[Lookup]:
    try:
        memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        for goroutine, *places in sorted(calls):
            key, result = (_text(memory, *place) for place in places)
            if _KEY.fullmatch(key) and _RESULT.fullmatch(result):
                yield Lookup(goroutine, key, result)
    finally:
        os.close(memory)


def _text(memory: int, address: int, length: int) -> str:
    """Return what lies at an address; nothing where that cannot be read, or changes under the eye."""
    try:
        first, second = (os.pread(memory, min(length, _MOST_BYTES), address) for _ in range(2))
    except (OSError, OverflowError):
        return ""
    return first.decode(errors="replace") if first == second else ""
