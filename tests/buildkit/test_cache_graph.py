"""Measures, faults, differences and drawings of cache graphs."""

from dataclasses import replace

import pytest

from harness.buildkit.cache_db import CacheGraph, CacheRecord, Link, Pair, read_graph
from harness.buildkit.cache_graph import (
    FaultKind,
    around,
    difference,
    drawn,
    faults,
    is_consistent,
    matching,
    mermaid,
    shape,
)
from tests.buildkit.test_bbolt import REAL


def graph_of(*links: str, results: str = "") -> CacheGraph:
    """Return a graph of links such as ``ab``, from a to b, and of keys with a result each, with both indexes."""
    keys = sorted({key for link in links for key in link} | set(results))
    return CacheGraph(
        results={key: {f"w::{key}": ""} if key in results else {} for key in keys},
        links={key: tuple(Link(*link) for link in links if link[0] == key) for key in keys},
        by_result={f"w::{key}": frozenset(key) for key in results},
        backlinks={key: frozenset(link[0] for link in links if link[1] == key) for key in keys},
    )


def test_shape() -> None:
    """Keys, roots, leaves, the longest chain, the widest key, and every way from a root to a leaf."""
    found = shape(graph_of("ab", "ac", "bd", "cd", "de", "xd", "df", results="bd"))
    assert (found.keys, found.results, found.edges, found.roots, found.leaves) == (7, 2, 7, 2, 2)
    assert found.longest in {("a", "b", "d", "e"), ("a", "c", "d", "e"), ("a", "b", "d", "f")}
    assert (found.fan_out, found.widest) == (2, "a")
    assert found.paths == 6
    assert found.cycles == ()


def test_empty() -> None:
    """A graph of nothing has measures too."""
    found = shape(graph_of())
    assert (found.keys, found.paths, found.longest, found.widest) == (0, 0, (), "")


def test_excessive_branching() -> None:
    """More ways than any number type holds are counted all the same, at once, and told as a power of ten."""
    links = {f"{level}{side}": [f"{level + 1}{other}" for other in "ab"] for level in range(2000) for side in "ab"}
    graph = CacheGraph(
        results={},
        links={key: tuple(Link(key, target) for target in targets) for key, targets in links.items()},
        by_result={},
        backlinks={},
    )
    found = shape(graph)
    assert found.paths is None
    assert found.paths_log10 == pytest.approx(2001 * 0.30103, rel=1e-4)
    assert len(found.longest) == 2001


def test_cycles() -> None:
    """Every cycle is found with the keys along it, also a key's link to itself; the rest is measured."""
    found = shape(graph_of("ab", "bc", "ca", "cd", "dd"))
    assert {frozenset(cycle) for cycle in found.cycles} == {frozenset("abc"), frozenset("d")}
    for cycle in found.cycles:
        assert cycle[0] == cycle[-1]
    assert len(found.longest) in {3, 4}


def test_real_cycle() -> None:
    """The graph of the daemon that hung has a key that is made from itself, and is else consistent."""
    pair = Pair(read_graph(REAL))
    assert [fault.kind for fault in faults(pair)] == [FaultKind.CYCLE]
    assert not is_consistent(faults(pair))


CONSISTENT = graph_of("ab", "bc", results="abc")


@pytest.mark.parametrize(
    ("graph", "kind", "key", "what"),
    [
        (replace(CONSISTENT, by_result={}), FaultKind.UNINDEXED, "a", "w::a"),
        (replace(CONSISTENT, results={**CONSISTENT.results, "a": {}}), FaultKind.NO_RESULT, "a", "w::a"),
        (
            replace(CONSISTENT, links={**CONSISTENT.links, "a": (Link("a", "b"), Link("a", "z"))}),
            FaultKind.NOWHERE,
            "a",
            "z",
        ),
        (replace(CONSISTENT, backlinks={}), FaultKind.NO_BACKLINK, "a", "b"),
        (replace(CONSISTENT, links={**CONSISTENT.links, "a": ()}), FaultKind.NO_LINK, "b", "a"),
        (graph_of("ab", results="a"), FaultKind.EMPTY, "b", ""),
    ],
)
def test_faults(graph: CacheGraph, kind: FaultKind, key: str, what: str) -> None:
    """Each way in which the four buckets can contradict one another is told by its name, with the key."""
    found = faults(Pair(graph))
    assert kind in {fault.kind for fault in found}
    assert any((fault.kind, fault.key, fault.what) == (kind, key, what) for fault in found)
    assert not is_consistent(found)


def test_consistent() -> None:
    """A graph in which all fits has no faults; a result whose record is gone is told, and passes."""
    records = {key: CacheRecord(key) for key in "abc"}
    assert faults(Pair(CONSISTENT, records)) == faults(Pair(CONSISTENT)) == []
    [gone] = faults(Pair(CONSISTENT, {key: records[key] for key in "ab"}))
    assert (gone.kind, gone.key, gone.what) == (FaultKind.GONE, "c", "w::c")
    assert is_consistent([gone])


def test_difference() -> None:
    """Keys, results and links that came, and those that went, are told apart."""
    found = difference(graph_of("ab", results="ab"), graph_of("ac", results="bc"))
    assert found.keys == (("c",), ())
    assert found.results == ((("c", "w::c"),), (("a", "w::a"),))
    assert found.links == ((Link("a", "c"),), (Link("a", "b"),))
    same = difference(CONSISTENT, CONSISTENT)
    assert all(part == ((), ()) for part in vars(same).values())


def test_drawing() -> None:
    """Around a key stand what it is made from and what is made from it, so many steps far; names are told."""
    pair = Pair(graph_of("ab", "bc", "cd", "de", "xc", results="abcd"), {"c": CacheRecord("c", 'COPY "c"')})
    links = around(pair.graph, "c", 1)
    assert {(link.source, link.target) for link in links} == {("b", "c"), ("x", "c"), ("c", "d")}
    assert drawn(pair, links, "c", 1) == ["  <- b", "  <- x  (no result)", '== c  COPY "c"', "  -> d"]
    text = mermaid(pair, links, "c")
    assert text.startswith("flowchart LR\n")
    assert '["c<br/>COPY #quot;c#quot;"]' in text
    assert text.count("-->") == 3


def test_drawing_of_what_is_much_branched() -> None:
    """What is there on several ways, or in a circle, is drawn once and then only named."""
    links = [f"{a}{b}" for a, b in ("ab", "ac", "bd", "cd", "de", "ea")]
    graph = graph_of(*links, results="abcde")
    lines = drawn(Pair(graph), around(graph, "a", 20), "a", 20)
    assert sum(line.startswith("==") for line in lines) == 1
    assert sum("(again)" in line for line in lines) >= 2
    assert len(lines) <= 2 * len(links) + 1


def test_matching() -> None:
    """A key is named by its start, with its kind or without, by its result, or by its record's ref."""
    key = "random:" + "ab" * 32
    pair = Pair(CacheGraph({key: {"work::refs": ""}, "other": {}}, {}, {}, {}))
    for word in ("random:ab", "abab", "work", "refs", key):
        assert matching(pair, word) == [key]
    assert matching(pair, "zzz") == []
