"""Files that are written whole, and JSON that is read as what it should be."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.core.errors import StoreError
from harness.core.files import Damaged, read_json, read_text, write_json, write_whole


@dataclass(frozen=True)
class Thing:
    """A record of an earlier version, and what a later one added."""

    name: str
    count: int
    later: tuple[str, ...] = ()


def test_a_record_comes_back(tmp_path: Path) -> None:
    """What is written is read; a later version's keys are passed over, an earlier one's lack is made good."""
    write_json(tmp_path / "a", Thing("x", 1, ("y",)))
    assert read_json(tmp_path / "a", Thing) == Thing("x", 1, ("y",))
    (tmp_path / "b").write_text('{"name": "x", "count": 1, "of the future": {}}')
    assert read_json(tmp_path / "b", Thing) == Thing("x", 1)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "EOF"),
        (b'{"name": "x"', "EOF"),
        (b"[]", "the whole: "),
        (b'{"name": "x"}', "count: field required"),
        (b'{"name": "x", "count": "many"}', "count: input should be a valid integer"),
        (b'{"name": "x", "count": NaN}', "expected value"),
        (b'{"name": "x", "count": 1, "other": [1e999]}', "too large"),
        (b'{"name": "x", "count": ' + b"9" * 5000 + b"}", "out of range"),
        (b'{"name": "\xff", "count": 1}', "invalid unicode"),
        (b'{"name": "\\ud800", "count": 1}', "hex escape"),
        (b"[" * 10_000, "recursion"),
        (b'{"name": "x", "count": 1}\0', "trailing"),
    ],
    ids=["empty", "cut", "list", "lacks", "word", "nan", "infinite", "digits", "utf-8", "surrogate", "deep", "nul"],
)
def test_damage(tmp_path: Path, content: bytes, why: str) -> None:
    """Whatever stands in a file, the error names the file and what is wrong there."""
    (tmp_path / "thing.json").write_bytes(content)
    with pytest.raises(Damaged, match=rf"thing\.json: is damaged: .*{why}"):
        read_json(tmp_path / "thing.json", Thing)


def test_what_is_no_file(tmp_path: Path) -> None:
    """A folder, a pipe, links in a circle, nothing, or far too much in its place: an error, and nobody waits."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "large").write_bytes(b"x" * 20)
    for name in ("folder", "pipe", "circle", "nothing", "large"):
        with pytest.raises(StoreError, match=rf"{name}: cannot be read: "):
            read_text(tmp_path / name, most=10)


def test_names_of_another_encoding(tmp_path: Path) -> None:
    """An argument that is no UTF-8 is written with a question mark, and read back."""
    write_json(tmp_path / "a", Thing(os.fsdecode(b"caf\xe9"), 1))
    assert read_json(tmp_path / "a", Thing).name == "caf?"


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    """What cannot be written is an error that names the file, and no draft stays."""
    (tmp_path / "a").mkdir()
    with pytest.raises(StoreError, match="a: cannot be written: Is a directory"):
        write_whole(tmp_path / "a", "text")
    assert [*tmp_path.iterdir()] == [tmp_path / "a"]


def test_nobody_else_writes_to_it(tmp_path: Path) -> None:
    """Whatever the umask allows, nobody else can write to what is written: else a ledger's files are not believed."""
    before = os.umask(0)
    try:
        write_json(tmp_path / "x.json", {})
    finally:
        os.umask(before)
    assert (tmp_path / "x.json").stat().st_mode & 0o777 == 0o644


def test_a_draft_that_is_a_link(tmp_path: Path) -> None:
    """A draft's name that leads elsewhere is not followed, and what is there stays."""
    (tmp_path / "mine").write_text("kept")
    (tmp_path / "x.json.draft").symlink_to(tmp_path / "mine")
    with pytest.raises(StoreError, match="cannot be written"):
        write_json(tmp_path / "x.json", {})
    assert (tmp_path / "mine").read_text() == "kept"
