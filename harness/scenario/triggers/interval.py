"""``interval``: after a pause, again and again; the pause runs from the end of one act to the start of the next."""

from collections.abc import AsyncGenerator
from itertools import count as counting
from math import inf

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

    def most(self, iterations: float, seconds: float) -> float:  # noqa: ARG002 — it goes by time
        """Return how often it fires."""
        return seconds / self.interval.mean if self.interval.mean else inf

    @property
    def in_words(self) -> str:
        """When that is, for a sentence."""
        mean = self.interval.mean
        often = f": at most {60 / mean:,.0f} a minute" if 0 < mean <= 60 else ""
        return f"with pauses of {self.interval.in_words}{often}"

    async def moments(self, dice: Dice, signals: Signals) -> AsyncGenerator[Firing, None]:  # noqa: ARG002 — needs no signal
        """Yield a moment after each pause."""
        for count in counting(1):
            due = anyio.current_time() + self.interval.draw(dice.throw(count))
            await anyio.sleep_until(due)
            yield Firing(count, due)
