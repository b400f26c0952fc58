"""Dumps as a page: who waits for whom, and all of it in one file."""

import re
from pathlib import Path

import pytest

from harness.buildkit import diagnose, read_dumps
from harness.buildkit.goroutines.buckets import buckets
from harness.buildkit.goroutines.model import Frame, Goroutine
from harness.report.dumps import dumps_page

DATA = Path(__file__).parents[1] / "data" / "goroutines"


@pytest.mark.parametrize("pattern", ["deadlocks/crossed-1-*.txt", "hang-*.txt", "healthy-sleep-*.txt", "leak-*.txt"])
def test_a_page_needs_nothing_else(pattern: str) -> None:
    """It has the sentence and every bucket, and asks no other file, host or script."""
    dumps = read_dumps(sorted(DATA.glob(pattern)))
    found = diagnose(dumps)
    page = dumps_page(found, dumps[-1], buckets(dumps[-1]))
    assert found.kind in page
    assert page.count("<details>") == min(200, len(buckets(dumps[-1])))
    assert not re.search(r"<script|<link|src=|@import|url\((?!#to-)", page)


def test_names_are_no_markup() -> None:
    """What stands in a dump is text, whatever it looks like."""
    name = "github.com/moby/buildkit/solver.<script>alert(1)</script>"
    dump = [Goroutine(1, "chan send", 9, False, (Frame(name),))]
    assert "<script" not in dumps_page(diagnose([dump, dump]), dump, buckets(dump))
