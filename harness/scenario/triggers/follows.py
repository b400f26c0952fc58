"""``follows``: when another actor has acted, after a delay, with a chance."""

from harness.scenario.triggers.base import Acted, Reached
from harness.scenario.triggers.follow import FollowTrigger


class FollowsTrigger(FollowTrigger):
    """Act when another actor, which is no build, has acted; `after` counts from its act's effect."""

    follows: str
    """The name of that actor."""

    @property
    def follows_act(self) -> str | None:
        """The actor whose acts this trigger needs to fire."""
        return self.follows

    @property
    def in_words(self) -> str:
        """When that is, for a sentence."""
        return self._in_words(f"{self.follows} has acted")

    def awaits(self, reached: Reached) -> bool:
        """Whether that is an act of the actor."""
        return reached.actor == self.follows and isinstance(reached.what, Acted)
