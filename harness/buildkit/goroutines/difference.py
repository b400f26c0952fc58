"""Dumps of one daemon, some seconds apart, compared: what keeps it from going on.

One dump shows where goroutines are; only the next one shows who moves. What is said rests on goroutines and frames that
are named, so that a maintainer can look for himself.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from typing import Final

from harness.buildkit.goroutines.model import Frame, Goroutine
from harness.buildkit.goroutines.waits import (
    Outside,
    is_engaged,
    is_held,
    outside,
    place,
    waits_for_lock,
    works_on_data,
)

Dump = Sequence[Goroutine]
Tracks = Mapping[int, tuple[Goroutine, ...]]
"""What each goroutine was in every dump, by id; only those that are in all."""

_BUILDKIT: Final = "github.com/moby/buildkit/"
BUSY: Final = frozenset({"running", "runnable", "sync.Mutex.Lock", "sync.RWMutex.Lock", "sync.RWMutex.RLock"})
"""What a goroutine that turns is in whenever it is looked at: on a core, or waiting for one, or for a short lock."""
_ON_CORE: Final = frozenset({"running", "runnable"})
_IN_KERNEL: Final = frozenset({"IO wait", "syscall"})
_IDLE_CORES: Final = 0.2
"""Fewer cores than this are no process that turns."""
_LOOPS: Final = (
    "github.com/moby/buildkit/solver.(*exporter).ExportTo",
    "github.com/moby/buildkit/solver.(*scheduler).dispatch",
    "github.com/moby/buildkit/solver/llbsolver.recomputeDigests",
    "github.com/moby/buildkit/cache/remotecache/v1.(*normalizeState).checkLoops",
)
"""Places that are known to be able to turn for ever, whatever their inner calls do."""
_SCHEDULER: Final = "github.com/moby/buildkit/solver.(*scheduler)"
REQUEST: Final = "github.com/moby/buildkit/control.(*Controller).Solve"
_SERVES: Final = (
    "github.com/moby/buildkit/control.",
    "github.com/moby/buildkit/solver.",
    "github.com/docker/docker/daemon.",
    "github.com/moby/moby/v2/daemon",
)
_CLIENTS: Final = (
    "github.com/docker/buildx/",
    "github.com/docker/compose/",
    "github.com/docker/cli/",
    "github.com/moby/buildkit/client.",
    "github.com/moby/buildkit/cmd/buildctl",
)
_CALL: Final = re.compile(r"services/control\.\(\*control(?:(\w+)Client\)\.Recv|Client\)\.(\w+))$")
_HANDLER: Final = re.compile(r"\._Control_(\w+)_Handler$|/server/router/\w+\.\(\*\w+Router\)\.(\w+)$")
_OF_CLIENT: Final = (Outside.CLIENT_READS, Outside.CLIENT_SENDS)


class Kind(StrEnum):
    """What keeps a daemon from going on."""

    LIVELOCK = "livelock"
    """The same goroutines run all the time, and never leave one call."""
    DEADLOCK = "deadlock"
    """The same goroutines wait at the same places, longer and longer, and nothing runs."""
    LOST_WAKE_UP = "lost wake-up"
    """Builds wait for the scheduler, and the scheduler waits to be woken."""
    CLIENT_SIDE = "client side"
    """Builds wait for what their clients are to send."""
    WAITS = "waits"
    """Builds wait for something outside that may take its time: a step's process, a registry."""
    CRASHED = "crashed"
    """The process died of itself."""
    CLIENT = "client"
    """The dumps are a client's, which waits for a daemon."""
    LEAK = "leak"
    """Goroutines of one kind have gathered."""
    FROZEN = "frozen"
    """The process is stopped."""
    SLOW = "slow"
    """Goroutines come, go and move: it works, and takes its time."""
    IDLE = "idle"
    """No build is in it."""
    UNKNOWN = "unknown"
    """The dumps do not say."""


@dataclass(frozen=True)
class Reading:
    """What dumps say, and by which goroutines and frames."""

    kind: Kind
    because: str
    goroutines: tuple[int, ...] = ()
    """The ids of those that say so, ascending."""
    frames: tuple[Frame, ...] = ()
    """What their stacks have in common, the innermost call first."""
    places: tuple[str, ...] = ()
    """The functions that goroutines are held up in; what a deadlock is told from another by."""


def compare(dumps: Sequence[Dump], *, cores: float | None = None, stopped: bool = False) -> Reading:
    """Return what dumps of one process say, in the order in which they were made.

    Args:
        dumps: two or more; some seconds apart, or over a minute for waits to be seen to grow.
        cores: how much CPU the process used meanwhile, in cores; None where that is not known.
        stopped: whether the kernel says that it is stopped (state T).
    """
    if stopped:
        return Reading(Kind.FROZEN, "the process is stopped (state T): SIGCONT lets it go on")
    if dumps and (client := _client(dumps[-1])):
        return client
    if len(dumps) < 2:
        return Reading(Kind.UNKNOWN, "one dump shows where goroutines are, not who moves: make another one")
    return _moved(in_order(dumps), cores)


def _moved(dumps: Sequence[Dump], cores: float | None) -> Reading:
    """Return what two or more dumps of a daemon, in order, say."""
    tracks = _tracks(dumps)
    turning = _turning(tracks) if cores is None or cores >= _IDLE_CORES else None
    if turning:
        return turning
    builds = _at(tracks, lambda frame: frame.function.startswith((REQUEST, f"{_SCHEDULER}.build")))
    if not builds:
        return _held(tracks, dumps) or _without_builds(dumps)
    if working := _working(tracks):
        return working
    lasting = {id_ for id_, track in builds.items() if _still(track)}
    if not lasting:
        return Reading(Kind.SLOW, f"all {len(builds)} goroutines of builds have moved", tuple(sorted(builds)))
    return _asleep(tracks) or _held(tracks, dumps) or _outside(tracks) or _stuck(tracks, builds, lasting, dumps)


def in_order(dumps: Sequence[Dump]) -> Sequence[Dump]:
    """Return dumps in the order in which they were made, as the waits that grow in them show it.

    Where fewer than two waits tell, or they do not agree, the order stays: one wait that shrinks may have begun anew.
    """
    lasting = [track for track in _tracks(dumps).values() if len({(each.frames, each.state) for each in track}) == 1]
    waits = [minutes for track in lasting if len(set(minutes := [each.minutes for each in track])) > 1]
    if len(waits) < 2:
        return dumps
    order = sorted(range(len(dumps)), key=lambda number: sum(minutes[number] for minutes in waits))
    agree = all([minutes[number] for number in order] == sorted(minutes) for minutes in waits)
    return [dumps[number] for number in order] if agree else dumps


def _client(dump: Dump) -> Reading | None:
    """Return what a client waits for, where the dump is a client's."""
    functions = {frame.function for each in dump for frame in each.frames}
    if any(name.startswith(_SERVES) for name in functions) or not any(name.startswith(_CLIENTS) for name in functions):
        return None
    calls = {
        match[1] or match[2]
        for each in dump
        if each.state not in _ON_CORE
        for frame in each.frames
        if (match := _CALL.search(frame.function))
    }
    what = " and ".join(sorted(calls)) or "nothing that a daemon is to answer"
    waiting = tuple(each.id for each in dump if any(_CALL.search(frame.function) for frame in each.frames))
    because = f"this is a client's dump: it waits for the daemon's {what}; make dumps of the daemon as well"
    return Reading(Kind.CLIENT, because, waiting)


def _tracks(dumps: Sequence[Dump]) -> Tracks:
    by_id = [{each.id: each for each in dump} for dump in dumps]
    shared = set(by_id[0]).intersection(*by_id[1:])
    return {
        id_: tuple(dump[id_] for dump in by_id)
        for id_ in sorted(shared)
        if not any(frame.function.startswith("runtime/pprof.") for frame in by_id[0][id_].frames)  # who dumps
    }


def _at(tracks: Tracks, wanted: Callable[[Frame], bool]) -> Tracks:
    """Return those that have a wanted frame in every dump."""
    return {
        id_: track
        for id_, track in tracks.items()
        if all(any(wanted(frame) for frame in each.frames) for each in track)
    }


def _still(track: Sequence[Goroutine]) -> bool:
    """Whether it did not move: the same stack in the same state, and a wait that never began anew."""
    waits = [each.minutes for each in track]
    return len({(each.frames, each.state) for each in track}) == 1 and waits == sorted(waits)


def common(stacks: Iterable[Sequence[Frame]]) -> tuple[Frame, ...]:
    """Return the outer calls that stacks share: what none of them has left."""
    reversed_stacks = [stack[::-1] for stack in stacks]
    shared = takewhile(lambda level: len(set(level)) == 1, zip(*reversed_stacks, strict=False))
    return tuple(level[0] for level in shared)[::-1]


def _turning(tracks: Tracks) -> Reading | None:
    """Return the goroutines that were busy inside one call in every dump, where such a call may turn for ever.

    That is one of `_LOOPS`, or BuildKit's own innermost call that was the same each time, and does no work on data.
    """
    calls: dict[str, dict[int, tuple[Frame, ...]]] = {}
    for id_, track in tracks.items():
        if not _is_busy(track):
            continue
        stack = common([each.frames for each in track])
        ours = next((frame.function for frame in stack if frame.function.startswith(_BUILDKIT)), None)
        if not ours:
            continue
        known = any(frame.function in _LOOPS for frame in stack)
        same = len({place(each) for each in track}) == 1 and not any(works_on_data(each) for each in track)
        if known or same:
            calls.setdefault(ours, {})[id_] = stack
    if not calls:
        return None
    call, members = max(calls.items(), key=lambda item: len(item[1]))
    dumps = len(next(iter(tracks.values())))
    because = f"{_counted(len(members))} busy in all {dumps} dumps, each time inside {call}"
    return Reading(Kind.LIVELOCK, because, tuple(members), common(members.values()) or next(iter(members.values())))


def _is_busy(track: Sequence[Goroutine]) -> bool:
    """Whether it ran, or waited for a core or a short lock, in every dump."""
    return all(each.state in BUSY and not each.minutes for each in track) and any(
        each.state in _ON_CORE for each in track
    )


def _working(tracks: Tracks) -> Reading | None:
    """Return the goroutines that work on data: they take as long as there is data."""
    members = {
        id_: track
        for id_, track in tracks.items()
        if not all(each.minutes for each in track)
        and any(each.state in _ON_CORE for each in track)
        and all(works_on_data(each) and place(each).startswith(_BUILDKIT) for each in track)
    }
    if not members:
        return None
    where = place(next(iter(members.values()))[-1])
    because = f"{_counted(len(members))} at work on data (it compresses, copies or checks it) in {where}: not hung"
    return Reading(Kind.SLOW, because, tuple(members), common([each.frames for t in members.values() for each in t]))


def _grown(track: Sequence[Goroutine]) -> bool:
    """Whether it has not moved, and has waited longer each time."""
    return _still(track) and track[-1].minutes > track[0].minutes


def _held(tracks: Tracks, dumps: Sequence[Dump]) -> Reading | None:
    """Return what is held up for longer each time with nothing outside that it can wait for: a deadlock.

    An outside wait that began no later may be what it waits for. A lock counts as held by whoever waits longest.
    """
    held = {id_: track for id_, track in tracks.items() if _grown(track) and is_held(track[-1])}
    others = [track for track in tracks.values() if _still(track) and outside(track[-1])]
    longest = max((track[-1].minutes for track in others), default=-1)
    held = {
        id_: track
        for id_, track in held.items()
        if outside(track[-1]) is None and track[-1].minutes > longest and track[-1].minutes > 0
    }
    if not held:
        return None
    first = max(held.values(), key=lambda track: (not waits_for_lock(track[-1]), track[-1].minutes))[-1]
    stuck = {id_ for id_, track in tracks.items() if _grown(track)}
    free = [
        each.id
        for each in dumps[-1]
        if each.id not in stuck and any(frame.function.startswith(REQUEST) for frame in each.frames)
    ]
    places = ", ".join(
        f"{count} in {name.rpartition('/')[2]}" for name, count in Counter(place(t[-1]) for t in held.values()).items()
    )
    asked = sorted({name for track in held.values() if (name := _request(track[-1]))})
    because = (
        f"{_counted(len(held))} held up for longer each time, up to {max(t[-1].minutes for t in held.values())} min: "
        f"{places}{'; asked for by ' + ', '.join(asked) if asked else ''}{_behind(tracks, held)}"
        f"{f'; builds beside it that do not wait for long: {len(free)}' if free else ''}"
    )
    frames = first.frames
    return Reading(Kind.DEADLOCK, because, tuple(held), frames, tuple(sorted({place(t[-1]) for t in held.values()})))


def _request(each: Goroutine) -> str:
    """Return the request of a client that a goroutine serves."""
    for frame in reversed(each.frames):
        if match := _HANDLER.search(frame.function):
            return match[1] or match[2]
    return ""


def _behind(tracks: Tracks, held: Tracks) -> str:
    """Return who may hold the lock that others wait for: who serves a request too, and has waited for longer."""
    if not all(waits_for_lock(track[-1]) for track in held.values()):
        return ""
    longest = max(track[-1].minutes for track in held.values())
    holders = [
        track[-1]
        for id_, track in tracks.items()
        if id_ not in held and _still(track) and track[-1].minutes >= longest and _request(track[-1])
    ]
    if not holders:
        return ""
    holder = min(holders, key=lambda each: each.minutes)
    return f"; behind goroutine {holder.id} in {place(holder).rpartition('/')[2]}, which waits in {_waits_in(holder)}"


def _waits_in(each: Goroutine) -> str:
    """Return the call that it waits in, of another service where it is of one."""
    calls = [frame.function for frame in each.frames if frame.is_users]
    return next((name for name in calls if "/api/services/" in name), calls[0] if calls else each.state)


def _outside(tracks: Tracks) -> Reading | None:
    """Return the goroutines that wait for what is not the daemon's own."""
    found: dict[Outside, dict[int, tuple[Goroutine, ...]]] = {}
    for id_, track in tracks.items():
        one = outside(track[0])
        if one and all(outside(each) is one for each in track):
            found.setdefault(one, {})[id_] = track
    if not found:
        return None
    what, members = max(found.items(), key=lambda item: (item[0] not in _OF_CLIENT, len(item[1])))
    minutes = max(track[-1].minutes for track in members.values())
    because = f"{_counted(len(members))} waiting for {what}{f', for {minutes} min' if minutes else ''}"
    frames = common([track[0].frames for track in members.values()])
    if what in _OF_CLIENT:
        return Reading(Kind.CLIENT_SIDE, f"{because}, and no other step goes on", tuple(members), frames)
    return Reading(Kind.WAITS, f"{because}: the daemon is not hung", tuple(members), frames)


def _without_builds(dumps: Sequence[Dump]) -> Reading:
    for dump in dumps:
        if any(frame.function.startswith(REQUEST) for each in dump for frame in each.frames):
            return Reading(Kind.SLOW, "builds have come and gone between the dumps")
    return Reading(Kind.IDLE, "no goroutine serves a build")


def _asleep(tracks: Tracks) -> Reading | None:
    """Return the builders and the loop of a scheduler that waits to be woken."""
    loops = _at(tracks, lambda frame: frame.function == f"{_SCHEDULER}.loop")
    asleep = {id_: track for id_, track in loops.items() if _still(track) and track[0].state == "sync.Cond.Wait"}
    builders = _at(tracks, lambda frame: frame.function == f"{_SCHEDULER}.build")
    waiting = {id_: track for id_, track in builders.items() if _still(track) and track[0].state == "chan receive"}
    working = any(is_engaged(each) or outside(each) for track in tracks.values() for each in track)
    if not asleep or not waiting or len(waiting) < len(builders) or working:
        return None
    because = (
        f"{_counted(len(waiting))} waiting in {_SCHEDULER}.build, no step runs, and the scheduler's loop sleeps: "
        "nobody is left to wake it"
    )
    ids = tuple(sorted((*waiting, *asleep)))
    return Reading(Kind.LOST_WAKE_UP, because, ids, common([track[0].frames for track in waiting.values()]))


def _stuck(tracks: Tracks, builds: Tracks, lasting: set[int], dumps: Sequence[Dump]) -> Reading:
    """Say whether builds that do not move are stuck, or may yet go on."""
    grown = [id_ for id_ in sorted(lasting) if builds[id_][-1].minutes > builds[id_][0].minutes]
    still = {id_: track for id_, track in tracks.items() if _still(track) and _is_solving(track[0])}
    moving = len(lasting) < len(builds) or any(
        _is_solving(each) and each.state != "sleep"
        for dump in dumps
        for each in dump
        if each.id not in still and each.id not in builds
    )
    frames = common([track[0].frames for track in still.values()])
    if grown and not moving and any(is_engaged(t[-1]) and t[-1].state in _IN_KERNEL for t in tracks.values()):
        because = "builds wait for a step that waits in the kernel: the dumps do not say for what"
        return Reading(Kind.UNKNOWN, because, tuple(still), frames)
    if grown and not moving:
        because = f"{_counted(len(still))} at the same places in all dumps, {len(grown)} of them for longer each time"
        return Reading(Kind.DEADLOCK, because, tuple(still), frames)
    if moving:
        return Reading(Kind.SLOW, "some goroutines of builds move, and others wait for them", tuple(sorted(lasting)))
    because = "builds do not move, and no wait has grown by a minute: make another dump a minute later"
    return Reading(Kind.UNKNOWN, because, tuple(still), frames)


def _is_solving(each: Goroutine) -> bool:
    return any(frame.function.startswith((f"{_BUILDKIT}solver", REQUEST)) for frame in each.frames)


def _counted(count: int) -> str:
    return "one goroutine was" if count == 1 else f"{count} goroutines were"
