"""What a detector sees of a build, and what it says."""

from dataclasses import dataclass
from typing import Protocol

from harness.core.outcome import Outcome, Phase


@dataclass(frozen=True)
class Stillness:
    """How long nothing has happened in a build, in attended seconds."""

    phase: Phase
    in_phase: float
    """Since the phase was entered."""
    silent: float
    """Since the progress stream last said anything."""


class Detector(Protocol):
    """A rule that turns stillness into a finding."""

    @property
    def outcome(self) -> Outcome:
        """What it finds."""
        ...

    def waited(self, stillness: Stillness) -> float | None:
        """Return the attended seconds waited in vain, once they are too many; None before that."""
        ...
