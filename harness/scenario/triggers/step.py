"""``step``: when something becomes of a step of a build of a named actor, after a delay, with a chance."""

import re

from harness.buildkit.progress import Step
from harness.core.model import Pattern
from harness.core.outcome import StepState
from harness.scenario.triggers.base import Reached
from harness.scenario.triggers.follow import FollowBuildTrigger


class StepTrigger(FollowBuildTrigger):
    """Act when a step whose name matches a pattern starts or completes."""

    step: Pattern
    """A regular expression, looked for in the names that progress shows: ``RUN sleep``, ``importing cache``."""
    state: StepState = StepState.STARTED
    """`started` or `completed`, a cached step does both at once; `cached`; or `merged`: the step was begun here, and
    then taken over from another build that does the same.
    """

    @property
    def in_words(self) -> str:
        """When that is, for a sentence."""
        return self._in_words(f"a step like {self.step!r} of a build of {self.of} is {self.state}")

    def awaits_of_a_build(self, reached: Reached) -> bool:
        """Whether that is its step, and what has become of it."""
        step = reached.what
        return isinstance(step, Step) and step.state is self.state and bool(re.search(self.step, step.name))
