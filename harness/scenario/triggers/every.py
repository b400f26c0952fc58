"""``every: 3``: whenever so many iterations have begun."""

from collections.abc import AsyncGenerator
from typing import Annotated

from pydantic import Field

from harness.core.outcome import Phase
from harness.core.rng import Dice
from harness.core.units import ordinal
from harness.scenario.triggers.base import Firing, Reached, Signals, Trigger


class EveryTrigger(Trigger):
    """Act at every n-th iteration of the run, as its client starts."""

    every: Annotated[int, Field(ge=1)]
    """How many iterations from one act to the next."""

    @property
    def least_iterations(self) -> int:
        """Iterations that a run must reach for it to fire."""
        return self.every

    def most(self, iterations: float, seconds: float) -> float:  # noqa: ARG002 — it goes by iterations
        """Return how often it fires."""
        return iterations // self.every

    @property
    def in_words(self) -> str:
        """When that is, for a sentence."""
        return f"as every {ordinal(self.every)}build starts"

    async def moments(self, dice: Dice, signals: Signals) -> AsyncGenerator[Firing, None]:  # noqa: ARG002 — no chance in it
        """Yield a moment as each n-th iteration starts."""
        count = 0
        async with signals.listening(self._wants) as stream:
            async for signal in stream:
                count += 1
                yield Firing(count, signal.at, signal)

    def _wants(self, signal: Reached) -> bool:
        return signal.what is Phase.STARTED and signal.iteration % self.every == 0
