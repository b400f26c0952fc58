"""``phase``: when a build of a named actor enters a phase, after a delay, with a chance."""

from collections.abc import Mapping
from typing import Final

from harness.core.outcome import Phase
from harness.scenario.triggers.base import Reached
from harness.scenario.triggers.follow import FollowBuildTrigger

HAPPENS: Final[Mapping[Phase, str]] = {
    Phase.STARTED: "starts",
    Phase.SOLVING: "begins its steps",
    Phase.EXPORTING: "begins to export",
    Phase.EXPORTED: "has exported",
    Phase.EXITED: "has ended",
}
"""What a build does as it enters a phase."""


class PhaseTrigger(FollowBuildTrigger):
    """Act when a build enters a phase."""

    phase: Phase
    """The phase to wait for."""

    @property
    def in_words(self) -> str:
        """When that is, for a sentence."""
        return self._in_words(f"a build of {self.of} {HAPPENS[self.phase]}")

    def awaits_of_a_build(self, reached: Reached) -> bool:
        """Whether that is its phase."""
        return reached.what is self.phase
