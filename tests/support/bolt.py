"""bbolt databases made to measure: a writer as small as it can be, of its own making and not the reader's."""

import struct
from collections.abc import Mapping
from typing import Union

from harness.buildkit.bbolt import fnv64a

Content = Mapping[bytes, Union[bytes, "Content"]]
"""A bucket: keys with values, or with buckets."""


class _Writer:
    def __init__(self, page_size: int, inline: bool, fan_out: int) -> None:
        self.page_size, self.inline, self.fan_out = page_size, inline, fan_out
        self.pages: list[bytes] = [b"", b"", b""]  # two meta pages, and the free list

    def bucket(self, content: Content) -> int:
        """Write a bucket's pages; return its root."""
        items = [self._item(key, value) for key, value in sorted(content.items())]
        parts = [items[at : at + self.fan_out] for at in range(0, len(items), self.fan_out)] or [[]]
        below = [(part[0][1] if part else b"", self._append(self._leaf(part))) for part in parts]
        while len(below) > 1:
            groups = [below[at : at + self.fan_out] for at in range(0, len(below), self.fan_out)]
            below = [(group[0][0], self._append(self._branch(group))) for group in groups]
        return below[0][1]

    def _item(self, key: bytes, value: Union[bytes, "Content"]) -> tuple[int, bytes, bytes]:
        if isinstance(value, bytes):
            return 0, key, value
        flat = all(isinstance(each, bytes) for each in value.values())
        if self.inline and flat:
            leaf = self._leaf([self._item(*item) for item in sorted(value.items())])
            return 1, key, struct.pack("=2Q", 0, 0) + struct.pack("=QHHI", 0, 2, len(value), 0) + leaf[1]
        return 1, key, struct.pack("=2Q", self.bucket(value), 0)

    def _leaf(self, items: list[tuple[int, bytes, bytes]]) -> tuple[tuple[int, int], bytes]:
        heads, data = b"", b""
        for index, (flags, key, value) in enumerate(items):
            position = (len(items) - index) * 16 + len(data)
            heads += struct.pack("=4I", flags, position, len(key), len(value))
            data += key + value
        return (2, len(items)), heads + data

    def _branch(self, below: list[tuple[bytes, int]]) -> tuple[tuple[int, int], bytes]:
        heads, data = b"", b""
        for index, (key, page) in enumerate(below):
            heads += struct.pack("=2IQ", (len(below) - index) * 16 + len(data), len(key), page)
            data += key
        return (1, len(below)), heads + data

    def _append(self, page: tuple[tuple[int, int], bytes]) -> int:
        (flags, count), body = page
        number, more = len(self.pages), (len(body) + 15) // self.page_size
        whole = struct.pack("=QHHI", number, flags, count, more) + body
        padded = whole.ljust((more + 1) * self.page_size, b"\0")
        self.pages += [padded[at : at + self.page_size] for at in range(0, len(padded), self.page_size)]
        return number

    def file(self, content: Content, transaction: int) -> bytes:
        """Return the whole file."""
        root = self.bucket(content)
        for number in (0, 1):
            fields = (0xED0CDAED, 2, self.page_size, 0, root, 0, 2, len(self.pages), transaction - 1 + number)
            meta = struct.pack("=4I5Q", *fields)
            page = struct.pack("=QHHI", number, 4, 0, 0) + meta + struct.pack("=Q", fnv64a(meta))
            self.pages[number] = page.ljust(self.page_size, b"\0")
        self.pages[2] = struct.pack("=QHHI", 2, 0x10, 0, 0).ljust(self.page_size, b"\0")
        return b"".join(self.pages)


def bolt(
    content: Content, *, page_size: int = 4096, inline: bool = True, fan_out: int = 1000, number: int = 7
) -> bytes:
    """Return a bbolt file.

    Args:
        content: of its root bucket.
        page_size: in bytes.
        inline: whether buckets of values alone are kept within their parent's page.
        fan_out: the most elements of a page.
        number: the newest transaction's.
    """
    return _Writer(page_size, inline, fan_out).file(content, number)
