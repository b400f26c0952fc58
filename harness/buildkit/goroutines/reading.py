"""What dumps of one daemon are read as: the goroutines that are in all of them, and what these say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from harness.buildkit.goroutines.model import Frame, Goroutine

Dump = Sequence[Goroutine]
Tracks = Mapping[int, tuple[Goroutine, ...]]
"""What each goroutine was in every dump, by id; only those that are in all."""

REQUEST: Final = "github.com/moby/buildkit/control.(*Controller).Solve"
"""What serves a build."""


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
    """Ids of the goroutines that match, ascending."""
    frames: tuple[Frame, ...] = ()
    """What their stacks have in common, the innermost call first."""
    places: tuple[str, ...] = ()
    """The functions that goroutines are held up in; what a deadlock is told from another by."""


@dataclass(frozen=True)
class ProcessFacts:
    """The kernel's figures for the daemon's process between the dumps; None where they were not taken."""

    cores: float | None = None
    """How much CPU it used, in cores."""
    stopped: bool = False
    """Whether it is stopped (state T)."""
    step_lives: bool | None = None
    """Whether the process of a step lives below it."""
    moved: float | None = None
    """Bytes a second that it reads and writes, through files, pipes and sockets."""


NOTHING_KNOWN: Final = ProcessFacts()


def cut_at(dump: Dump) -> int | None:
    """Return the goroutine at which a dump is cut off, or has lost a part of a stack; None where it is whole.

    There is a place for each call and each maker, and a maker of all but the first goroutine.
    """
    made = sum(each.creator is not None for each in dump)
    placed = sum(bool(each.frames and each.frames[0].file) for each in dump)
    if 2 * placed <= len(dump):  # somebody has left out all places
        return None
    torn = (
        each.id for each in dump if each.torn or not all(frame.file for frame in (*each.frames, each.creator) if frame)
    )
    last = dump[-1]
    ends = last.id if last.creator is None and last.id > 1 and 2 * made > len(dump) else None
    return next(torn, ends)


def is_still(track: Sequence[Goroutine]) -> bool:
    """Whether it did not move: the same stack in the same state, and a wait that never began anew."""
    waits = [each.minutes for each in track]
    return len({(each.frames, each.state) for each in track}) == 1 and waits == sorted(waits)


def is_grown(track: Sequence[Goroutine]) -> bool:
    """Whether it has not moved, and has waited longer each time."""
    return is_still(track) and track[-1].minutes > track[0].minutes


def format_count(count: int) -> str:
    """Return how many goroutines were, as a sentence begins."""
    return "one goroutine was" if count == 1 else f"{count} goroutines were"
