"""What the solver's graph comes to: its measures, whether it is consistent, what two moments differ in, a drawing."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import Final

from harness.buildkit.cache_db import CacheGraph, Link, Pair

_SHORT: Final = 12
_MOST_DRAWN: Final = 200
_MOST_CYCLES: Final = 100
_EXACT: Final = 2**53
"""Beyond this a number of paths is told by its power of ten, as JSON's readers lose its digits."""


@dataclass(frozen=True)
class Shape:
    """How large and how branched a graph is."""

    keys: int
    results: int
    edges: int
    roots: int
    """Keys that are made from no other."""
    leaves: int
    longest: tuple[str, ...]
    """The keys along a longest chain."""
    fan_out: int
    """The most keys that are made from one."""
    widest: str
    """That one."""
    paths_log10: float
    """How many ways lead from a root to a leaf, as a power of ten."""
    paths: int | None
    """Their number, where it is below 2**53."""
    cycles: tuple[tuple[str, ...], ...]
    """The keys along each cycle, the first one again at the end. A link of each was left out for chain and paths."""


class FaultKind(StrEnum):
    """A kind of fault; a consistent graph has none."""

    UNINDEXED = "result without its index"
    NO_RESULT = "index without its result"
    NOWHERE = "link to nowhere"
    NO_BACKLINK = "link without its backlink"
    NO_LINK = "backlink without its link"
    EMPTY = "empty branch that should have been released"
    CYCLE = "cycle"
    GONE = "result whose record is gone"
    """Not a fault by itself: BuildKit removes a record first, and releases its results at the end of that prune or GC,
    or when it next asks for them. One that lasts was never released.
    """


PASSING: Final = frozenset({FaultKind.GONE})
"""What a healthy daemon has for a while, too."""


@dataclass(frozen=True, order=True)
class Inconsistency:
    """One thing that does not fit another."""

    kind: FaultKind
    key: str
    what: str
    """The result, or the key at the link's other end."""

    def __str__(self) -> str:
        """Return it as a person reads it."""
        return f"{self.kind}: {self.key}{f' -> {self.what}' if self.what else ''}"


@dataclass(frozen=True)
class Difference:
    """What came and what went between two moments of one graph."""

    keys: tuple[tuple[str, ...], tuple[str, ...]]
    """Those that came, those that went."""
    results: tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]
    """Pairs of key and result."""
    links: tuple[tuple[Link, ...], tuple[Link, ...]]


def shape(graph: CacheGraph) -> Shape:
    """Return the measures of a graph; parallel links between two keys count as one way."""
    keys, below = graph.keys, _below(graph)
    above: dict[str, set[str]] = {key: set() for key in sorted(keys)}
    for key, targets in below.items():
        for target in targets:
            above[target].add(key)
    roots, leaves = [key for key in above if not above[key]], [key for key in above if not below.get(key)]
    widest = max(above, key=lambda key: len(below.get(key, ())), default="")
    order, cycles = _in_order(above)
    ways = _ways(order, above, leaves)
    return Shape(
        keys=len(keys),
        results=sum(len(found) for found in graph.results.values()),
        edges=len(graph.edges),
        roots=len(roots),
        leaves=len(leaves),
        longest=tuple(_longest(order, above)),
        fan_out=len(below.get(widest, ())),
        widest=widest if below.get(widest) else "",
        paths_log10=_log10(ways),
        paths=ways if ways < _EXACT else None,
        cycles=tuple(cycles),
    )


def faults(pair: Pair) -> list[Inconsistency]:
    """Return what does not fit in a graph; without records nothing is said of those that are gone."""
    graph = pair.graph
    found = [
        *_of_index(graph),
        *_of_links(graph),
        *(
            Inconsistency(FaultKind.EMPTY, key, "")
            for key in graph.keys
            if key in graph.results.keys() | graph.links.keys()
            and not graph.results.get(key)
            and not graph.links.get(key)
        ),
    ]
    found += [Inconsistency(FaultKind.CYCLE, cycle[0], " -> ".join(cycle[1:])) for cycle in shape(graph).cycles]
    if pair.records is not None:
        found += [
            Inconsistency(FaultKind.GONE, key, result)
            for key, results in graph.results.items()
            for result in results
            if result.rpartition("::")[2] not in pair.records
        ]
    return sorted(found)


def is_consistent(found: Iterable[Inconsistency]) -> bool:
    """Whether nothing among the faults is more than what a healthy daemon has for a while."""
    return all(fault.kind in PASSING for fault in found)


def difference(before: CacheGraph, after: CacheGraph) -> Difference:
    """Return what came and went from one moment to another."""

    def results(graph: CacheGraph) -> set[tuple[str, str]]:
        return {(key, result) for key, found in graph.results.items() for result in found}

    return Difference(
        (tuple(sorted(after.keys - before.keys)), tuple(sorted(before.keys - after.keys))),
        (tuple(sorted(results(after) - results(before))), tuple(sorted(results(before) - results(after)))),
        (tuple(sorted(after.edges - before.edges)), tuple(sorted(before.edges - after.edges))),
    )


def matching(pair: Pair, what: str) -> list[str]:
    """Return the keys that a word means: the start of a key, or the start of a result's or a record's name."""
    return [
        key
        for key in sorted(pair.graph.keys)
        if key.startswith(what)
        or key.partition(":")[2].startswith(what)
        or any(part.startswith(what) for result in pair.graph.results.get(key, ()) for part in result.split("::"))
    ]


def around(graph: CacheGraph, key: str, depth: int) -> list[Link]:
    """Return the links within so many steps of a key, in either direction; the nearest where they are very many."""
    near = defaultdict[str, list[Link]](list)
    for link in sorted(graph.edges):
        near[link.source].append(link)
        near[link.target].append(link)
    found: dict[Link, None] = {}
    seen, edge = {key}, [key]
    for _ in range(depth):
        links = [link for each in edge for link in near[each]]
        found.update(dict.fromkeys(links))
        edge = [end for link in links for end in (link.source, link.target) if end not in seen]
        seen.update(edge)
    return [*found][:_MOST_DRAWN]


def mermaid(pair: Pair, links: Sequence[Link], key: str) -> str:
    """Return a drawing of links in mermaid's words, with one key marked; keys without a result are dashed."""
    keys = list(dict.fromkeys([key, *(end for link in links for end in (link.source, link.target))]))
    ids = {each: f"k{index}" for index, each in enumerate(keys)}
    lines = ["flowchart LR"]
    for each in keys:
        name = pair.name_of(each).replace('"', "#quot;")
        lines.append(f'  {ids[each]}["{short(each)}{f"<br/>{name}" if name else ""}"]')
        if not pair.graph.results.get(each):
            lines.append(f"  style {ids[each]} stroke-dasharray: 4")
    lines.append(f"  style {ids[key]} stroke-width: 3px")
    lines += [f"  {ids[link.source]} -->|input {link.input}| {ids[link.target]}" for link in links]
    return "\n".join(lines)


def drawn(pair: Pair, links: Sequence[Link], key: str, depth: int) -> list[str]:
    """Return a drawing of links as lines: what a key is made from above it, what is made from it below.

    What is there several times is followed once, so that what is much branched stays as long as it has links.
    """

    def line(indent: int, mark: str, each: str) -> str:
        bare = "" if pair.graph.results.get(each) else "  (no result)"
        name = pair.name_of(each)
        return f"{'  ' * indent}{mark} {short(each)}{f'  {name}' if name else ''}{bare}"

    def walk(each: str, level: int, seen: set[str], *, up: bool) -> Iterator[str]:
        ends = {link.source if up else link.target for link in links if (link.target if up else link.source) == each}
        for end in sorted(ends) if level <= depth else ():
            again = end in seen
            seen.add(end)
            here = line(level, "<-" if up else "->", end) + ("  (again)" if again else "")
            further = [] if again else [*walk(end, level + 1, seen, up=up)]
            yield from [*further, here] if up else [here, *further]

    lines = [*walk(key, 1, {key}, up=True), line(0, "==", key), *walk(key, 1, {key}, up=False)]
    return lines[:_MOST_DRAWN]


def short(key: str) -> str:
    """Return a key as it is drawn: its kind, and as much of its name as tells it from others."""
    kind, colon, name = key.rpartition(":")
    return f"{kind}{colon}{name[:_SHORT]}"


def _below(graph: CacheGraph) -> dict[str, set[str]]:
    return {key: {link.target for link in links} for key, links in graph.links.items()}


def _in_order(above: dict[str, set[str]]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return the keys, each behind those that it is made from, and the cycles; a link of each is taken out."""
    cycles: list[tuple[str, ...]] = []
    while True:
        try:
            return [*TopologicalSorter(above).static_order()], cycles
        except CycleError as error:
            cycle = tuple(error.args[1])  # each is made into the next
        if len(cycles) == _MOST_CYCLES:  # nobody reads more: what is in a circle counts for nothing then
            return [], cycles
        cycles.append(cycle)
        above[cycle[1]].discard(cycle[0])


def _longest(order: Sequence[str], above: Mapping[str, set[str]]) -> list[str]:
    length: dict[str, int] = {}
    before: dict[str, str] = {}
    for key in order:
        length[key] = 1
        for each in sorted(above[key]):
            if length[each] >= length[key]:
                length[key], before[key] = length[each] + 1, each
    chain = [max(order, key=lambda key: length[key])] if order else []
    while chain and chain[-1] in before:
        chain.append(before[chain[-1]])
    return chain[::-1]


def _ways(order: Sequence[str], above: Mapping[str, set[str]], leaves: Iterable[str]) -> int:
    ways: dict[str, int] = {}
    for key in order:
        ways[key] = sum(ways[each] for each in above[key]) or 1
    return sum(ways.get(key, 0) for key in leaves)


def _log10(number: int) -> float:
    """Return a logarithm, also of what no float can hold."""
    bits = max(0, number.bit_length() - 64)
    return math.log10(number >> bits) + bits * math.log10(2) if number else 0.0


def _of_index(graph: CacheGraph) -> Iterator[Inconsistency]:
    for key, results in graph.results.items():
        yield from (
            Inconsistency(FaultKind.UNINDEXED, key, each)
            for each in results
            if key not in graph.by_result.get(each, ())
        )
    for result, keys in graph.by_result.items():
        yield from (
            Inconsistency(FaultKind.NO_RESULT, key, result) for key in keys if result not in graph.results.get(key, {})
        )


def _of_links(graph: CacheGraph) -> Iterator[Inconsistency]:
    below = _below(graph)
    for key, targets in below.items():
        for target in targets:
            if target not in graph.results and target not in graph.links:
                yield Inconsistency(FaultKind.NOWHERE, key, target)
            if key not in graph.backlinks.get(target, ()):
                yield Inconsistency(FaultKind.NO_BACKLINK, key, target)
    for target, keys in graph.backlinks.items():
        yield from (Inconsistency(FaultKind.NO_LINK, target, key) for key in keys if target not in below.get(key, ()))
