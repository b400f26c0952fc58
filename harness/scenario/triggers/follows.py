"""``follows``: when another actor has acted, after a delay, with a chance."""

from collections.abc import AsyncGenerator
from typing import Annotated

import anyio
from pydantic import Field

from harness.core.delay import NO_DELAY, Delay
from harness.core.rng import Dice
from harness.scenario.triggers.base import Acted, Firing, Signals, Trigger


class FollowsTrigger(Trigger):
    """Act when another actor, which is no build, has acted."""

    follows: str
    """The name of that actor."""
    after: Delay = NO_DELAY
    """How long after its act took effect."""
    chance: Annotated[float, Field(gt=0, le=1)] = 1.0
    """How likely each act is followed."""

    @property
    def follows_act(self) -> str | None:
        """The actor without whose acts it never fires."""
        return self.follows

    @property
    def always_comes(self) -> bool:
        """Whether each time is taken."""
        return self.chance == 1

    async def moments(self, dice: Dice, signals: Signals) -> AsyncGenerator[Firing, None]:
        """Yield a moment for each act of the other actor; chance goes by the number of that act."""
        count = 0
        wanted = self.follows
        async with signals.listening(lambda it: it.actor == wanted and isinstance(it.what, Acted)) as stream:
            async for reached in stream:
                random = dice.throw(reached.iteration)
                if random.random() >= self.chance:
                    continue
                due = reached.at + self.after.draw(random)
                await anyio.sleep_until(due)
                count += 1
                yield Firing(count, due)
