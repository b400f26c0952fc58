"""How a build is timed out: which iterations, after what time, with which signal, and whom it reaches."""

import signal
from random import Random
from typing import Annotated, Literal, Self

import anyio
from pydantic import Field, model_validator

from harness.core.delay import Delay
from harness.core.model import StrictModel
from harness.core.units import Duration
from harness.host.proc import Child


class Kill(StrictModel):
    """The time-out of a CI job: a signal after a while, and SIGKILL for what outlives its grace."""

    every: Annotated[int, Field(ge=1)] | None = None
    """Every n-th iteration; or `chance`."""
    chance: Annotated[float, Field(gt=0, le=1)] | None = None
    """How likely each iteration is killed; or `every`."""
    after: Delay
    """How long after the client's start."""
    signal: Literal["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGKILL"] = "SIGTERM"
    grace: Duration = 5.0
    """How long a client may take to end on the signal before SIGKILL."""
    target: Literal["client", "group"] = "group"
    """The client alone, as `kill PID` does; or its process group, as a CI runner does."""

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if (self.every is None) == (self.chance is None):
            raise ValueError("say which builds to kill: either `every: N` or `chance: P`")
        return self

    def delay(self, iteration: int, random: Random) -> float | None:
        """Return after how many seconds this iteration is killed, or None if it is not."""
        chosen = random.random() < self.chance if self.chance is not None else iteration % (self.every or 1) == 0
        return self.after.draw(random) if chosen else None

    async def send(self, client: Child) -> None:
        """Signal the client, and SIGKILL it after the grace."""
        group = self.target == "group"
        client.signal(signal.Signals[self.signal], group=group)
        await anyio.sleep(self.grace)
        client.signal(signal.SIGKILL, group=group)
