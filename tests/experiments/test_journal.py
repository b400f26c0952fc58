"""The journal of a search: what was written whole is read, whatever stands at its end."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.core.errors import StoreError
from harness.experiments.journal import entries, line_of


@dataclass(frozen=True)
class Done:
    """Something that was done."""

    what: str


def test_a_torn_end(tmp_path: Path) -> None:
    """What a crash cut short, in the middle of a letter too, is taken away, and the rest is read."""
    file = tmp_path / "done.jsonl"
    file.write_bytes(line_of(Done("a")).encode() + '{"what": "ä'.encode()[:-1])
    assert entries(file, Done) == [Done("a")]
    assert file.read_text() == line_of(Done("a"))


@pytest.mark.parametrize("content", [b"[]\n", b"\xff\xfe\n", b"\0\n", b'{"what": "\xee"}\n'])
def test_a_damaged_journal(tmp_path: Path, content: bytes) -> None:
    """What is no entry is said, with the file."""
    file = tmp_path / "done.jsonl"
    file.write_bytes(content)
    with pytest.raises(StoreError, match=r"done\.jsonl: cannot be read"):
        entries(file, Done)
