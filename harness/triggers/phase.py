"""``phase``: when a build of a named actor enters a phase, after a delay, with a chance."""

from collections.abc import AsyncGenerator
from typing import Annotated

import anyio
from pydantic import Field

from harness.delay import NO_DELAY, Delay
from harness.dice import Dice
from harness.outcome import Phase
from harness.triggers.base import Moment, PhaseReached, Signals, Trigger


class PhaseTrigger(Trigger):
    """Act when a build enters a phase."""

    phase: Phase
    """The phase to wait for."""
    of: str
    """The name of the build actor."""
    after: Delay = NO_DELAY
    """How long after the phase was entered."""
    chance: Annotated[float, Field(gt=0, le=1)] = 1.0
    """How likely each such moment is taken."""

    @property
    def listens_to(self) -> str | None:
        """The build actor without which it never fires."""
        return self.of

    async def moments(self, dice: Dice, signals: Signals) -> AsyncGenerator[Moment, None]:
        """Yield a moment for each time that a build of `of` enters the phase; chance goes by the iteration."""
        count = 0
        async with signals.phases(self._wants) as stream:
            async for signal in stream:
                random = dice.throw(signal.iteration)
                if random.random() >= self.chance:
                    continue
                delay = self.after.draw(random)
                await anyio.sleep_until(signal.at + delay)
                count += 1
                yield Moment(count, signal.at + delay, signal.iteration)

    def _wants(self, signal: PhaseReached) -> bool:
        return signal.actor == self.of and signal.phase is self.phase
