"""Dumps in compressed files and archives."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from harness.buildkit.diagnosis import read_file
from harness.buildkit.goroutines import files
from tests.buildkit.goroutines.test_lines import ONE

OTHER: Final = ONE.replace(b"goroutine 7", b"goroutine 8")


def zipped(text: bytes) -> bytes:
    """Return an archive with a text that is compressed once more, and a file that is no dump."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("readme", "no dump")
        archive.writestr("dumps/dump.gz", gzip.compress(text))
    return packed.getvalue()


def tarred(text: bytes) -> bytes:
    """Return an archive with a text in a folder."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("dumps/dump.txt")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    return packed.getvalue()


PACKED: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zip": zipped,
    "tar": tarred,
    "tar.gz": lambda text: gzip.compress(tarred(text)),
    "gz in a zip in a gz": lambda text: gzip.compress(zipped(text)),
}


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_packed(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """What a dump is packed in changes nothing of it."""
    for name, content in {"plain": ONE + OTHER, "packed": pack(ONE + OTHER)}.items():
        (tmp_path / name).write_bytes(content)
    assert read_file(tmp_path / "packed") == read_file(tmp_path / "plain")


def test_an_archive_of_several(tmp_path: Path) -> None:
    """Each file of an archive has dumps of its own, in the order of the names."""
    with zipfile.ZipFile(tmp_path / "dumps.zip", "w") as archive:
        archive.writestr("2.txt", OTHER)
        archive.writestr("1.txt", ONE)
    first, second = read_file(tmp_path / "dumps.zip").dumps
    assert ([one.id for one in first], [one.id for one in second]) == ([7], [8])


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zipped, tarred])
def test_damaged(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """What is cut off is read as far as it goes, and is no error."""
    packed = pack(ONE * 300)
    for keep in (len(packed) - 20, len(packed) // 2, 12):
        (tmp_path / "packed").write_bytes(packed[:keep])
        read_file(tmp_path / "packed")
    (tmp_path / "cut").write_bytes(gzip.compress(ONE + OTHER)[:-8])
    assert read_file(tmp_path / "cut").dumps[0][0].id == 7


def test_nothing_is_unpacked_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that unpacks to far more than a dump is read up to a limit, however many it is made of."""
    monkeypatch.setattr(files._Allowance, "left", 1000)
    monkeypatch.setattr(files._Allowance.__init__, "__defaults__", (1000,))
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            archive.writestr(str(number), ONE * 100)
    assert len(read_file(tmp_path / "bomb.zip").dumps) < 4


def test_a_file_without_an_end(tmp_path: Path) -> None:
    """A file of a terabyte, of which a disk has nothing, is refused and not read for hours."""
    dump = tmp_path / "dump.txt"
    dump.touch()
    os.truncate(dump, 2**40)
    with pytest.raises(OSError, match="larger than the 2 GiB"), files.texts_of(dump):
        pass
