"""Dumps in the forms of a hundred sources: what is told of them is told in each form, and what is lost is said."""

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from harness.buildkit.diagnosis import read_file
from harness.buildkit.goroutines.buckets import counted_of
from harness.buildkit.goroutines.files import other_than_text
from harness.buildkit.goroutines.model import Bucket, Goroutine
from tests.adversary.forms import REFUSED, told
from tests.support.dump_forms import CUT, ENDS, FIRST, SECOND, THIRD, Form

DATA: Final = Path(__file__).parents[2] / "data" / "reports"
REPORTS: Final = {
    name: sorted((DATA / name).iterdir())[0].read_bytes()
    for name in ("K5-deadlock-http-lock", "K9-crash-llb-map", "K14-debug1-leak", "K13-gopath-vendor")
}

PARTED: Final = ("K3-", "K5-", "K8-", "K9-", "K10-", "K11-", "K12-", "K13-", "K14-", "K16-")
"""Reports of each kind, but for the largest."""


def read(file: Path, text: bytes) -> tuple[str, list[list[Goroutine]], list[Bucket]]:
    """Return what is read of a text: what a process said as it died, the dumps, and those in the counted form.

    Who printed a line, and the blanks and the parent that a mail tears off it, are left out.
    """
    file.write_bytes(text)
    posted = read_file(file)
    dumps = [
        sorted(
            (
                replace(each, parent=None, source="", arguments=tuple(a.replace(b"  ", b" ") for a in each.arguments))
                for each in dump
            ),
            key=lambda each: each.id,
        )
        for dump in posted.dumps
    ]
    return posted.crash, dumps, [] if dumps or posted.hollow else counted_of(file)


@pytest.mark.parametrize("form", [*FIRST.values(), *SECOND.values(), *THIRD.values()], ids=[*FIRST, *SECOND, *THIRD])
def test_every_form_of_a_dump(form: Form, tmp_path: Path) -> None:
    """A deadlock, a crash, a fork's names and a counted dump are read alike in each."""
    for text in REPORTS.values():
        assert read(tmp_path / "posted", form(text)) == read(tmp_path / "plain", text)


@pytest.mark.parametrize("form", CUT.values(), ids=CUT)
def test_what_is_lost_is_refused(form: Form, tmp_path: Path) -> None:
    """Where most calls are cut off, what is left is no dump: an answer would be about other places."""
    for name in ("K5-deadlock-http-lock", "K13-gopath-vendor"):
        assert read(tmp_path / "posted", form(REPORTS[name]))[1:] == ([], [])


@pytest.mark.parametrize("form", ENDS.values(), ids=ENDS)
def test_of_a_part_nothing_is_told_that_rests_on_the_rest(form: Form, tmp_path: Path) -> None:
    """A part of a dump says what the whole says, or that it is a part: never that it is idle, or another hang."""
    for folder in (each for each in DATA.iterdir() if each.name.startswith(PARTED)):
        found: list[str] = []
        for part in (False, True):
            files = [tmp_path / file.name for file in sorted(folder.iterdir())]
            for file in files:
                text = (folder / file.name).read_bytes()
                file.write_bytes(form(text) if part else text)
            found.append(told(files))
        whole, rest = found
        assert rest in {whole, REFUSED, "unknown "}, f"{folder.name}: {rest}, not {whole}"


@pytest.mark.parametrize(
    ("form", "said"),
    [("a profile", "no ids and no times"), ("zstd", "unpack it"), ("a PDF's file", "copy its text")],
)
def test_what_is_no_text_is_named(form: str, said: str, tmp_path: Path) -> None:
    """A file that has no text says what it is, and what to do with it; all others say nothing."""
    (tmp_path / "posted").write_bytes(CUT[form](b""))
    assert said in other_than_text(tmp_path / "posted")
    for text in (b"", b"nothing", gzip.compress(b"nothing")):
        (tmp_path / "posted").write_bytes(text)
        assert other_than_text(tmp_path / "posted") == ""
