"""``at``: once, so long after the run began."""

from collections.abc import AsyncGenerator

import anyio

from harness.core.quantities import Duration
from harness.core.rng import Dice
from harness.core.units import format_duration
from harness.scenario.triggers.base import Firing, Signals, Trigger


class AtTrigger(Trigger):
    """Act once in a run."""

    at: Duration
    """How long after the run began."""

    @property
    def earliest(self) -> float:
        """Seconds into the run before which it cannot fire."""
        return self.at

    def most(self, iterations: float, seconds: float) -> float:  # noqa: ARG002 — once, if at all
        """Return how often it fires."""
        return float(seconds > self.at)

    @property
    def in_words(self) -> str:
        """When that is, for a sentence."""
        return f"once, {format_duration(self.at)} into the run"

    async def moments(self, dice: Dice, signals: Signals) -> AsyncGenerator[Firing, None]:  # noqa: ARG002 — no chance in it
        """Yield the one moment, unless it has come before."""
        due = signals.began + self.at
        if due >= signals.since:
            await anyio.sleep_until(due)
            yield Firing(1, due)
