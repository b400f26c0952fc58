"""What a detector sees of a build, and what it says."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from harness.client.activity import Work
from harness.core.outcome import Outcome, Phase


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
