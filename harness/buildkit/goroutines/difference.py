"""Dumps of one daemon, some seconds apart, compared: what keeps it from going on.

One dump shows where goroutines are; only the next one shows who moves. What is said rests on goroutines and frames that
are named, so that a maintainer can look for himself.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Final

from harness.buildkit.goroutines.deadlock import behind, deadlock, names_of
from harness.buildkit.goroutines.model import Frame, Goroutine
from harness.buildkit.goroutines.reading import (
    NOTHING_KNOWN,
    REQUEST,
    Dump,
    Kind,
    ProcessFacts,
    Reading,
    Tracks,
    format_count,
    is_grown,
    is_still,
)
from harness.buildkit.goroutines.signatures import Signature
from harness.buildkit.goroutines.waits import (
    ON_CORE,
    Outside,
    copies_after_its_process,
    is_busy,
    is_engaged,
    is_work,
    outside,
    place,
    works_on_data,
)

_BUILDKIT: Final = "github.com/moby/buildkit/"
_IN_KERNEL: Final = frozenset({"IO wait", "syscall"})
_IDLE_CORES: Final = 0.2
"""Fewer cores than this are no process that turns."""
_AT_WORK: Final = 1_048_576
"""Bytes a second from which on a process works on data, wherever its goroutines are seen."""
_TURNS: Final = 3
"""How many dumps must show a call that is not known to spin."""
_LOOPS: Final = (
    "github.com/moby/buildkit/solver.(*exporter).ExportTo",
    "github.com/moby/buildkit/solver.(*scheduler).dispatch",
    "github.com/moby/buildkit/solver/llbsolver.recomputeDigests",
    "github.com/moby/buildkit/cache/remotecache/v1.(*normalizeState).checkLoops",
)
"""Places that are known to be able to turn for ever, whatever their inner calls do."""
_WALK: Final = "github.com/moby/buildkit/solver.(*exporter).ExportTo"
_ASKS_AGAIN: Final = (
    "github.com/containerd/containerd/content.OpenWriter",
    "github.com/containerd/containerd/v2/core/content.OpenWriter",
)
"""What asks again and again for what another has, and sleeps for a moment between."""
_SCHEDULER: Final = "github.com/moby/buildkit/solver.(*scheduler)"
_REQUESTED: Final = (f"{_BUILDKIT}solver/internal/pipe.", f"{_BUILDKIT}solver.(*sharedOp)")
"""What the scheduler has begun."""
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
_OF_CLIENT: Final = (Outside.CLIENT_READS, Outside.CLIENT_SENDS)


def compare(dumps: Sequence[Dump], process: ProcessFacts = NOTHING_KNOWN, known: Sequence[Signature] = ()) -> Reading:
    """Return what dumps of one process say, in the order in which they were made.

    Args:
        dumps: two or more; some seconds apart, or over a minute for waits to be seen to grow.
        process: what the kernel says of it meanwhile.
        known: see `deadlock`.
    """
    if process.stopped:
        return Reading(Kind.FROZEN, "the process is stopped (state T): SIGCONT lets it go on")
    if dumps and (client := _client(dumps[-1])):
        return client
    if len(dumps) < 2:
        return Reading(Kind.UNKNOWN, "one dump shows where goroutines are, not who moves: make another one")
    return _moved(in_order(dumps), process, known)


def _moved(dumps: Sequence[Dump], process: ProcessFacts, known: Sequence[Signature]) -> Reading:
    """Return what two or more dumps of a daemon, in order, say."""
    tracks = _tracks(dumps)
    turning = _turning(tracks, dumps, process)
    if turning and turning.kind is Kind.LIVELOCK:
        return turning
    builds = _at(tracks, lambda frame: frame.function.startswith((REQUEST, f"{_SCHEDULER}.build")))
    if not builds:
        return deadlock(tracks, dumps, known) or turning or _without_builds(tracks, dumps, process)
    working = _working(tracks)
    asleep = None if working or process.step_lives else _asleep(tracks, dumps)
    stuck = asleep or deadlock(tracks, dumps, known) or working or turning
    if stuck:
        return stuck
    lasting = {id_ for id_, track in builds.items() if is_still(track)}
    if not lasting:
        return Reading(Kind.SLOW, f"all {len(builds)} goroutines of builds have moved", tuple(sorted(builds)))
    return _outside(tracks, process) or _asking(tracks, builds) or _stuck(tracks, builds, lasting, dumps, process)


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
        if each.state not in ON_CORE
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


def common(stacks: Iterable[Sequence[Frame]]) -> tuple[Frame, ...]:
    """Return the outer calls that all stacks share."""
    reversed_stacks = [stack[::-1] for stack in stacks]
    shared = takewhile(lambda level: len(set(level)) == 1, zip(*reversed_stacks, strict=False))
    return tuple(level[0] for level in shared)[::-1]


def _turning(tracks: Tracks, dumps: Sequence[Dump], process: ProcessFacts) -> Reading | None:
    """Return the goroutines that were busy inside one call in every dump, where such a call may turn for ever.

    That is one of `_LOOPS`, or BuildKit's own innermost call that was the same each time, and does no work on data;
    of the latter two dumps say too little, and nothing where the daemon reads and writes meanwhile. A scheduler that
    has let a build go on meanwhile does not turn, however often it is seen at work.
    """
    if process.cores is not None and process.cores < _IDLE_CORES:
        return None
    calls: dict[tuple[bool, str], dict[int, tuple[Frame, ...]]] = {}
    schedules = _schedules(dumps)
    for id_, track in tracks.items():
        if not _is_busy(track) or (schedules and _has(track[0], f"{_SCHEDULER}.dispatch")):
            continue
        stack = common([each.frames for each in track])
        ours = next((frame.function for frame in stack if frame.function.startswith(_BUILDKIT)), None)
        if not ours:
            continue
        known = any(frame.function in _LOOPS for frame in stack) and not _walks(track)
        same = len({place(each) for each in track}) == 1 and not any(works_on_data(each) for each in track)
        if known or (same and (process.moved or 0) < _AT_WORK):
            calls.setdefault((known, ours), {})[id_] = stack
    if not calls:
        return None
    (known, call), members = max(calls.items(), key=lambda item: (item[0][0], len(item[1])))
    because = f"{format_count(len(members))} busy in all {len(dumps)} dumps, each time inside {call}"
    if not known and len(dumps) < _TURNS:
        return Reading(Kind.UNKNOWN, f"{because}, which may be work: make another dump", tuple(members))
    return Reading(Kind.LIVELOCK, because, tuple(members), common(members.values()) or next(iter(members.values())))


def _walks(track: Sequence[Goroutine]) -> bool:
    """Whether it is on its way through a cache graph: at another depth, or at another object, each time."""
    depths = {sum(frame.function == _WALK for frame in each.frames) for each in track}
    objects = {
        arguments.partition(b",")[0] for each in track for arguments in [_first(each)] if arguments.startswith(b"0x")
    }
    return len(depths) > 1 or len(objects) > 1


def _first(each: Goroutine) -> bytes:
    """Return the arguments of the innermost step of a walk; empty where there is none, or they are not told."""
    calls = zip(each.frames, each.arguments, strict=False)
    return next((arguments for frame, arguments in calls if frame.function == _WALK), b"")


def _schedules(dumps: Sequence[Dump]) -> bool:
    """Whether the scheduler has let a build go on that waited for it, or begun a request, since the first dump."""
    builds = {each.id for each in dumps[0] if _has(each, f"{_SCHEDULER}.build")}
    known = {each.id for each in dumps[0]}
    return not builds <= {each.id for each in dumps[-1] if _has(each, f"{_SCHEDULER}.build")} or any(
        each.id not in known and _has(each, *_REQUESTED) for each in dumps[-1]
    )


def _has(each: Goroutine, *functions: str) -> bool:
    return any(frame.function.startswith(functions) for frame in each.frames)


def _is_busy(track: Sequence[Goroutine]) -> bool:
    """Whether it was busy in every dump, and on its core, or next to it, in one."""
    return all(map(is_busy, track)) and any(each.state in ON_CORE for each in track)


def _working(tracks: Tracks) -> Reading | None:
    """Return the goroutines that work on data: they take as long as there is data."""
    members = {
        id_: track
        for id_, track in tracks.items()
        if not all(each.minutes for each in track)
        and any(each.state in ON_CORE for each in track)
        and all(works_on_data(each) and place(each).startswith(_BUILDKIT) for each in track)
    }
    if not members:
        return None
    where = place(next(iter(members.values()))[-1])
    because = f"{format_count(len(members))} at work on data (it compresses, copies or checks it) in {where}: not hung"
    return Reading(Kind.SLOW, because, tuple(members), common([each.frames for t in members.values() for each in t]))


def _outside(tracks: Tracks, process: ProcessFacts) -> Reading | None:
    """Return the goroutines that wait for something outside the daemon."""
    found: dict[Outside, dict[int, tuple[Goroutine, ...]]] = {}
    for id_, track in tracks.items():
        one = outside(track[0])
        if one and all(outside(each) is one for each in track):
            found.setdefault(one, {})[id_] = track
    if not found:
        return None
    what, members = max(found.items(), key=lambda item: (item[0] not in _OF_CLIENT, len(item[1])))
    minutes = max(track[-1].minutes for track in members.values())
    since = f", for {minutes} min" if minutes else ""
    because = f"{format_count(len(members))} waiting for {what}{since}{behind(members, tracks)}"
    frames = common([track[0].frames for track in members.values()])
    if what is Outside.PROCESS and all(is_grown(track) for track in members.values()):
        copying = {
            id_: track for id_, track in tracks.items() if is_grown(track) and copies_after_its_process(track[-1])
        }
        if copying or process.step_lives is False:
            ended = "it has ended, and what it read or printed is being copied still"
            gone = "no process of a step lives: it has ended, and nobody has told who waits for it"
            ids = tuple(sorted((*members, *copying)))
            places = names_of([track[-1] for track in members.values()])
            return Reading(Kind.DEADLOCK, f"{because}, but {ended if copying else gone}", ids, frames, places)
    if what in _OF_CLIENT:
        return Reading(Kind.CLIENT_SIDE, f"{because}, and no other step goes on", tuple(members), frames)
    return Reading(Kind.WAITS, f"{because}: the daemon is not hung", tuple(members), frames)


def _asking(tracks: Tracks, builds: Tracks) -> Reading | None:
    """Return the goroutines that ask for what no other gives back, while builds wait longer from dump to dump."""
    members = {id_: track for id_, track in tracks.items() if all(_has(each, *_ASKS_AGAIN) for each in track)}
    if not members or not any(is_grown(track) for track in builds.values()):
        return None
    call = next(frame.function for frame in next(iter(members.values()))[0].frames if frame.function in _ASKS_AGAIN)
    because = f"{format_count(len(members))} asking again and again in {call}, and nothing else goes on"
    return Reading(
        Kind.LIVELOCK, because, tuple(members), common([each.frames for t in members.values() for each in t])
    )


def _without_builds(tracks: Tracks, dumps: Sequence[Dump], process: ProcessFacts) -> Reading:
    for dump in dumps:
        if any(frame.function.startswith(REQUEST) for each in dump for frame in each.frames):
            return Reading(Kind.SLOW, "builds have come and gone between the dumps")
    traces = {id_: track for id_, track in tracks.items() if outside(track[0]) is Outside.COLLECTOR}
    return _outside(traces, process) or Reading(Kind.IDLE, "no goroutine serves a build")


def _asleep(tracks: Tracks, dumps: Sequence[Dump]) -> Reading | None:
    """Return the builders and the loop of a scheduler that waits to be woken."""
    loops = _at(tracks, lambda frame: frame.function == f"{_SCHEDULER}.loop")
    asleep = {id_: track for id_, track in loops.items() if is_still(track) and track[0].state == "sync.Cond.Wait"}
    builders = _at(tracks, lambda frame: frame.function == f"{_SCHEDULER}.build")
    waiting = {id_: track for id_, track in builders.items() if is_still(track) and track[0].state == "chan receive"}
    working = any(is_engaged(each) or outside(each) for dump in dumps for each in dump)  # one step or another
    if not asleep or not waiting or len(waiting) < len(builders) or working:
        return None
    because = (
        f"{format_count(len(waiting))} waiting in {_SCHEDULER}.build, no step runs, and the scheduler's loop sleeps: "
        "nobody is left to wake it"
    )
    ids = tuple(sorted((*waiting, *asleep)))
    return Reading(Kind.LOST_WAKE_UP, because, ids, common([track[0].frames for track in waiting.values()]))


def _stuck(tracks: Tracks, builds: Tracks, lasting: set[int], dumps: Sequence[Dump], process: ProcessFacts) -> Reading:
    """Say whether builds that do not move are stuck, or may yet go on."""
    grown = [id_ for id_ in sorted(lasting) if builds[id_][-1].minutes > builds[id_][0].minutes]
    still = {id_: track for id_, track in tracks.items() if is_still(track) and _is_solving(track[0])}
    moving = len(lasting) < len(builds) or any(
        (_is_solving(each) or is_work(each)) and each.state != "sleep"
        for dump in dumps
        for each in dump
        if each.id not in still and each.id not in builds
    )
    frames = common([track[0].frames for track in still.values()])
    if grown and not moving and any(is_engaged(t[-1]) and t[-1].state in _IN_KERNEL for t in tracks.values()):
        because = "builds wait for a step that waits in the kernel: the dumps do not say for what"
        return Reading(Kind.UNKNOWN, because, tuple(still), frames)
    if grown and not moving and process.step_lives:
        return Reading(Kind.WAITS, "builds wait, and the process of a step lives: the daemon is not hung", tuple(still))
    if grown and not moving:
        because = (
            f"{format_count(len(still))} at the same places in all dumps, {len(grown)} of them for longer each time"
        )
        places = names_of([track[-1] for track in still.values() if is_grown(track)])
        return Reading(Kind.DEADLOCK, because, tuple(still), frames, places)
    if moving:
        return Reading(Kind.SLOW, "some goroutines of builds move, and others wait for them", tuple(sorted(lasting)))
    because = "builds do not move, and no wait has grown by a minute: make another dump a minute later"
    return Reading(Kind.UNKNOWN, because, tuple(still), frames)


def _is_solving(each: Goroutine) -> bool:
    return any(frame.function.startswith((f"{_BUILDKIT}solver", REQUEST)) for frame in each.frames)
