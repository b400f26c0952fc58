"""``every: 1m``: at a fixed rate, whatever the acts take; moments that come while the actor is busy pass."""

from collections.abc import AsyncGenerator
from itertools import count as counting
from typing import Annotated

import anyio
from pydantic import Field

from harness.core.quantities import Duration
from harness.core.rng import Dice
from harness.core.units import format_duration
from harness.scenario.triggers.base import Firing, Signals, Trigger


class RateTrigger(Trigger):
    """Act at each multiple of a time since the run began."""

    every: Annotated[Duration, Field(gt=0)]
    """How long from one moment to the next."""

    @property
    def earliest(self) -> float:
        """Seconds into the run before which it cannot fire."""
        return self.every

    def most(self, iterations: float, seconds: float) -> float:  # noqa: ARG002 — it goes by time
        """Return how often it fires."""
        return seconds / self.every

    @property
    def in_words(self) -> str:
        """When that is, for a sentence."""
        return f"every {format_duration(self.every)}, however long it takes"

    async def moments(self, dice: Dice, signals: Signals) -> AsyncGenerator[Firing, None]:  # noqa: ARG002 — no chance in it
        """Yield each moment that comes while the receiver waits.

        Each is reckoned from the run's start, so that none is late because of those before it, and so that a run that
        is resumed, or a daemon that is renewed, goes on where the clock stands.
        """
        multiple = 0
        for count in counting(1):
            multiple = max(multiple, int((anyio.current_time() - signals.began) / self.every)) + 1
            due = signals.began + self.every * multiple
            await anyio.sleep_until(due)
            yield Firing(count, due)
