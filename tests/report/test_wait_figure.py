"""The figure of who waits for whom."""

import re
from pathlib import Path

from harness.buildkit import diagnose, read_dumps
from harness.buildkit.goroutines.model import Frame, Goroutine
from harness.buildkit.goroutines.picture import Arrow, picture_of
from harness.buildkit.goroutines.reading import Dump
from harness.report.wait_figure import wait_figure

DATA = Path(__file__).parents[1] / "data" / "goroutines"


def last(pattern: str) -> Dump:
    """Return the last of some real dumps."""
    return read_dumps(sorted(DATA.glob(pattern)))[-1]


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
    dump = last("deadlocks/ring-1-*.txt")
    found = diagnose([dump])
    picture, svg = picture_of(dump, found.goroutines), str(wait_figure(found, dump))
    assert svg.count("<rect") == len(picture.nodes)
    assert svg.count("marker-end=") == len(picture.arrows)
    width, height = map(int, re.findall(r"viewBox=\"0 0 (\d+) (\d+)\" style", svg)[0])
    boxes = re.findall(r"<rect x=\"(\d+)\" y=\"(\d+)\" width=\"(\d+)\" height=\"(\d+)\"", svg)
    assert all(int(x) + int(wide) <= width and int(y) + int(high) <= height for x, y, wide, high in boxes)
    assert all(f"<title>{node.name}" in svg for node in picture.nodes)


def test_a_crowd_is_one_box() -> None:
    """Thousands that wait for one lock are one box and one arrow, with their number and their longest wait."""
    stack = (Frame("sync.(*Mutex).Lock"), Frame("github.com/moby/buildkit/cache.f"))
    picture = picture_of([Goroutine(n, "sync.Mutex.Lock", n % 7, False, stack) for n in range(2000)])
    assert [(node.name, node.count, node.most_minutes) for node in picture.nodes] == [
        ("cache.f", 2000, 6),
        ("the lock of cache.f", 0, 0),
    ]
    assert picture.arrows == (Arrow(0, 1, 2000),)


def test_what_a_diagnosis_rests_on() -> None:
    """The goroutines of a diagnosis are drawn with a thick line, also those that turn and wait for nothing."""
    dumps = read_dumps(sorted(DATA.glob("hang-*.txt")))
    svg = str(wait_figure(diagnose(dumps), dumps[-1]))
    thick = re.findall(r'<g class="\w+ named"><title>([^:]*)', svg)
    assert any("bboltcachestorage" in name for name in thick)
    assert svg.count("<g ") > len(thick)


def test_figures_do_not_share_their_arrowheads() -> None:
    """Two on one page have ids of their own; a dump in which nobody waits has none at all."""
    tips = set()
    for pattern in ("deadlocks/ring-1-*.txt", "deadlocks/self-1-*.txt"):
        dumps = read_dumps(sorted(DATA.glob(pattern)))
        svg = str(wait_figure(diagnose(dumps), dumps[-1]))
        [tip] = set(re.findall(r"url\(#([\w-]+)\)", svg))
        assert svg.count(f'id="{tip}"') == 1
        tips.add(tip)
    assert len(tips) == 2
    assert not wait_figure(diagnose([[]]), [])
