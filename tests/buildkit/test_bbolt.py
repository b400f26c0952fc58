"""bbolt databases: the newest meta page is found, and a copy is whole or is called torn."""

import io
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.buildkit import bbolt
from harness.buildkit.bbolt import Meta, Torn, copy_whole, fnv64a, newest_meta
from harness.core.errors import CaptureError

REAL = Path(__file__).parents[1] / "data" / "bbolt" / "cache.db"
NEWEST = 4096 + 16
"""Where the newest meta of the real file begins: on its second page, behind the page's header."""
TRANSACTION = 48


def committed(data: bytes, at: int, transaction: int) -> bytes:
    """Return a database with another transaction in one of its meta pages."""
    meta = bytearray(data[at : at + 64])
    struct.pack_into("=Q", meta, TRANSACTION, transaction)
    struct.pack_into("=Q", meta, 56, fnv64a(bytes(meta[:56])))
    return data[:at] + bytes(meta) + data[at + 64 :]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A copy of the real one, to write to."""
    return Path(shutil.copyfile(REAL, tmp_path / "live.db"))


@pytest.mark.parametrize(("text", "value"), [(b"", 0xCBF29CE484222325), (b"foobar", 0x85944171F73967E8)])
def test_hash(text: bytes, value: int) -> None:
    """The hash gives the values that its authors publish."""
    assert fnv64a(text) == value


def test_real_database() -> None:
    """Of a real cache.db both meta pages hold, and the later transaction is the one that counts."""
    data = REAL.read_bytes()
    assert newest_meta(io.BytesIO(data)) == Meta(page_size=4096, pages=64, transaction=131)
    assert newest_meta(io.BytesIO(committed(data, 16, 132))) == Meta(page_size=4096, pages=64, transaction=132)


def test_half_written_meta_page() -> None:
    """A meta page whose sum is wrong does not count; the older one then does, wherever the second page begins."""
    data = REAL.read_bytes()
    first_lost = data[:16] + b"\0" * 64 + data[80:]
    second_lost = data[: NEWEST + 50] + b"\xff" + data[NEWEST + 51 :]
    assert newest_meta(io.BytesIO(first_lost)) == Meta(4096, 64, 131)
    assert newest_meta(io.BytesIO(second_lost)) == Meta(4096, 64, 130)
    assert newest_meta(io.BytesIO(second_lost[:16] + b"\0" * 64 + second_lost[80:])) is None


def test_quiet_database_is_copied(database: Path, tmp_path: Path) -> None:
    """A file that nobody writes to is copied as it is, and no draft stays."""
    copy_whole(database, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_bytes() == REAL.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"live.db", "copy.db"}


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Have a transaction committed during each of the first so many copies; the list grows with them."""
    commits: list[int] = []

    def set_up(times: int) -> list[int]:
        copy = shutil.copyfile

        def copyfile(source: Path, target: Path) -> None:
            copy(source, target)
            if len(commits) < times:
                commits.append(132 + len(commits))
                source.write_bytes(committed(source.read_bytes(), 16 + 4096 * (commits[-1] % 2), commits[-1]))

        monkeypatch.setattr(shutil, "copyfile", copyfile)
        monkeypatch.setattr(bbolt, "_PAUSE_SECONDS", 0.0)
        return commits

    return set_up


def test_copied_again_until_whole(database: Path, tmp_path: Path, busy: Callable[[int], list[int]]) -> None:
    """A copy during which a transaction was committed is made again, and the one that is kept has the last of them."""
    commits = busy(3)
    copy_whole(database, tmp_path / "copy.db")
    assert len(commits) == 3
    with (tmp_path / "copy.db").open("rb") as file:
        assert newest_meta(file) == Meta(4096, 64, 134)


def test_torn(database: Path, tmp_path: Path, busy: Callable[[int], list[int]]) -> None:
    """A database that is written to all the time is told to be torn, and its copy cannot be taken for a whole one."""
    busy(1000)
    with pytest.raises(Torn, match="torn"):
        copy_whole(database, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
    assert (tmp_path / "copy.db.torn").exists()


@pytest.mark.parametrize("content", [b"", b"no database" * 1000, REAL.read_bytes()[:8192]])
def test_no_whole_database(tmp_path: Path, content: bytes, busy: Callable[[int], list[int]]) -> None:
    """What is no database, or is shorter than its meta page says, is not called one."""
    busy(0)
    (tmp_path / "live.db").write_bytes(content)
    with pytest.raises(CaptureError):
        copy_whole(tmp_path / "live.db", tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
