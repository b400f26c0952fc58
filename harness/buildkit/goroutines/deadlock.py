"""Deadlocks in dumps that are compared: the knots in which chains of waits end, each judged apart.

A circle of waits is a deadlock whatever else the daemon does. Where a chain ends in one goroutine, that may wait for
something outside, or for somebody's work, which no address shows: it is excused while such is in the dumps that it can
be waiting for. Builds beside it that move excuse nothing.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness.buildkit.goroutines.model import Goroutine
from harness.buildkit.goroutines.reading import REQUEST, Dump, Kind, Reading, Tracks, format_count, is_grown, is_still
from harness.buildkit.goroutines.signatures import Signature, bearers
from harness.buildkit.goroutines.wait_graph import Knot, WaitGraph, package_of, plain
from harness.buildkit.goroutines.waits import (
    ON_CORE,
    is_held,
    is_idle_loop,
    outside,
    place,
    waits_for_lock,
    watches,
    works_on_data,
)

_FAR_BEYOND: Final = 30
"""Minutes that nothing waits for work on data, however much data there is."""
_APART: Final = 1
"""Minutes by which two waits that began together may differ in dumps, which tell whole ones."""
_TOLD: Final = 4
"""Members of a circle that are told one by one."""
_HANDLER: Final = re.compile(r"\._Control_(\w+)_Handler$|/server/router/\w+\.\(\*\w+Router\)\.(\w+)$")


@dataclass(frozen=True)
class _Stuck:
    """A set of waits that cannot resolve, and the goroutines blocked by it."""

    knot: Knot
    held: tuple[int, ...]
    minutes: int


def deadlock(tracks: Tracks, dumps: Sequence[Dump], known: Sequence[Signature] = ()) -> Reading | None:
    """Return what is held up for longer each time with nothing that it can wait for; None where nothing is.

    Args:
        tracks: what each goroutine was in every dump.
        dumps: in their order.
        known: deadlocks whose goroutines are held up, also where such a place says nothing by itself.
    """
    held = {id_: track[-1].minutes for id_, track in tracks.items() if _is_candidate(track)}
    bearing = _bearing(tracks, known)
    if not held and not bearing:
        return None
    graph = WaitGraph(dumps[-1])
    held = _with_members(bearing, graph) | held
    found = _by_lock([each for knot in graph.knots() if (each := _stuck(knot, held, tracks, graph))], graph)
    if not found:
        return None
    worst = max(found, key=lambda each: (each.knot.is_circle, each.minutes, len(each.held), -each.held[0]))
    same = [each for each in found if not _chain(each, graph) and each.minutes >= worst.minutes - 1]
    parts = [worst] if _chain(worst, graph) else same
    reading = _reading(parts, len(found) - len(parts), graph, tracks, dumps)
    beside = {id_ for each in found for id_ in each.held}
    return replace(reading, goroutines=tuple(sorted(beside.union(reading.goroutines))))


def behind(holders: Tracks, tracks: Tracks) -> str:
    """Return in words which goroutines wait for locks that others hold; empty if none does."""
    graph = WaitGraph([track[-1] for track in tracks.values()])
    held = [lock for lock in graph.locks if lock.holder in holders]
    return "".join(
        f"; {len(lock.waiters)} more wait for the lock of {_short(lock.name)}, which goroutine {lock.holder} holds"
        for lock in held
        if any(is_still(tracks[id_]) for id_ in lock.waiters)
    )


def names_of(goroutines: Sequence[Goroutine]) -> tuple[str, ...]:
    """Return the functions of the daemon that goroutines stand in, each once, without what changes from run to run."""
    return tuple(sorted({plain(name) for each in goroutines if (name := place(each))}))


def _is_candidate(track: Sequence[Goroutine]) -> bool:
    last = track[-1]
    return is_grown(track) and is_held(last) and not (outside(last) or watches(last) or is_idle_loop(last))


def _bearing(tracks: Tracks, known: Sequence[Signature]) -> dict[int, int]:
    """Return the goroutines that bear all of a known deadlock, each with the minutes since when all of it stands."""
    last = [track[-1] for track in tracks.values() if is_grown(track)]
    grown = [each for each in last if place(each) and not outside(each)]
    found: dict[int, int] = {}
    for each in known:
        bearing = [bearers(grown, stack, each.state) for stack in each.stacks]
        if all(bearing):
            since = min(max(one.minutes for one in some) for some in bearing)
            found.update({one.id: min(since, one.minutes) for some in bearing for one in some})
    return found


def _with_members(bearing: Mapping[int, int], graph: WaitGraph) -> dict[int, int]:
    """Return who bears a known deadlock, and those of their groups; with the minutes that they wait for at least."""
    members = [graph.by_id[id_] for waiter in bearing for id_ in graph.waits.get(waiter, ())]
    waits = {each.id: each.minutes for each in members if not _listens(each)}
    return {id_: minutes - _APART for id_, minutes in (waits | dict(bearing)).items()}


def _listens(each: Goroutine) -> bool:
    """Whether it waits for whatever comes next, which may be nothing for hours."""
    return each.state == "select"


def _by_lock(found: Sequence[_Stuck], graph: WaitGraph) -> list[_Stuck]:
    """Return the same knots, with all waiters of one lock of unknown holder merged into one knot."""
    joined: dict[int, list[_Stuck]] = {}
    for each in found:
        [first, *_] = each.knot.members
        lock = None if each.knot.is_circle else graph.lock_of(first)
        joined.setdefault(lock.waiters[0] if lock else first, []).append(each)
    return [
        replace(
            max(same, key=lambda one: one.minutes),
            held=tuple(sorted({id_ for one in same for id_ in one.held})),
        )
        for same in joined.values()
    ]


def _chain(stuck: _Stuck, graph: WaitGraph) -> bool:
    """Whether the stacks show which goroutine waits for which, and not only that some wait."""
    [first, *_] = stuck.knot.members
    return stuck.knot.is_circle or first in graph.holders or graph.lock_of(first) is not None


def _stuck(knot: Knot, held: Mapping[int, int], tracks: Tracks, graph: WaitGraph) -> _Stuck | None:
    """Return a knot that cannot resolve, of goroutines that are held up since so many minutes; None if it can."""
    members = [tracks[id_] for id_ in knot.members if id_ in tracks]
    if len(members) < len(knot.members) or not all(is_grown(track) for track in members):
        return None
    concerned = tuple(sorted(held.keys() & {*knot.members, *knot.behind}))
    if not concerned:
        return None
    minutes = max(track[-1].minutes for track in (*members, *(tracks[id_] for id_ in concerned)))
    if not knot.is_circle:
        [last] = (track[-1] for track in members)
        is_holder = last.id in graph.holders
        if outside(last) or last.state in ON_CORE or not (is_holder or last.id in held):
            return None
        since = minutes if is_holder or _is_candidate(tracks[last.id]) else held[last.id]
        if _is_excused(last, since, tracks, is_holder=is_holder):
            return None
    return _Stuck(knot, concerned, minutes)


def _is_excused(last: Goroutine, minutes: int, tracks: Tracks, *, is_holder: bool) -> bool:
    """Whether something in the dumps may be what it waits for: an outside wait as old as its own, or work on data.

    A lock is held by nobody who runs nothing of the package that locks it.
    """
    locker = package_of(place(last)) if waits_for_lock(last) and not is_holder else ""

    def may_hold(each: Goroutine) -> bool:
        return not locker or any(package_of(frame.function) == locker for frame in each.frames)

    others = [track for track in tracks.values() if may_hold(track[-1])]
    slow = [track[-1].minutes for track in others if is_still(track) and outside(track[-1])]
    if minutes <= max(slow, default=-1):
        return True
    working = any(
        works_on_data(track[-1])
        for track in others
        if any(each.state in ON_CORE for each in track) and not all(each.minutes for each in track)
    )
    return working and minutes < _FAR_BEYOND


def _reading(parts: Sequence[_Stuck], others: int, graph: WaitGraph, tracks: Tracks, dumps: Sequence[Dump]) -> Reading:
    held = sorted({id_ for part in parts for id_ in part.held})
    last = [tracks[id_][-1] for id_ in held]
    minutes = max(part.minutes for part in parts)
    counts = Counter(place(each) for each in last)
    places = ", ".join(f"{count} in {_short(name)}" for name, count in counts.items())
    asked = sorted({name for each in last if (name := request(each))})
    beside = _moving_builds(tracks, dumps)
    because = (
        f"{format_count(len(held))} held up for longer each time, up to {minutes} min: {places}"
        f"{'; asked for by ' + ', '.join(asked) if asked else ''}{_how(parts[0], graph)}"
        f"{f'; {others} more such beside it' if others else ''}"
        f"{f'; builds beside it that do not wait for long: {beside}' if beside else ''}"
    )
    knot = [graph.by_id[id_] for part in parts for id_ in part.knot.members]
    first = min(knot, key=lambda each: (waits_for_lock(each), -each.minutes, place(each), each.id))
    ids = tuple(sorted({*held, *(each.id for each in knot)}))
    return Reading(Kind.DEADLOCK, because, ids, first.frames, _name(parts, graph))


def _name(parts: Sequence[_Stuck], graph: WaitGraph) -> tuple[str, ...]:
    """Return what a deadlock is told from another by: the places of its knot; of a lock that nobody holds, the lock."""
    if not parts[0].knot.is_circle and (lock := graph.lock_of(parts[0].knot.members[0])):
        return (f"lock of {lock.name}",)
    return names_of([graph.by_id[id_] for part in parts for id_ in part.knot.members])


def _how(stuck: _Stuck, graph: WaitGraph) -> str:
    """Return in words which goroutine waits for which."""
    members = [graph.by_id[id_] for id_ in stuck.knot.members]
    lock = graph.lock_of(members[0].id)
    if stuck.knot.is_circle:
        ways = "; ".join(_waits(each, graph) for each in members[:_TOLD])
        return f"; they wait in a circle: {ways}{'; and so on' if len(members) > _TOLD else ''}"
    if lock:
        return f"; nobody is seen to hold the lock of {_short(lock.name)}"
    if _chain(stuck, graph):
        [holder] = members
        return f"; behind goroutine {holder.id} in {_short(place(holder))}, which waits in {_waits_in(holder)}"
    return ""


def _waits(each: Goroutine, graph: WaitGraph) -> str:
    whom = " and ".join(str(id_) for id_ in graph.waits[each.id][:_TOLD])
    where = f"goroutine {each.id} in {_short(place(each))}"
    lock = graph.lock_of(each.id)
    if lock and lock.holder == each.id:
        return f"{where} waits for the lock of {_short(lock.name)}, which it holds itself"
    if lock:
        return f"{where} waits for the lock of {_short(lock.name)}, which {whom} holds"
    return f"{where} waits for {whom}"


def _moving_builds(tracks: Mapping[int, Sequence[Goroutine]], dumps: Sequence[Dump]) -> int:
    stuck = {id_ for id_, track in tracks.items() if is_grown(track)}
    return sum(
        each.id not in stuck and any(frame.function.startswith(REQUEST) for frame in each.frames) for each in dumps[-1]
    )


def request(each: Goroutine) -> str:
    """Return the request of a client that a goroutine serves; empty where it serves none."""
    for frame in reversed(each.frames):
        if match := _HANDLER.search(frame.function):
            return match[1] or match[2]
    return ""


def _waits_in(each: Goroutine) -> str:
    """Return the call that it waits in, of another service where it is of one."""
    calls = [frame.function for frame in each.frames if frame.is_users]
    return next((name for name in calls if "/api/services/" in name), calls[0] if calls else each.state)


def _short(function: str) -> str:
    return function.rpartition("/")[2]
