"""What the triggers share that follow what others do, builds or actors: a delay, and a chance."""

from collections.abc import AsyncGenerator
from typing import Annotated

import anyio
from pydantic import Field

from harness.core.delay import NO_DELAY, Delay
from harness.core.rng import Dice
from harness.scenario.triggers.base import Acted, Firing, Reached, Signals, Trigger


class FollowTrigger(Trigger):
    """Act when something is reached."""

    after: Delay = NO_DELAY
    """How long after it was reached."""
    chance: Annotated[float, Field(gt=0, le=1)] = 1.0
    """How likely each such moment is taken."""

    @property
    def always_comes(self) -> bool:
        """Whether each time is taken."""
        return self.chance == 1

    def most(self, iterations: float, seconds: float) -> float:  # noqa: ARG002 — it goes by what it follows
        """Return how often it fires, if that is reached once an iteration."""
        return iterations * self.chance

    def _in_words(self, reached: str) -> str:
        """Return when that is, for a sentence, by what is reached."""
        late = f"{self.after.in_words} after " if self.after != NO_DELAY else "as "
        often = f", {100 * self.chance:.3g}% of the times" if self.chance < 1 else ""
        return f"{late}{reached}{often}"

    async def moments(self, dice: Dice, signals: Signals) -> AsyncGenerator[Firing, None]:
        """Yield a moment for each time that it is reached; chance goes by the iteration, or by the act's number."""
        count = 0
        async with signals.listening(self.awaits) as stream:
            async for reached in stream:
                random = dice.throw(reached.iteration)
                if random.random() >= self.chance:
                    continue
                delay = self.after.draw(random)
                await anyio.sleep_until(reached.at + delay)
                count += 1
                build = None if isinstance(reached.what, Acted) else reached
                yield Firing(count, reached.at + delay, build)

    def awaits(self, reached: Reached) -> bool:
        """Whether that is what it waits for."""
        raise NotImplementedError


class FollowBuildTrigger(FollowTrigger):
    """Act when a build reaches something."""

    of: str
    """The name of the build actor."""

    @property
    def listens_to(self) -> str | None:
        """The build actor without which it never fires."""
        return self.of

    def awaits(self, reached: Reached) -> bool:
        """Whether that is what it waits for, of a build of `of`."""
        return reached.actor == self.of and self.awaits_of_a_build(reached)

    def awaits_of_a_build(self, reached: Reached) -> bool:
        """Whether the trigger waits for this signal of any build."""
        raise NotImplementedError
