"""What a goroutine dump says: goroutines with their stacks, and how many share one."""

from dataclasses import dataclass
from typing import Final

DAEMONS: Final = ("github.com/moby/buildkit/", "github.com/docker/docker/", "github.com/moby/moby/")
"""How the packages of the daemons begin."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One call on a stack, or the ``go`` statement that made a goroutine."""

    function: str
    """With its package's path, without arguments: ``github.com/moby/buildkit/solver.(*scheduler).loop``."""
    file: str = ""
    line: int = 0

    @property
    def is_users(self) -> bool:
        """Whether it is not of Go's own: the first part of such a package's path has no dot in it, and is not main."""
        first = self.function.partition("/")[0] if "/" in self.function else ""
        return "." in first or self.function.startswith("main.")

    @property
    def is_daemons(self) -> bool:
        """Whether it is of BuildKit's or of the Engine's own packages."""
        return self.function.startswith(DAEMONS)


@dataclass(frozen=True, slots=True)
class Goroutine:
    """One goroutine, as it was when the dump was made."""

    id: int
    state: str
    """What it waits for, in Go's own words: ``select``, ``chan receive``, ``runnable``."""
    minutes: int
    """How long it has waited, in whole minutes; 0 also where the dump says nothing, as of one that runs."""
    locked: bool
    """Whether it is bound to its thread."""
    frames: tuple[Frame, ...]
    """The innermost call first."""
    creator: Frame | None = None
    parent: int | None = None
    """The goroutine that made it; Go says so since 1.21."""
    elided: bool = False
    """Whether frames in the middle were left out, as they are of stacks deeper than a hundred."""
    torn: bool = False
    """Whether a call of its stack was lost, or of one that stood before it."""
    lock: str = ""
    """The address of the lock that it waits for."""
    arguments: tuple[bytes, ...] = ()
    """What Go printed of each call's arguments, frame by frame; empty where it runs nothing of a daemon's."""
    source: str = ""
    """Who printed it, where it stands in a log of several: `buildkitd-1`, `dockerd[99]`."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The goroutines that do the same: in the same state, at the same place, made at the same place."""

    state: str
    """Empty where the dump does not say, as in the form ``debug=1``."""
    frames: tuple[Frame, ...]
    creator: Frame | None
    count: int
    least_minutes: int = 0
    most_minutes: int = 0
    ids: tuple[int, ...] = ()
    """Ascending; empty where the dump does not say."""
