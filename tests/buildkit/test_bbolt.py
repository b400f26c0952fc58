"""bbolt databases: all that is in one is read, whatever its pages; of a damaged one what can be, and never more."""

import os
import random
import shutil
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from harness.buildkit import bbolt
from harness.buildkit.bbolt import (
    BoltBucket,
    BoltDatabase,
    Meta,
    NoDatabase,
    Torn,
    fnv64a,
    newest_meta,
    opened,
    read_whole,
)
from harness.core.errors import CaptureError
from tests.support.bolt import Content, bolt

REAL = Path(__file__).parents[1] / "data" / "bbolt" / "cache.db"
NEWEST = 4096 + 16
"""Where the newest meta of the real file begins: on its second page, behind the page's header."""
TRANSACTION = 48

CONTENT: Content = {
    b"empty": {},
    b"flat": {b"key %03d" % number: b"value %d" % number for number in range(60)},
    b"deep": {b"one": {b"two": {b"three": b"x"}, b"beside": b""}},
    b"long": {b"a": b"\xff" * 9000, b"b": b"short"},
    b"value": b"not a bucket",
}


def committed(data: bytes, at: int, transaction: int) -> bytes:
    """Return a database with another transaction in one of its meta pages."""
    meta = bytearray(data[at : at + 64])
    struct.pack_into("=Q", meta, TRANSACTION, transaction)
    struct.pack_into("=Q", meta, 56, fnv64a(bytes(meta[:56])))
    return data[:at] + bytes(meta) + data[at + 64 :]


def everything(bucket: BoltBucket) -> dict[bytes, Any]:
    """Return all that is in a bucket."""
    return {key: everything(value) if isinstance(value, BoltBucket) else value for key, value in bucket.items()}


def content(database: BoltDatabase) -> tuple[dict[bytes, Any], list[str], list[str]]:
    """Return all that is in a database, and what does not hold in it."""
    found = everything(database.root)
    return found, database.page_faults(), database.damage


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], Path]:
    """Make a database's file of its bytes."""

    def make(data: bytes) -> Path:
        (tmp_path / "some.db").write_bytes(data)
        return tmp_path / "some.db"

    return make


def meta_of(path: Path) -> Meta | None:
    """Return a file's newest meta page."""
    with path.open("rb") as stream:
        return newest_meta(stream.fileno())


@pytest.mark.parametrize(("text", "value"), [(b"", 0xCBF29CE484222325), (b"foobar", 0x85944171F73967E8)])
def test_hash(text: bytes, value: int) -> None:
    """The hash gives the values that its authors publish."""
    assert fnv64a(text) == value


def test_real_database(file: Callable[[bytes], Path]) -> None:
    """Of a real cache.db both meta pages hold, and the later transaction is the one that counts."""
    real = Meta(page_size=4096, pages=64, transaction=131, root=43, free_list=44)
    later = meta_of(file(committed(REAL.read_bytes(), 16, 132)))
    assert meta_of(REAL) == real
    assert later
    assert (later.transaction, later.pages) == (132, 64)


def test_half_written_meta_page(file: Callable[[bytes], Path]) -> None:
    """A meta page whose sum is wrong does not count; the older one then does, wherever the second page begins."""
    data = REAL.read_bytes()
    second_lost = data[: NEWEST + 50] + b"\xff" + data[NEWEST + 51 :]
    cases = {
        data[:16] + b"\0" * 64 + data[80:]: 131,
        second_lost: 130,
        second_lost[:16] + b"\0" * 64 + second_lost[80:]: None,
    }
    for case, transaction in cases.items():
        meta = meta_of(file(case))
        assert (meta.transaction if meta else None) == transaction


@pytest.mark.parametrize("page_size", [1024, 4096, 16384, 65536])
@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("fan_out", [2, 1000])
def test_everything_is_read(file: Callable[[bytes], Path], page_size: int, inline: bool, fan_out: int) -> None:
    """Whatever the page's size, inline buckets or not, however deep the tree, with overflow: nothing is lost."""
    path = file(bolt(CONTENT, page_size=page_size, inline=inline, fan_out=fan_out))
    assert read_whole(path, content) == (CONTENT, [], [])


def test_real_pages_are_in_order() -> None:
    """In a real database every page is either in use, once, or free."""
    found, page_faults, damage = read_whole(REAL, content)
    assert {name: len(bucket) for name, bucket in found.items()} == {
        b"_backlinks": 22,
        b"_byresult": 46,
        b"_links": 60,
        b"_result": 50,
    }
    assert page_faults == damage == []


def test_bucket_by_name(file: Callable[[bytes], Path]) -> None:
    """A bucket is found by its path; what is a value, or not there, is none."""
    with opened(file(bolt(CONTENT, fan_out=2))) as database:
        found = database.bucket(b"deep", b"one", b"two")
        assert found
        assert everything(found) == {b"three": b"x"}
        assert database.bucket(b"value") is database.bucket(b"deep", b"none") is None


@pytest.mark.parametrize(
    ("at", "written", "said"),
    [
        (0, struct.pack("=Q", 99), "not what it should be: its header says page 99"),
        (8, struct.pack("=H", 0x10), "not what it should be"),
        (10, struct.pack("=H", 60000), "says it has 60000 elements"),
        (12, struct.pack("=I", 2**31), "go on for 2147483648 pages"),
        (16 + 4, struct.pack("=I", 2**32 - 1), "element 0 of page .* lies outside its page"),
        (16 + 8, struct.pack("=I", 2**32 - 1), "element 0 of page .* lies outside its page"),
    ],
)
def test_damaged_page(file: Callable[[bytes], Path], at: int, written: bytes, said: str) -> None:
    """A page that contradicts itself is named with what does not hold, and what else there is is read."""
    data = bytearray(bolt({b"a": {b"x": b"1"}, b"b": {b"y": b"2"}}, inline=False))
    page = data.index(b"x1") // 4096 * 4096
    data[page + at : page + at + len(written)] = written
    with opened(file(bytes(data))) as database:
        found = everything(database.root)
        assert found[b"b"] == {b"y": b"2"}
        assert found[b"a"] in ({}, {b"x": b"1"})
        [first, *_] = database.damage
        assert pytest.raises(AssertionError, match=said).matches(AssertionError(first)), first


def test_circles_end(file: Callable[[bytes], Path]) -> None:
    """A tree that leads back to itself, and buckets that share a page, are said to, and are read once."""
    data = bytearray(
        bolt({b"a": {b"k%d" % each: b"v" for each in range(8)}, b"b": {b"z": b""}}, inline=False, fan_out=2)
    )
    branches = [at for at in range(3 * 4096, len(data), 4096) if data[at + 8] == 1]
    for branch in branches:
        struct.pack_into("=Q", data, branch + 16 + 8, branch // 4096)
    with opened(file(bytes(data))) as database:
        everything(database.root)
        assert any("below itself" in damage for damage in database.damage)


@pytest.mark.parametrize("other", [b"k0", b"k9"])
def test_keys_on_the_wrong_page(file: Callable[[bytes], Path], other: bytes) -> None:
    """A key that its branch sends elsewhere is noted, though its page is in order, and is read all the same."""
    data = bolt({b"k%d" % each: b"" for each in range(8)}, inline=False, fan_out=2)
    at = data.index(b"k2k3")
    moved = data[: at + (0 if other == b"k0" else 2)] + other + data[at + (2 if other == b"k0" else 4) :]
    with opened(file(moved)) as database:
        assert other in everything(database.root)
        assert [damage for damage in database.damage if "not in order" in damage]


def test_pages_that_are_free_and_in_use(file: Callable[[bytes], Path]) -> None:
    """The free list is held against what is in use, as `bbolt check` does."""
    data = bytearray(bolt({b"a": {b"x": b"1"}}, inline=False))
    struct.pack_into("=H", data, 2 * 4096 + 10, 1)
    struct.pack_into("=Q", data, 2 * 4096 + 16, 3)
    assert read_whole(file(bytes(data)), BoltDatabase.page_faults) == ["page 3 is in use, and on the free list"]
    unlisted = bolt({b"a": b"1"}) + b"\0" * 4096
    grown = bytearray(unlisted)
    for at in (16, 4096 + 16):
        struct.pack_into("=Q", grown, at + 40, 5)
        struct.pack_into("=Q", grown, at + 56, fnv64a(bytes(grown[at : at + 56])))
    assert read_whole(file(bytes(grown)), BoltDatabase.page_faults) == ["1 pages are neither in use nor free"]


@pytest.mark.parametrize("seed", range(6))
def test_random_damage(file: Callable[[bytes], Path], seed: int) -> None:
    """Whatever is cut off or flipped, reading ends, and with what is there or with one sentence."""
    chance, real = random.Random(seed), REAL.read_bytes()
    for _ in range(8):
        data = bytearray(real[: chance.randrange(len(real))] if chance.random() < 0.3 else real)
        for _ in range(2 ** chance.randrange(12)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        with suppress(NoDatabase):
            found, _, _ = read_whole(file(bytes(data)), content)
            assert len(found) <= 256


@pytest.mark.parametrize("data", [b"", b"no database" * 1000, REAL.read_bytes()[:4000]])
def test_no_database(file: Callable[[bytes], Path], data: bytes) -> None:
    """What is none is called none, in a sentence that names the file."""
    if len(data) == 4000:
        data = data[:16] + b"\0" * 64
    with pytest.raises(NoDatabase, match=r"some\.db is no bbolt database"):
        read_whole(file(data), content)


def test_truncated(file: Callable[[bytes], Path]) -> None:
    """A file that is shorter than its meta page says is called truncated."""
    with opened(file(REAL.read_bytes()[:100_000])) as database:
        assert database.damage == ["truncated: 262,144 bytes are in use, and the file has 100,000"]


def test_sparse_file_of_2_gigabytes(file: Callable[[bytes], Path]) -> None:
    """Only pages in use are read: how long the file is does not matter."""
    path = file(REAL.read_bytes())
    os.truncate(path, 2**31)
    assert len(read_whole(path, content)[0]) == 4


def test_missing(tmp_path: Path) -> None:
    """A file that is not there, or is a folder, is no traceback."""
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(CaptureError, match="cannot be read"):
            read_whole(path, content)


def test_read_again_until_whole(file: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read while a transaction was committed is read again; always written to, it is called torn."""
    monkeypatch.setattr(bbolt, "_PAUSE_SECONDS", 0.0)
    path = file(REAL.read_bytes())
    reads: list[int] = []

    def read(until: int) -> Callable[[BoltDatabase], int]:
        def during(database: BoltDatabase) -> int:
            if len(reads) < until:
                reads.append(database.meta.transaction + 1)
                path.write_bytes(committed(path.read_bytes(), 16 + 4096 * (reads[-1] % 2), reads[-1]))
            return database.meta.transaction

        return during

    assert read_whole(path, read(3)) == 134
    with pytest.raises(Torn, match="torn"):
        read_whole(path, read(1000))
    shutil.copyfile(REAL, path)
    assert read_whole(path, read(0)) == 131
