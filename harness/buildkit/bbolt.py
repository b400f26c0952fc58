"""bbolt databases, read only: bounded, and of a damaged file as much as can be read.

Layout (go.etcd.io/bbolt 1.4, ``internal/common/page.go``, ``meta.go``, ``bucket.go``), all in the machine's byte order:
the file is a row of pages, and the first two are meta pages. A page begins with 16 bytes (id, flags, count, overflow);
with an overflow of n it is n pages longer. In a meta page there follow magic, version, page size, flags (4 bytes each),
the root bucket (its page and its sequence), the page of the free list, how many pages are in use, the transaction's id,
and the FNV-64a sum of all these (8 bytes each). A bucket is a tree of branch pages (16 bytes an element: position and
size of its first key, the page below) over leaf pages (16 bytes an element: flags, position, sizes of key and value).
A value with flag 1 is a bucket: its root page and its sequence, and where the root is 0 the one page itself.

Only the meta pages carry a sum, so everything else is checked as it is read: no page outside the file, none twice, no
element outside its page. What does not hold is noted in `BoltDatabase.damage`, and the rest is read.

Why by hand: PyPI's one reader, ``boltdb`` 0.0.2 of 2020, opens and maps a file for writing even when asked to read
only, makes one that is missing, checks no sum, takes the page size from a first meta page that may be damaged, and
follows whatever page numbers and positions it finds.
"""

import os
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from harness.core.errors import CaptureError
from harness.core.units import counted

T = TypeVar("T")

_PAGE: Final = struct.Struct("=QHHI")
_LEAF_ELEMENT: Final = struct.Struct("=4I")
_BRANCH_ELEMENT: Final = struct.Struct("=2IQ")
_BUCKET: Final = struct.Struct("=2Q")
_META: Final = struct.Struct("=4I6Q")
_MAGIC: Final = 0xED0CDAED
_VERSION: Final = 2
_SUM_BYTES: Final = 8
_BRANCH, _LEAF, _FREE_LIST = 0x01, 0x02, 0x10
_IS_BUCKET: Final = 0x01
_NO_FREE_LIST: Final = 2**64 - 1
_LONG_COUNT: Final = 0xFFFF
"""So many ids or more: the free list's first one is the count."""
_OFFSETS: Final = (0, *(1024 << power for power in range(16)))
"""Where a meta page may begin: the second one is a page on, and a page may be 1 KiB to 32 MiB (``getPageSize``)."""
_Range = tuple[bytes, bytes | None]
"""The least key, and the one that all are below; None where there is no such."""
_LEAST_PAGE_BYTES: Final = 1024
_DEEPEST: Final = 64
"""Branch pages above one another: two elements in each would be more than a file can have."""
_MOST_NOTES: Final = 100
_ATTEMPTS: Final = 40
_PAUSE_SECONDS: Final = 0.05


class NoDatabase(CaptureError):
    """A file that is no bbolt database."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} is no bbolt database: {why}")


class Torn(CaptureError):
    """A database that was written to whenever it was read."""

    def __init__(self, source: Path, what: str = "reads") -> None:
        super().__init__(f"torn: {source} was written to during each of {_ATTEMPTS} {what}")


@dataclass(frozen=True)
class Meta:
    """What a meta page says."""

    page_size: int
    pages: int
    """Those in use; the file is at least so long."""
    transaction: int
    root: int = 0
    """The page of the root bucket."""
    free_list: int = _NO_FREE_LIST


@dataclass
class BoltDatabase:
    """An open database, as of its newest transaction; see `reading`."""

    path: Path
    meta: Meta
    size: int
    """Of the file, in bytes."""
    _fd: int
    damage: list[str] = field(default_factory=list)
    """What does not hold, in sentences."""
    _owners: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    """By page, the bucket that it is of."""

    @property
    def root(self) -> "BoltBucket":
        """The bucket that all others are in."""
        return BoltBucket(self, (), self.meta.root)

    def bucket(self, *names: bytes) -> "BoltBucket | None":
        """Return a bucket by its name and those it is in; None where there is none."""
        found = self.root
        for name in names:
            inner = next((bucket for key, bucket in found.buckets() if key == name), None)
            if inner is None:
                return None
            found = inner
        return found

    def free_pages(self) -> frozenset[int]:
        """Return the pages that the free list has; none where it is not kept or cannot be read."""
        if self.meta.free_list == _NO_FREE_LIST:
            return frozenset()
        page = self.page_at(self.meta.free_list, _FREE_LIST)
        if page is None:
            return frozenset()
        _, count, data = page
        ids = struct.unpack_from(f"={(len(data) - _PAGE.size) // 8}Q", data, _PAGE.size)
        first = 1 if count == _LONG_COUNT else 0
        count = ids[0] if first and ids else count
        if count > len(ids) - first:
            self.note(f"the free list says it has {count} pages, and has room for {len(ids) - first}")
        return frozenset(ids[first : first + count])

    def page_faults(self) -> list[str]:
        """Walk everything, and return what does not hold of its pages, as ``bbolt check`` does: in use twice, in use
        and free, neither. The rest of what is found is in `damage`.
        """
        _walk(self.root, 0)
        free = self.free_pages()
        used = set(self._owners)
        faults = [f"page {page} is in use, and on the free list" for page in sorted(used & free)]
        if self.meta.free_list != _NO_FREE_LIST:
            listed = self.page_at(self.meta.free_list, _FREE_LIST)
            span = len(listed[2]) // self.meta.page_size if listed else 1
            known = used | free | {0, 1} | set(range(self.meta.free_list, self.meta.free_list + span))
            lost = min(self.meta.pages, self.size // self.meta.page_size) - sum(
                page < self.meta.pages for page in known
            )
            if lost > 0:
                faults.append(f"{lost} pages are neither in use nor free")
        return faults[:_MOST_NOTES]

    def note(self, damage: str) -> None:
        """Note what does not hold; of very many only the first are kept."""
        if len(self.damage) < _MOST_NOTES and damage not in self.damage:
            self.damage.append(damage)

    def claim(self, page: int, pages: int, owner: tuple[bytes, ...]) -> bool:
        """Return whether pages belong to a bucket: not those of another."""
        for each in range(page, page + pages):
            if self._owners.setdefault(each, owner) != owner:
                self.note(f"page {each} is in use twice")
                return False
        return True

    def page_at(self, number: int, *kinds: int) -> tuple[int, int, bytes] | None:
        """Return flags, count and content of a page with its overflow; None, and a note, where it does not hold."""
        size = self.meta.page_size
        most = min(self.meta.pages, -(-self.size // size))
        if not 2 <= number < most:
            self.note(f"page {number} lies outside the file, which has {counted(most, 'page')}")
            return None
        data = os.pread(self._fd, size, number * size)
        if len(data) < _PAGE.size:
            self.note(f"the file ends within page {number}")
            return None
        number_in_page, flags, count, overflow = _PAGE.unpack_from(data)
        if number_in_page != number or flags not in kinds:
            self.note(f"page {number} is not what it should be: its header says page {number_in_page}, kind {flags:#x}")
            return None
        if number + overflow >= most:
            self.note(f"page {number} is said to go on for {overflow} pages, beyond the end of the file")
            return None
        if overflow:
            data = os.pread(self._fd, size * (overflow + 1), number * size)
        return flags, count, data


@dataclass(frozen=True)
class BoltBucket:
    """A bucket of a database; its keys are in order."""

    database: BoltDatabase
    path: tuple[bytes, ...]
    page: int
    """Its root; 0 where `inline` is all there is."""
    inline: bytes = b""

    def items(self) -> Iterator[tuple[bytes, "bytes | BoltBucket"]]:
        """Yield each key with its value, or with the bucket of that name."""
        if not self.page:
            if len(self.inline) >= _PAGE.size:
                yield from self._leaf(_PAGE.unpack_from(self.inline)[2], self.inline, "an inline page")
            return
        seen: set[int] = set()
        waiting: list[tuple[int, int, _Range]] = [(self.page, 0, (b"", None))]
        while waiting:
            number, depth, within = waiting.pop()
            if number in seen or depth > _DEEPEST:
                self.database.note(f"page {number} is below itself, or is in use twice")
                continue
            seen.add(number)
            page = self.database.page_at(number, _BRANCH, _LEAF)
            if page is None:
                continue
            flags, count, data = page
            if not self.database.claim(number, len(data) // self.database.meta.page_size or 1, self.path):
                continue
            if flags == _LEAF:
                yield from self._leaf(count, data, f"page {number}", within)
            else:
                below = self._branch(count, data, number, within)
                waiting += [(page, depth + 1, between) for page, between in reversed(below)]

    def keys(self) -> list[bytes]:
        """Return all keys."""
        return [key for key, _ in self.items()]

    def buckets(self) -> Iterator[tuple[bytes, "BoltBucket"]]:
        """Yield each bucket in it, with its name."""
        for key, value in self.items():
            if isinstance(value, BoltBucket):
                yield key, value

    def values(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield each key with its value, where that is no bucket."""
        for key, value in self.items():
            if isinstance(value, bytes):
                yield key, value

    def _branch(self, count: int, data: bytes, number: int, within: _Range) -> list[tuple[int, _Range]]:
        """Return the pages below a branch, each with the keys that it may have."""
        room = (len(data) - _PAGE.size) // _BRANCH_ELEMENT.size
        if count > room:
            self.database.note(f"page {number} says it has {count} elements, and has room for {room}")
        places = range(_PAGE.size, _PAGE.size + min(count, room) * _BRANCH_ELEMENT.size, _BRANCH_ELEMENT.size)
        elements = [(at, *_BRANCH_ELEMENT.unpack_from(data, at)) for at in places]
        firsts = [data[at + position : at + position + size] for at, position, size, _ in elements]
        firsts[:1] = [within[0]]  # the first page may have keys before its own in the branch, since they were added
        ends = [*firsts[1:], within[1]]
        return [(page, (first, end)) for (_, _, _, page), first, end in zip(elements, firsts, ends, strict=False)]

    def _leaf(
        self, count: int, data: bytes, what: str, within: _Range = (b"", None)
    ) -> Iterator[tuple[bytes, "bytes | BoltBucket"]]:
        room = (len(data) - _PAGE.size) // _LEAF_ELEMENT.size
        if count > room:
            self.database.note(f"{what} says it has {count} elements, and has room for {room}")
        last = None
        for index in range(min(count, room)):
            at = _PAGE.size + index * _LEAF_ELEMENT.size
            flags, position, key_size, value_size = _LEAF_ELEMENT.unpack_from(data, at)
            begin = at + position
            if not key_size or begin + key_size + value_size > len(data):
                fault = "lies outside its page" if key_size else "has no key"  # which bbolt takes from nobody
                self.database.note(f"element {index} of {what} {fault}")
                continue
            key = data[begin : begin + key_size]
            value = data[begin + key_size : begin + key_size + value_size]
            if (last is not None and key <= last) or key < within[0] or (within[1] is not None and key >= within[1]):
                self.database.note(f"the keys of {what} are not in order")
            last = key
            if not flags & _IS_BUCKET:
                yield key, value
            elif len(value) < _BUCKET.size:
                self.database.note(f"element {index} of {what} is no bucket, though its flag says so")
            else:
                yield (
                    key,
                    BoltBucket(self.database, (*self.path, key), _BUCKET.unpack_from(value)[0], value[_BUCKET.size :]),
                )


@contextmanager
def opened(path: Path) -> Iterator[BoltDatabase]:
    """Open a database as it is now; what is written to it meanwhile may show in it as damage. See `read_whole`.

    Raises:
        NoDatabase: it is none.
        CaptureError: it cannot be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise CaptureError(f"{path} cannot be read: {error.strerror}") from error
    try:
        yield _open(path, fd)
    except OSError as error:
        raise CaptureError(f"{path} cannot be read: {error.strerror}") from error
    finally:
        os.close(fd)


def read_whole(path: Path, read: Callable[[BoltDatabase], T]) -> T:
    """Return what is read of a database that another process may write to at any time.

    bbolt never overwrites a page that its newest meta page leads to: a transaction writes to free pages, and its meta
    page last (``tx.go``, `Commit`). So where that one is the same before and after, all that was read is of one.

    Raises:
        NoDatabase, CaptureError: see `opened`.
        Torn: it was written to each time.
    """
    for _ in range(_ATTEMPTS):
        with opened(path) as database:
            found = read(database)
        with opened(path) as after:
            if after.meta == database.meta:
                return found
        time.sleep(_PAUSE_SECONDS)
    raise Torn(path)


def newest_meta(fd: int) -> Meta | None:
    """Return the valid meta page of the latest transaction; None where there is none, so that this is no database."""
    metas = [_meta(fd, offset) for offset in _OFFSETS]
    return max((meta for meta in metas if meta), key=lambda meta: meta.transaction, default=None)


def _open(path: Path, fd: int) -> BoltDatabase:
    size = os.fstat(fd).st_size
    meta = newest_meta(fd)
    if meta is None:
        raise NoDatabase(path, "it is empty" if not size else "neither of its meta pages is one, or both are damaged")
    database = BoltDatabase(path, meta, size, fd)
    if size < meta.pages * meta.page_size:
        database.note(f"truncated: {meta.pages * meta.page_size:,} bytes are in use, and the file has {size:,}")
    return database


def _meta(fd: int, offset: int) -> Meta | None:
    data = os.pread(fd, _META.size, offset + _PAGE.size)
    if len(data) < _META.size:
        return None
    magic, version, page_size, _, root, _, free_list, pages, transaction, checksum = _META.unpack(data)
    valid = magic == _MAGIC and version == _VERSION and checksum == fnv64a(data[:-_SUM_BYTES])
    fitting = offset in {0, page_size} and page_size >= _LEAST_PAGE_BYTES
    return Meta(page_size, pages, transaction, root, free_list) if valid and fitting else None


def _walk(bucket: BoltBucket, depth: int) -> None:
    if depth > _DEEPEST:
        bucket.database.note(f"buckets are in one another more than {_DEEPEST} deep")
        return
    for _, inner in bucket.buckets():
        _walk(inner, depth + 1)


def fnv64a(data: bytes | Sequence[int]) -> int:
    """Return the 64-bit FNV-1a hash (Go's ``hash/fnv``, `New64a`)."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value
