"""bbolt databases, as far as it takes to copy one that is being written to, and to know that the copy is whole.

Layout (go.etcd.io/bbolt 1.4, ``internal/common/page.go`` and ``meta.go``), all in the machine's byte order: the file is
a row of pages, and the first two are meta pages. A page begins with 16 bytes (id, flags, count, overflow). In a meta
page there follow magic, version, page size, flags (4 bytes each), the root bucket (its page and its sequence), the page
of the free list, how many pages are in use, the transaction's id, and the FNV-64a sum of all these (8 bytes each).
"""

import shutil
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from harness.core.errors import CaptureError

_HEADER_BYTES: Final = 16
_META: Final = struct.Struct("=4I6Q")
_MAGIC: Final = 0xED0CDAED
_VERSION: Final = 2
_SUM_BYTES: Final = 8
_OFFSETS: Final = (0, *(1024 << power for power in range(16)))
"""Where a meta page may begin: the second one is a page on, and a page may be 1 KiB to 32 MiB (``getPageSize``)."""
_ATTEMPTS: Final = 40
_PAUSE_SECONDS: Final = 0.05


class Torn(CaptureError):
    """A database that was written to whenever it was copied."""

    def __init__(self, source: Path) -> None:
        super().__init__(f"torn: {source} was written to during each of {_ATTEMPTS} copies; the last is kept as .torn")


@dataclass(frozen=True)
class Meta:
    """What a meta page says."""

    page_size: int
    pages: int
    """Those in use; the file is at least so long."""
    transaction: int


def newest_meta(file: BinaryIO) -> Meta | None:
    """Return the valid meta page of the latest transaction; None where there is none, so that this is no database."""
    metas = [_meta(file, offset) for offset in _OFFSETS]
    return max((meta for meta in metas if meta), key=lambda meta: meta.transaction, default=None)


def copy_whole(source: Path, target: Path) -> None:
    """Copy a database that another process may write to at any time.

    bbolt never overwrites a page that its newest meta page leads to: a transaction writes to free pages, and its meta
    page last (``tx.go``, `Commit`). So where that one is the same before the copy, in it, and after, the copy is whole.

    Raises:
        CaptureError: it is no bbolt database.
        Torn: it was written to each time.
    """
    draft = target.with_name(f"{target.name}.torn")
    for _ in range(_ATTEMPTS):
        before = _newest(source)
        shutil.copyfile(source, draft)
        long_enough = before is not None and draft.stat().st_size >= before.pages * before.page_size
        if long_enough and before == _newest(draft) == _newest(source):
            draft.replace(target)
            return
        time.sleep(_PAUSE_SECONDS)
    if _newest(draft) is None:
        raise CaptureError(f"{source} is no bbolt database; its copy is kept as .torn")
    raise Torn(source)


def _newest(path: Path) -> Meta | None:
    with path.open("rb") as file:
        return newest_meta(file)


def _meta(file: BinaryIO, offset: int) -> Meta | None:
    file.seek(offset + _HEADER_BYTES)
    data = file.read(_META.size)
    if len(data) < _META.size:
        return None
    magic, version, page_size, _, _, _, _, pages, transaction, told = _META.unpack(data)
    valid = magic == _MAGIC and version == _VERSION and told == fnv64a(data[:-_SUM_BYTES])
    return Meta(page_size, pages, transaction) if valid and offset in {0, page_size} else None


def fnv64a(data: bytes) -> int:
    """Return the 64-bit FNV-1a hash (Go's ``hash/fnv``, `New64a`)."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value
