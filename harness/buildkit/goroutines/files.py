"""The texts in what people send: a file as it stands, what it is the compressed form of, and what an archive has."""

import bz2
import errno
import gzip
import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedIOBase, BufferedReader, BytesIO, RawIOBase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final, Protocol, cast

_COMPRESSED: Final[dict[bytes, Callable[[IO[bytes]], BufferedIOBase]]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
"""How a compressed file begins, and what opens it."""
_ZIP: Final = b"PK\x03\x04"
_TAR: Final = b"ustar"
_OTHERS: Final = {
    b"\x28\xb5\x2f\xfd": "packed by zstd: unpack it",
    b"\x04\x22\x4d\x18": "packed by lz4: unpack it",
    b"7z\xbc\xaf\x27\x1c": "packed by 7-Zip: unpack it",
    b"Rar!": "packed by RAR: unpack it",
    b"%PDF": "a PDF: copy its text into a file",
    b"\x89PNG": "a picture: send the text itself",
    b"\xff\xd8\xff": "a picture: send the text itself",
    b"GIF8": "a picture: send the text itself",
    b"\x7fELF": "a program or its memory: ask the process for its goroutines",
}
"""How a file begins that is no text, what it is, and what to do."""
_PROFILE: Final = b"2\x09goroutine2\x05count"
"""Two of the strings of a profile of goroutines (google/pprof, proto/profile.proto: `string_table` is field 6)."""
_TAR_AT: Final = 257
_HEAD: Final = 512
"""Bytes that show what a file is."""
MOST_BYTES: Final = 2 << 30
"""Of a file that is read: what may be a hundred times a dump of the largest daemon, and no end in sight is none."""
_UNPACKED: Final = 256 * 1_048_576
"""Bytes that one file is unpacked to at most: a dump of the largest daemon has a fifth of that."""
_PIECE: Final = 1_048_576
"""Bytes that are read at once."""
_MEMBERS: Final = 1_000
_DEEP: Final = 3
"""``dumps.tar.gz`` that has ``dump.gz`` is opened; what is packed once more is not."""
_DAMAGE: Final = (
    *(EOFError, OSError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, tarfile.TarError),
    *(RuntimeError, NotImplementedError, ValueError),  # a password, a method that nobody knows, a head of nonsense
)


class Text(Protocol):
    """What lines are read from."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes; none at its end."""


@dataclass
class _Allowance:
    """How much may still be unpacked of one file."""

    left: int = _UNPACKED


class _Unpacked:
    """A stream that ends where it is damaged, or where enough was unpacked of its file."""

    def __init__(self, of: IO[bytes], allowance: _Allowance) -> None:
        self._of, self._allowance = cast("BufferedReader", of), allowance

    def read(self, size: int, /) -> bytes:
        try:
            data = self._of.read1(min(size, self._allowance.left))
        except _DAMAGE:
            return b""
        self._allowance.left -= len(data)
        return data


@contextmanager
def rereadable(path: Path) -> Iterator[Path]:
    """Yield a file that can be read more than once: the same, or a copy of what a pipe has.

    Raises:
        OSError: the pipe cannot be read.
    """
    if path.is_file() or path.is_dir() or not path.exists():
        yield path
        return
    with TemporaryDirectory(prefix="repro-") as folder:
        copy = Path(folder, path.name)
        with path.open("rb") as pipe, copy.open("wb") as file:
            shutil.copyfileobj(pipe, file)
        yield copy


@contextmanager
def texts_of(path: Path) -> Iterator[Iterator[Text]]:
    """Yield the texts in a file, one after the other, those of an archive by their names.

    What is damaged, or needs a password, has as much text as can be read.

    Raises:
        OSError: the file cannot be read, or is larger than any dump.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > MOST_BYTES:
            raise OSError(errno.EFBIG, f"is larger than the {MOST_BYTES >> 30} GiB that are read of a dump")
        yield _texts(file, _DEEP, None)


def other_than_text(path: Path) -> str:
    """Return what a file is that has no text which can be read here, and what to do with it; empty of all others.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    named = next((what for magic, what in _OTHERS.items() if head.startswith(magic)), "")
    if not named and head.startswith(_ZIP) and int.from_bytes(head[6:8], "little") & 1:
        named = "an archive with a password: unpack it"
    if not named:
        with texts_of(path) as texts:
            if any(_PROFILE in text.read(_PIECE) for text in texts):
                named = "a profile for `go tool pprof`, which has no ids and no times: ask for one with `debug=2`"
    return named


def unpacked(data: bytes) -> bytes:
    """Return the texts in what may be the beginning of a packed file, one after the other; itself where it is none."""
    file = cast("IO[bytes]", BufferedReader(cast("RawIOBase", BytesIO(data))))
    return b"".join(
        b"".join(iter(lambda text=text: text.read(_PIECE), b""))  # type: ignore[misc]
        for text in _texts(file, _DEEP, _Allowance())
    )


def _texts(file: IO[bytes], deep: int, packed: _Allowance | None) -> Iterator[Text]:
    """Yield the texts in an open file; `packed` is None of one that is not in another."""
    try:
        head = cast("BufferedReader", file).peek(_HEAD) if deep else b""
    except _DAMAGE:
        if packed is None:
            raise
        return
    opened = next((opened for magic, opened in _COMPRESSED.items() if head.startswith(magic)), None)
    if opened:
        yield from _texts(cast("IO[bytes]", opened(file)), deep - 1, packed or _Allowance())
    elif head.startswith(_ZIP):
        yield from _zipped(file, deep - 1, packed or _Allowance())
    elif head[_TAR_AT:].startswith(_TAR):
        yield from _tarred(file, deep - 1, packed or _Allowance())
    else:
        yield _Unpacked(file, packed) if packed else file


def _zipped(file: IO[bytes], deep: int, packed: _Allowance) -> Iterator[Text]:
    with suppress(*_DAMAGE), zipfile.ZipFile(file) as archive:
        for name in sorted(each.filename for each in archive.infolist()[:_MEMBERS] if not each.is_dir()):
            with suppress(*_DAMAGE), archive.open(name) as member:
                yield from _texts(member, deep, packed)


def _tarred(file: IO[bytes], deep: int, packed: _Allowance) -> Iterator[Text]:
    with suppress(*_DAMAGE), tarfile.open(fileobj=file, mode="r:") as archive:
        members = [each for _, each in zip(range(_MEMBERS), archive, strict=False) if each.isfile()]
        for each in sorted(members, key=lambda member: member.name):
            if member := archive.extractfile(each):
                yield from _texts(member, deep, packed)
