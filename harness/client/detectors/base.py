"""What a detector sees of a build, and what it says."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.buildkit.progress import Vertex
from harness.client.activity import Work
from harness.core.outcome import FindingKind, Outcome, Phase


@dataclass(frozen=True)
class Detection:
    """A detector's verdict with the attended seconds waited, or the error of a build that has ended."""

    kind: FindingKind
    waited: float = 0.0
    error: str = ""
    dumps: Path | None = None
    """The folder of goroutine dumps that showed it, where they were taken before it was told."""


@dataclass(frozen=True)
class Stillness:
    """How long nothing has happened in a build, in attended seconds."""

    phase: Phase
    in_phase: float
    """Since the phase was entered."""
    silent: float
    """Since the progress stream last said anything."""
    work: Callable[[], Work] = lambda: Work.NONE
    """What the daemon is seen to do for the build meanwhile; asked only where it matters."""


class Detector(Protocol):
    """A rule that turns stillness into a finding."""

    @property
    def outcome(self) -> Outcome:
        """What it finds."""
        ...

    def waited(self, stillness: Stillness) -> float | None:
        """Return the attended seconds waited once they exceed the threshold; None before that."""
        ...


@dataclass(frozen=True)
class Success:
    """A build that has succeeded."""

    actor: str
    args: Mapping[str, str]
    """What it was asked for; two of one actor with the same are the same build."""
    started: float
    """Monotonic time."""
    exited: float
    tail: float | None
    """Attended seconds from its export's completion to its client's exit; None where that is not known."""
    steps: Collection[Vertex]
    uses_cache: bool
    """Whether it was free to take every step out of the daemon's cache."""


class SuccessDetector(Protocol):
    """A rule that turns a build that has succeeded into a finding all the same."""

    def weigh(self, build: Success) -> Detection | None:
        """Return what it finds; it is told of every success, in the order in which they come."""
        ...
