"""Dumps of one daemon, some seconds apart, compared: what keeps it from going on.

One dump shows where goroutines are; only the next one shows who moves. What is said rests on goroutines and frames that
are named, so that a maintainer can look for himself.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from typing import Final

from harness.buildkit.goroutines.model import Frame, Goroutine

Dump = Sequence[Goroutine]
Tracks = Mapping[int, tuple[Goroutine, ...]]
"""What each goroutine was in every dump, by id; only those that are in all."""

_BUILDKIT: Final = "github.com/moby/buildkit/"
_BUSY: Final = frozenset({"running", "runnable", "sync.Mutex.Lock", "sync.RWMutex.Lock", "sync.RWMutex.RLock"})
"""What a goroutine that turns is in whenever it is looked at: on a core, or waiting for one, or for a short lock."""
_ON_CORE: Final = frozenset({"running", "runnable"})
_IDLE_CORES: Final = 0.2
"""Fewer cores than this are no process that turns."""
_WAITS_FOR_CLIENT: Final = (
    "google.golang.org/grpc.(*clientStream).RecvMsg",
    "github.com/moby/buildkit/session.(*Manager).Get",
    "github.com/moby/buildkit/session.monitorHealth",
)
_SCHEDULER: Final = "github.com/moby/buildkit/solver.(*scheduler)"
_REQUEST: Final = "github.com/moby/buildkit/control.(*Controller).Solve"


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


def compare(dumps: Sequence[Dump], *, cores: float | None = None, stopped: bool = False) -> Reading:
    """Return what dumps of one process say, in the order in which they were made.

    Args:
        dumps: two or more; some seconds apart, or over a minute for waits to be seen to grow.
        cores: how much CPU the process used meanwhile, in cores; None where that is not known.
        stopped: whether the kernel says that it is stopped (state T).
    """
    if stopped:
        return Reading(Kind.FROZEN, "the process is stopped (state T): SIGCONT lets it go on")
    if len(dumps) < 2:
        return Reading(Kind.UNKNOWN, "one dump shows where goroutines are, not who moves: make another one")
    tracks = _tracks(dumps)
    turning = _turning(tracks) if cores is None or cores >= _IDLE_CORES else None
    if turning:
        return turning
    builds = _at(tracks, lambda frame: frame.function.startswith((_REQUEST, f"{_SCHEDULER}.build")))
    if not builds:
        return _without_builds(dumps)
    lasting = {id_ for id_, track in builds.items() if _still(track)}
    if not lasting:
        return Reading(Kind.SLOW, f"all {len(builds)} goroutines of builds have moved", tuple(sorted(builds)))
    return _asleep(tracks) or _for_clients(tracks) or _stuck(tracks, builds, lasting, dumps)


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
    """Return the goroutines that were busy inside one call of BuildKit's in every dump."""
    calls: dict[str, dict[int, tuple[Frame, ...]]] = {}
    for id_, track in tracks.items():
        if all(each.state in _BUSY for each in track) and any(each.state in _ON_CORE for each in track):
            stack = common([each.frames for each in track])
            ours = next((frame.function for frame in stack if frame.function.startswith(_BUILDKIT)), None)
            if ours:
                calls.setdefault(ours, {})[id_] = stack
    if not calls:
        return None
    call, members = max(calls.items(), key=lambda item: len(item[1]))
    dumps = len(next(iter(tracks.values())))
    because = f"{_counted(len(members))} busy in all {dumps} dumps, each time inside {call}"
    return Reading(Kind.LIVELOCK, because, tuple(members), common(members.values()) or next(iter(members.values())))


def _without_builds(dumps: Sequence[Dump]) -> Reading:
    for dump in dumps:
        if any(frame.function.startswith(_REQUEST) for each in dump for frame in each.frames):
            return Reading(Kind.SLOW, "builds have come and gone between the dumps")
    return Reading(Kind.IDLE, "no goroutine serves a build")


def _asleep(tracks: Tracks) -> Reading | None:
    """Return the builders and the loop of a scheduler that waits to be woken."""
    loops = _at(tracks, lambda frame: frame.function == f"{_SCHEDULER}.loop")
    asleep = {id_: track for id_, track in loops.items() if _still(track) and track[0].state == "sync.Cond.Wait"}
    builders = _at(tracks, lambda frame: frame.function == f"{_SCHEDULER}.build")
    waiting = {id_: track for id_, track in builders.items() if _still(track) and track[0].state == "chan receive"}
    working = _at(tracks, lambda frame: frame.function.startswith(f"{_BUILDKIT}solver/llbsolver/ops."))
    if not asleep or not waiting or len(waiting) < len(builders) or working:
        return None
    because = (
        f"{_counted(len(waiting))} waiting in {_SCHEDULER}.build, no step runs, and the scheduler's loop sleeps: "
        "nobody is left to wake it"
    )
    ids = tuple(sorted((*waiting, *asleep)))
    return Reading(Kind.LOST_WAKE_UP, because, ids, common([track[0].frames for track in waiting.values()]))


def _for_clients(tracks: Tracks) -> Reading | None:
    """Return the goroutines that wait for a client, where all that could go on do."""
    leaves = {
        id_: track
        for id_, track in _at(tracks, lambda frame: frame.function.startswith(f"{_BUILDKIT}source/")).items()
        if _still(track)
    }
    waiting = _at(leaves, lambda frame: frame.function.startswith(_WAITS_FOR_CLIENT))
    if not waiting or len(waiting) < len(leaves):
        return None
    because = f"{_counted(len(waiting))} waiting for what a client is to send, and no other step goes on"
    return Reading(Kind.CLIENT_SIDE, because, tuple(waiting), common([track[0].frames for track in waiting.values()]))


def _stuck(tracks: Tracks, builds: Tracks, lasting: set[int], dumps: Sequence[Dump]) -> Reading:
    """Say whether builds that do not move are stuck, or may yet go on."""
    grown = [id_ for id_ in sorted(lasting) if builds[id_][-1].minutes > builds[id_][0].minutes]
    still = {id_: track for id_, track in tracks.items() if _still(track) and _is_solving(track[0])}
    moving = len(lasting) < len(builds) or any(
        _is_solving(each) for dump in dumps for each in dump if each.id not in still and each.id not in builds
    )
    frames = common([track[0].frames for track in still.values()])
    if grown and not moving:
        because = f"{_counted(len(still))} at the same places in all dumps, {len(grown)} of them for longer each time"
        return Reading(Kind.DEADLOCK, because, tuple(still), frames)
    if moving:
        return Reading(Kind.SLOW, "some goroutines of builds move, and others wait for them", tuple(sorted(lasting)))
    because = "builds do not move, and no wait has grown by a minute: make another dump a minute later"
    return Reading(Kind.UNKNOWN, because, tuple(still), frames)


def _is_solving(each: Goroutine) -> bool:
    return any(frame.function.startswith((f"{_BUILDKIT}solver", _REQUEST)) for frame in each.frames)


def _counted(count: int) -> str:
    return "one goroutine was" if count == 1 else f"{count} goroutines were"
