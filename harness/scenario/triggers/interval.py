"""``interval``: after a pause, again and again; the pause runs from the end of one act to the start of the next."""

from collections.abc import AsyncGenerator
from itertools import count as counting

import anyio

from harness.core.delay import Delay
from harness.core.rng import Dice
from harness.scenario.triggers.base import Firing, Signals, Trigger


class IntervalTrigger(Trigger):
    """Act after a pause, again and again."""

    interval: Delay
    """The pause before each act."""

    @property
    def earliest(self) -> float:
        """Seconds into the run before which it cannot fire."""
        return self.interval.least

    async def moments(self, dice: Dice, signals: Signals) -> AsyncGenerator[Firing, None]:  # noqa: ARG002 — needs no signal
        """Yield a moment after each pause."""
        for count in counting(1):
            due = anyio.current_time() + self.interval.draw(dice.throw(count))
            await anyio.sleep_until(due)
            yield Firing(count, due)
