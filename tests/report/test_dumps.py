"""Dumps as a page: who waits for whom, and all of it in one file."""

import re
from pathlib import Path

import pytest

from harness.buildkit import diagnose, read_dumps
from harness.buildkit.goroutines.buckets import buckets
from harness.buildkit.goroutines.model import Frame, Goroutine
from harness.buildkit.goroutines.picture import Arrow, picture_of
from harness.buildkit.goroutines.reading import Dump
from harness.report.dumps import drawing, dumps_page

DATA = Path(__file__).parents[1] / "data" / "goroutines"


def last(pattern: str) -> Dump:
    """Return the last of some real dumps."""
    return read_dumps(sorted(DATA.glob(pattern)))[-1]


@pytest.mark.parametrize("pattern", ["deadlocks/crossed-1-*.txt", "hang-*.txt", "healthy-sleep-*.txt", "leak-*.txt"])
def test_a_page_needs_nothing_else(pattern: str) -> None:
    """It has the sentence and every bucket, and asks no other file, host or script."""
    dumps = read_dumps(sorted(DATA.glob(pattern)))
    found = diagnose(dumps)
    page = dumps_page(found, dumps[-1], buckets(dumps[-1]))
    assert found.kind in page
    assert page.count("<details>") == min(200, len(buckets(dumps[-1])))
    assert not re.search(r"<script|<link|src=|@import|url\((?!#to)", page)


def arrows(dump: Dump) -> set[tuple[str, str, int, bool]]:
    """Return who waits for whom, by name."""
    picture = picture_of(dump)
    name = [node.name for node in picture.nodes]
    return {(name[arrow.start], name[arrow.end], arrow.count, arrow.held) for arrow in picture.arrows}


def test_a_circle() -> None:
    """Two locks taken crosswise lead round; who merely waits beside leads into the circle."""
    cache, record = "the lock of cache.(*cacheManager)", "the lock of cache.(*record)"
    assert {
        ("cache.(*cacheManager).prune", record, 1, False),
        (record, "cache.(*record).remove", 1, True),
        ("cache.(*record).remove", cache, 1, False),
        (cache, "cache.(*cacheManager).prune", 1, True),
        ("cache.(*cacheManager).Get", cache, 4, False),
    } <= arrows(last("deadlocks/crossed-2-*.txt"))


def test_what_is_outside() -> None:
    """A step's process and the scheduler are shown as what is waited for."""
    shown = arrows(last("healthy-sleep-*.txt"))
    assert any(end == "a step's process" for _, end, _, _ in shown)
    assert any(end == "the scheduler" for _, end, _, _ in shown)


def test_every_box_is_drawn() -> None:
    """Each node is a box with its whole name in its title, each arrow a path, and nothing is drawn outside."""
    picture = picture_of(last("deadlocks/ring-1-*.txt"))
    svg = str(drawing(picture))
    assert svg.count("<rect") == len(picture.nodes)
    assert svg.count("marker-end") == len(picture.arrows)
    width, height = map(int, re.findall(r"viewBox=\"0 0 (\d+) (\d+)\" style", svg)[0])
    boxes = re.findall(r"<rect x=\"(\d+)\" y=\"(\d+)\" width=\"(\d+)\" height=\"(\d+)\"", svg)
    assert all(int(x) + int(wide) <= width and int(y) + int(high) <= height for x, y, wide, high in boxes)
    assert all(f"<title>{node.name}" in svg for node in picture.nodes)


def test_names_are_no_markup() -> None:
    """What stands in a dump is text, whatever it looks like."""
    name = "github.com/moby/buildkit/solver.<script>alert(1)</script>"
    dump = [Goroutine(1, "chan send", 9, False, (Frame(name),))]
    assert "<script" not in dumps_page(diagnose([dump, dump]), dump, buckets(dump))


def test_a_crowd_is_one_box() -> None:
    """Thousands that wait for one lock are one box and one arrow, with their number and their longest wait."""
    stack = (Frame("sync.(*Mutex).Lock"), Frame("github.com/moby/buildkit/cache.f"))
    picture = picture_of([Goroutine(n, "sync.Mutex.Lock", n % 7, False, stack) for n in range(2000)])
    assert [(node.name, node.count, node.most_minutes) for node in picture.nodes] == [
        ("cache.f", 2000, 6),
        ("the lock of cache.f", 0, 0),
    ]
    assert picture.arrows == (Arrow(0, 1, 2000),)
