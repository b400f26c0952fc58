"""A copy of a database is whole, or is called torn."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.buildkit import bbolt_copy
from harness.buildkit.bbolt import Torn
from harness.buildkit.bbolt_copy import copy_whole
from harness.core.errors import CaptureError
from tests.buildkit.test_bbolt import REAL, committed, meta_of


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A copy of the real one, to write to."""
    return Path(shutil.copyfile(REAL, tmp_path / "live.db"))


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
        monkeypatch.setattr(bbolt_copy, "_PAUSE_SECONDS", 0.0)
        return commits

    return set_up


def test_copied_again_until_whole(database: Path, tmp_path: Path, busy: Callable[[int], list[int]]) -> None:
    """A copy during which a transaction was committed is made again, and the one that is kept has the last of them."""
    commits = busy(3)
    copy_whole(database, tmp_path / "copy.db")
    meta = meta_of(tmp_path / "copy.db")
    assert len(commits) == 3
    assert meta
    assert meta.transaction == 134


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
