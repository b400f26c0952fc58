"""The cache record that a goroutine looks for: a dump has the addresses of its names, the memory has the names."""

import json
import os
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Final

import anyio.to_thread

from harness.core.errors import CaptureError, StoreError
from harness.core.files import read_bytes
from harness.evidence.base import Subject

_LOAD: Final = re.compile(
    r"^github\.com/moby/buildkit/solver/bboltcachestorage\.\(\*Store\)\.Load"
    r"\(0x[0-9a-f]+\??, \{0x([0-9a-f]+)\??, 0x([0-9a-f]+)\??\}, \{0x([0-9a-f]+)\??, 0x([0-9a-f]+)\??\}\)\s*$"
)
"""``…/solver/bboltcachestorage.(*Store).Load(0xc000126830, {0xc000169e50, 0x47}, {0xc0003bfa40, 0x34})``: two strings,
each its address and its length in bytes; a ``?`` means that Go is not sure.
"""
_EXPORT: Final = re.compile(r"^github\.com/moby/buildkit/solver\.\(\*exporter\)\.ExportTo\(0x([0-9a-f]+)\??, ")
_SOLVER: Final = "github.com/moby/buildkit/solver"
_GOROUTINE: Final = re.compile(r"^goroutine (\d+) ")
_KEY: Final = re.compile(r"(random|sha256):[0-9a-f]{64}|[a-z0-9]{25}")
_RESULT: Final = re.compile(r"[a-z0-9]{25}::[a-z0-9]{25}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_MOST_BYTES: Final = 128
_WORD: Final = struct.Struct("=Q")
_CACHE_KEY_BYTES: Final = 160
"""What is looked at of a ``solver.CacheKey``: it is shorter, and its digests stand in its first hundred bytes."""


@dataclass(frozen=True)
class Lookup:
    """A goroutine that asks the cache's database for a result, on its walk from a build's result to its roots."""

    goroutine: int
    key: str
    result: str
    """``<worker>::<ref>``."""
    way: tuple[tuple[str, ...], ...] = ()
    """The digests in the cache key of each ``exporter`` on the walk, that of the lookup first: among them is the digest
    of the vertex that the key was made for (``CacheKey.vtx``).
    """


@dataclass(frozen=True)
class LookedFor:
    """``lookups.json``: what goroutines were asking the cache's database for, again and again.

    The names are read where they lie in the daemon's memory, which changes nothing and holds up nobody. What lies there
    must look like the names that BuildKit gives: else it was overwritten meanwhile, and nothing is said.
    """

    name: str = "record looked for"
    deadline: float = 3.0

    async def capture(self, daemon: Subject, folder: Path) -> None:
        """Read the names."""
        lasting = await anyio.to_thread.run_sync(_lasting, folder, abandon_on_cancel=True)
        if not lasting:
            raise CaptureError("no goroutine of the dumps asks the cache's database for the same again and again")
        found = [lookup for pid in daemon.facts.pids for lookup in lookups_in(pid, lasting)]
        if not found:
            raise CaptureError("the names are not in the daemon's memory any more, or it is not ours to read")
        (folder / "lookups.json").write_text(json.dumps([asdict(lookup) for lookup in found], indent=1) + "\n")


@dataclass(frozen=True, order=True)
class Call:
    """A lookup as a dump has it: addresses, and lengths in bytes."""

    goroutine: int
    key: tuple[int, int]
    result: tuple[int, int]
    exporters: tuple[int, ...]


@dataclass(frozen=True)
class Walk:
    """A goroutine on its way from exporter to exporter, as a dump has it."""

    goroutine: int
    exporters: tuple[int, ...]
    """Their addresses, the innermost first."""
    lookup: Call | None
    """What it asks the database for at that moment; None between two questions."""


def _lasting(folder: Path) -> set[Call]:
    """Return the lookups of the walks that are the same in every dump in a folder.

    An exporter asks for one record alone. So a walk that stands still in one turns round in the lookup that some of its
    dumps show, also where another dump was taken between two of them (in ``solver.(*cacheManager).getID``).
    """
    dumps = []
    for file in sorted(folder.glob("goroutines-*.txt")):
        with file.open(errors="replace") as lines:
            dumps.append({walk.goroutine: walk for walk in walks(lines)})
    everywhere = set.intersection(*(set(dump) for dump in dumps)) if dumps else set()
    found = (_only_lookup([dump[goroutine] for dump in dumps]) for goroutine in everywhere)
    return {call for call in found if call}


def _only_lookup(seen: Sequence[Walk]) -> Call | None:
    """Return the one lookup that a goroutine's walks show; None where it has moved on, or shows none."""
    asked = {walk.lookup for walk in seen} - {None}
    stands = len({walk.exporters for walk in seen}) == 1 and (seen[0].exporters or all(walk.lookup for walk in seen))
    return asked.pop() if stands and len(asked) == 1 else None


def walks(dump: Iterable[str]) -> Iterator[Walk]:
    """Yield the goroutines of a dump, given line by line, that walk or look up."""
    goroutine, exporters = 0, list[int]()
    places: tuple[tuple[int, int], tuple[int, int]] | None = None
    for line in chain(dump, ["goroutine 0 "]):
        if match := _GOROUTINE.match(line):
            if places or exporters:
                walked = tuple(exporters)
                yield Walk(goroutine, walked, Call(goroutine, *places, walked) if places else None)
            goroutine, exporters, places = int(match[1]), [], None
        elif not line.startswith(_SOLVER):
            continue
        elif match := _LOAD.match(line):
            key, key_bytes, result, result_bytes = (int(part, 16) for part in match.groups())
            places = (key, key_bytes), (result, result_bytes)
        elif match := _EXPORT.match(line):
            exporters.append(int(match[1], 16))


def lookups_in(pid: int, lasting: set[Call]) -> Iterator[Lookup]:
    """Yield the arguments of calls whose names are in a process's memory."""
    try:
        memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        for call in sorted(lasting):
            key, result = _text(memory, *call.key), _text(memory, *call.result)
            if _KEY.fullmatch(key) and _RESULT.fullmatch(result):
                way = tuple(tuple(_digests(memory, exporter)) for exporter in call.exporters)
                yield Lookup(call.goroutine, key, result, way)
    finally:
        os.close(memory)


def _digests(memory: int, exporter: int) -> Iterator[str]:
    """Yield the digests in the cache key of an exporter, whose first field points to it.

    A string is an address and a length; which of them is which field depends on the version, so all are taken.
    """
    pointer = _bytes(memory, exporter, _WORD.size)
    key = _bytes(memory, _WORD.unpack(pointer)[0], _CACHE_KEY_BYTES) if len(pointer) == _WORD.size else b""
    words = [_WORD.unpack_from(key, at)[0] for at in range(0, len(key) - _WORD.size + 1, _WORD.size)]
    for address, length in pairwise(words):
        if length == len("sha256:") + 64 and _DIGEST.fullmatch(text := _text(memory, address, length)):
            yield text


def _text(memory: int, address: int, length: int) -> str:
    return _bytes(memory, address, min(length, _MOST_BYTES)).decode(errors="replace")


def _bytes(memory: int, address: int, length: int) -> bytes:
    """Return what lies at an address; nothing where that cannot be read."""
    try:
        return os.pread(memory, length, address)
    except (OSError, OverflowError):
        return b""


def read_lookups(folder: Path) -> list[Lookup]:
    """Return the lookups in a finding's folder; none where there are none."""
    try:
        written = json.loads(read_bytes(folder / "lookups.json"))
        return [Lookup(**{**each, "way": tuple(tuple(step) for step in each["way"])}) for each in written]
    except (StoreError, ValueError, TypeError, KeyError):
        return []
