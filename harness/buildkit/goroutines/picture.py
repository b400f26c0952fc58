"""The picture of a dump's waits: goroutines with the same work are one node, with an edge to what it waits for."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from harness.buildkit.goroutines.model import Goroutine
from harness.buildkit.goroutines.wait_graph import WaitGraph, plain
from harness.buildkit.goroutines.waits import is_held, is_work, outside, place, waits_for_lock

_SHOWN: Final = 40
"""Nodes that a person can look at; the least of them are left out."""
_BUILDERS: Final = "github.com/moby/buildkit/solver.(*scheduler).build"


@dataclass(frozen=True)
class Node:
    """Goroutines at one place in one state; or what is waited for, which has no state."""

    name: str
    """The function, in short; of what is waited for, what it is."""
    state: str
    count: int = 0
    least_minutes: int = 0
    most_minutes: int = 0
    ids: tuple[int, ...] = ()
    named: bool = False
    """Whether one of them is among those that a diagnosis rests on."""

    @property
    def is_goroutines(self) -> bool:
        """Whether it stands for goroutines."""
        return bool(self.state)


@dataclass(frozen=True)
class Arrow:
    """So many wait for it, or it is held by it: from and to are places in `Picture.nodes`."""

    start: int
    end: int
    count: int
    held: bool = False
    """Whether it leads from a lock to who holds it."""


@dataclass(frozen=True)
class Picture:
    """The nodes, and the arrows between them: those that are named first, then what has waited longest and is most."""

    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]


def picture_of(dump: Sequence[Goroutine], named: Collection[int] = ()) -> Picture:
    """Return the picture of a dump's waits.

    Args:
        dump: its goroutines.
        named: the ids of those that are shown even where they wait for nothing, as what turns does.
    """
    graph = WaitGraph(dump)
    arrows: Counter[tuple[tuple[str, str], tuple[str, str], bool]] = Counter()
    shown: dict[tuple[str, str], dict[int, Goroutine]] = {}

    def key(each: Goroutine) -> tuple[str, str]:
        where = plain(place(each)).rpartition("/")[2], each.state
        shown.setdefault(where, {})[each.id] = each
        return where

    for each in graph.by_id.values():
        if each.id in named and place(each):
            key(each)
        for what in _waited_for(each, graph):
            arrows[key(each), (what, ""), False] += 1
    for lock in graph.locks:
        if lock.holder is not None:
            arrows[_lock(lock.name), key(graph.by_id[lock.holder]), True] += 1
    for waiter, whom in graph.waits.items():
        for other in whom if graph.lock_of(waiter) is None and place(graph.by_id[waiter]) else ():
            arrows[key(graph.by_id[waiter]), key(graph.by_id[other]), False] += 1
    nodes = [_node(where, [*members.values()], named) for where, members in shown.items()]
    things = {end for _, end, _ in arrows if not end[1]} | {start for start, _, _ in arrows if not start[1]}
    nodes += [Node(*where) for where in things]
    nodes.sort(key=lambda node: (not node.named, -node.most_minutes, -node.count, node.name))
    kept = {(node.name, node.state): number for number, node in enumerate(nodes[:_SHOWN])}
    return Picture(
        tuple(nodes[:_SHOWN]),
        tuple(
            Arrow(kept[start], kept[end], count, held)
            for (start, end, held), count in sorted(arrows.items())
            if start in kept and end in kept and start != end
        ),
    )


def _waited_for(each: Goroutine, graph: WaitGraph) -> Iterable[str]:
    """Yield what a goroutine waits for that is no goroutine."""
    if lock := graph.lock_of(each.id):
        yield _lock(lock.name)[0]
    elif what := outside(each):
        yield str(what)
    elif any(frame.function == _BUILDERS for frame in each.frames):
        yield "the scheduler"
    elif is_held(each) and not waits_for_lock(each) and is_work(each) and each.id not in graph.waits:
        yield "a channel" if each.state.startswith("chan") else each.state


def _lock(name: str) -> tuple[str, str]:
    return f"the lock of {name.rpartition('/')[2]}", ""


def _node(where: tuple[str, str], members: Sequence[Goroutine], named: Collection[int]) -> Node:
    minutes = [each.minutes for each in members]
    ids = tuple(sorted(each.id for each in members))
    return Node(*where, len(members), min(minutes), max(minutes), ids, any(id_ in named for id_ in ids))
