"""``phase``: when a build of a named actor enters a phase, after a delay, with a chance."""

from harness.core.outcome import Phase
from harness.scenario.triggers.base import Reached
from harness.scenario.triggers.follow import FollowBuildTrigger


class PhaseTrigger(FollowBuildTrigger):
    """Act when a build enters a phase."""

    phase: Phase
    """The phase to wait for."""

    def awaits_of_a_build(self, reached: Reached) -> bool:
        """Whether that is its phase."""
        return reached.what is self.phase
