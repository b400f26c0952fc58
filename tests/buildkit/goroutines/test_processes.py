"""Dumps of several processes, in one file or in several."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from harness.buildkit import diagnose, read_dumps
from harness.buildkit.diagnosis import read_file
from harness.buildkit.goroutines.model import Frame
from harness.buildkit.goroutines.processes import by_process

DATA: Final = Path(__file__).parents[2] / "data"
HANG, STALL = (sorted((DATA / "goroutines").glob(name)) for name in ("hang-*.txt", "stall-*.txt"))
CLIENT: Final = sorted((DATA / "reports" / "K11-client-buildx").iterdir())


@pytest.mark.parametrize("files", [HANG, STALL, CLIENT], ids=["hang", "stall", "client"])
def test_one_process(files: list[Path]) -> None:
    """Dumps of one daemon are of one process, in whatever order."""
    assert len(by_process(read_dumps(files))) == 1
    assert len(by_process(read_dumps(files[::-1]))) == 1


def test_two_daemons_and_a_client() -> None:
    """Each process has its own dumps, in their order, however they are mixed."""
    mixed = [dump for pair in zip(read_dumps(HANG), read_dumps(STALL), strict=False) for dump in pair]
    first, second = by_process([*mixed, *read_dumps(CLIENT)])[:2]
    assert first == read_dumps(HANG)[:2]
    assert second == read_dumps(STALL)[:2]
    assert len(by_process([*mixed, *read_dumps(CLIENT)])) == 3


def test_a_daemon_that_was_started_again() -> None:
    """The same program with other objects is another process: nothing of it can have waited since."""
    [dump, *_] = read_dumps(STALL)
    again = [replace(each, arguments=tuple(text.replace(b"0xc0", b"0xc1") for text in each.arguments)) for each in dump]
    assert len(by_process([dump, again])) == 2


def test_fragments_are_of_one_process() -> None:
    """Where the first goroutine was cut off, and too little is left to tell, nothing is taken apart."""
    [dump, *_] = read_dumps(HANG)
    [few] = [[each for each in dump if each.id != 1][:3]]
    other = [replace(each, creator=Frame("a.b/c.d")) for each in few]
    assert len(by_process([few, other])) == 1


def test_what_is_said_of_several() -> None:
    """What keeps builds from going on comes first, and the other processes are told behind it."""
    found = diagnose([*read_dumps(CLIENT), *read_dumps(HANG)])
    assert found.signature == "export-livelock"
    assert "2 processes" in found.sentence
    assert "a client's dump" in found.sentence


def test_lines_of_two_services_in_one_log(tmp_path: Path) -> None:
    """Lines that two processes printed at once are told apart by the names before them."""
    lines = [
        (file.read_bytes().splitlines(), name)
        for file, name in ((HANG[0], b"buildkitd-1  | "), (CLIENT[0], b"client-1     | "))
    ]
    longest = max(len(text) for text, _ in lines)
    mixed = [name + text[n] for n in range(longest) for text, name in lines if n < len(text)]
    (tmp_path / "log").write_bytes(b"\n".join(mixed))
    found = read_file(tmp_path / "log").dumps
    plain = [dump for file in (HANG[0], CLIENT[0]) for dump in read_file(file).dumps]
    assert [[each.frames for each in dump] for dump in found] == [[each.frames for each in dump] for dump in plain]
