"""The record that a goroutine looks for, read in a process's memory: here in our own."""

import ctypes
import json
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import CaptureError
from harness.core.manifest import DaemonFacts
from harness.evidence.lookup import Call, LookedFor, Lookup, lookups_in, read_lookups, walks

pytestmark = pytest.mark.anyio
KEY, RESULT = "random:" + "ab" * 32, f"{'w' * 25}::{'r' * 25}"
DIGEST, VERTEX = "sha256:" + "12" * 32, "sha256:" + "34" * 32


@dataclass
class Memory:
    """What lies in our memory, and stays there while this does."""

    kept: list[Any] = field(default_factory=list)

    def put(self, data: bytes) -> int:
        """Put bytes somewhere; return where."""
        self.kept.append(ctypes.create_string_buffer(data, len(data)))
        return ctypes.addressof(self.kept[-1])

    def exporter(self, *digests: str) -> int:
        """Put an exporter, whose first field points to a cache key with digests in it; return where."""
        strings = [struct.pack("=2Q", self.put(digest.encode()), len(digest)) for digest in digests]
        key = struct.pack("=3Q", 0, 1, 2**63) + struct.pack("=2Q", 3, 71) + b"".join(strings)
        return self.put(struct.pack("=4Q", self.put(key.ljust(160, b"\0")), 0, 0, 0))


def dump(memory: Memory, key: str = KEY, result: str = RESULT, *, sure: bool = True) -> str:
    """Return a goroutine dump, of a walk that looks for a result of a key."""
    at, of = memory.put(key.encode()), memory.put(result.encode())
    mark = "" if sure else "?"
    inner, outer = memory.exporter(VERTEX), memory.exporter(DIGEST, VERTEX)
    return f"""goroutine 1 [select]:
main.main()
	/src/main.go:1 +0x1

goroutine 42 [runnable]:
github.com/moby/buildkit/solver/bboltcachestorage.(*Store).Load.func1(0x1a66c7567688?)
	/src/storage.go:136 +0x28a
github.com/moby/buildkit/solver/bboltcachestorage.(*Store).Load(0x1, {{{at:#x}{mark}, {len(key):#x}}}, {{{of:#x}, {len(result):#x}}})
	/src/storage.go:124 +0xd4
github.com/moby/buildkit/solver.(*exporter).ExportTo({inner:#x}{mark}, {{0x1eda8b8, 0x1a66c733b740}}, ...)
	/src/exporter.go:125 +0x569
github.com/moby/buildkit/solver.(*mergedExporter).ExportTo(0x1?, {{0x1eda8b8, 0x1a66c733b740}}, ...)
	/src/exporter.go:275 +0x14b
github.com/moby/buildkit/solver.(*exporter).ExportTo({outer:#x}, {{0x1eda8b8, 0x1a66c733b740}}, ...)
	/src/exporter.go:187 +0x8c5

goroutine 43 [select]:
main.main()
	/src/main.go:1 +0x1
"""  # noqa: E501 — lines as Go writes them


def calls(text: str) -> set[Call]:
    """Return the lookups in a dump."""
    return {walk.lookup for walk in walks(text.splitlines()) if walk.lookup}


def between(text: str) -> str:
    """Return a dump of the same walk, taken between two lookups."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if "Load.func1(" in line)
    call = ["github.com/moby/buildkit/solver.(*cacheManager).getID(0x1, 0x2)", "\t/src/cachemanager.go:9 +0x1"]
    return "\n".join([*lines[:first], *call, *lines[first + 4 :]])


@dataclass
class Here:
    """A daemon that is this very process."""

    facts: DaemonFacts = field(
        default_factory=lambda: DaemonFacts("buildkitd", "", "", "", private=True, pid=os.getpid())
    )


def write(folder: Path, *dumps: str) -> None:
    """Leave dumps as evidence."""
    for number, text in enumerate(dumps):
        (folder / f"goroutines-{number}.txt").write_text(text)


async def test_names_are_read(tmp_path: Path) -> None:
    """Key, result, and the digests along the walk are read, innermost first; it can be read again from its file."""
    memory = Memory()
    write(tmp_path, *[dump(memory)] * 3)
    await LookedFor().capture(Here(), tmp_path)
    assert read_lookups(tmp_path) == [Lookup(42, KEY, RESULT, ((VERTEX,), (DIGEST, VERTEX)))]


def test_where_go_is_not_sure() -> None:
    """An address that Go marks as doubtful is tried: what lies there shows whether it was right."""
    memory = Memory()
    [lookup] = lookups_in(os.getpid(), calls(dump(memory, sure=False)))
    assert (lookup.key, lookup.result) == (KEY, RESULT)


@pytest.mark.parametrize("shown", [0, 1, 2])
async def test_a_dump_between_two_lookups(tmp_path: Path, shown: int) -> None:
    """One dump that shows the lookup is enough, where the walk stands in the same exporter in all."""
    memory = Memory()
    text = dump(memory)
    assert "getID" in between(text)
    assert "Load" not in between(text)
    write(tmp_path, *[text if number == shown else between(text) for number in range(3)])
    await LookedFor().capture(Here(), tmp_path)
    assert [each.key for each in read_lookups(tmp_path)] == [KEY]


async def test_no_dump_shows_the_lookup(tmp_path: Path) -> None:
    """A walk that stands still, and was never seen to ask, is not said to."""
    write(tmp_path, *[between(dump(Memory()))] * 3)
    with pytest.raises(CaptureError, match="the same again and again"):
        await LookedFor().capture(Here(), tmp_path)


async def test_what_moves_is_no_livelock(tmp_path: Path) -> None:
    """A lookup that is not the same in every dump is one that goes on, and none is told."""
    memory = Memory()
    write(tmp_path, dump(memory), dump(memory))
    with pytest.raises(CaptureError, match="the same again and again"):
        await LookedFor().capture(Here(), tmp_path)
    assert not (tmp_path / "lookups.json").exists()


@pytest.mark.parametrize(("key", "result"), [("x" * 71, RESULT), (KEY, "no result"), ("random:" + "\0" * 64, RESULT)])
async def test_what_was_overwritten(tmp_path: Path, key: str, result: str) -> None:
    """What does not look like BuildKit's names is not taken for one."""
    memory = Memory()
    write(tmp_path, *[dump(memory, key, result)] * 2)
    with pytest.raises(CaptureError, match="not in the daemon's memory any more"):
        await LookedFor().capture(Here(), tmp_path)


async def test_no_such_process(tmp_path: Path) -> None:
    """A process that has gone, and addresses that nothing lies at, are no traceback."""
    text = dump(Memory())
    assert [*lookups_in(2**22 + 1, calls(text))] == [], "no pid is as high"
    nowhere = text.replace("Load(0x1, {0x", "Load(0x1, {0xffffffff")
    assert [*lookups_in(os.getpid(), calls(nowhere))] == []
    write(tmp_path)
    with pytest.raises(CaptureError):
        await LookedFor().capture(Here(), tmp_path)


def test_files_that_are_none(tmp_path: Path) -> None:
    """A folder without lookups, or with a damaged file of them, has none."""
    assert read_lookups(tmp_path) == []
    (tmp_path / "lookups.json").write_text(json.dumps([{"goroutine": 1}]))
    assert read_lookups(tmp_path) == []
