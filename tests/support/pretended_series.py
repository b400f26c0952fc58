"""Looks without a daemon: what each says is drawn, so that whole comparisons can be simulated by the hundred."""

from collections.abc import Mapping

import numpy as np

from harness.analysis.exposure import Exposure
from harness.core.outcome import Ending
from harness.experiments.runner import LocalRunner
from harness.experiments.series import Name, SeenRun, Series, Side
from harness.experiments.short_run import ShortRun


class Pretended(Series):
    """A series without a daemon: each look draws the builds to its hang."""

    def pretend(
        self,
        seed: int,
        rates: Mapping[Name, float],
        signatures: Mapping[Name, str],
        *,
        nothing: Mapping[Name, float],
        healed_after: int | None = None,
        warm: Mapping[Name, int] | None = None,
        lines: int = 1,
        frames: Mapping[str, tuple[str, ...]] | None = None,
        hosts: Mapping[str, tuple[float, float, float]] | None = None,
    ) -> None:
        """Set what is pretended: rates a build, what the hangs are, how many looks break, after how many all heals.

        Frames are the functions of a hang, by its signature.

        Warm are the builds that a daemon takes before it hangs at all. Of several lines, each but the one that hangs
        may have begun a build after it.

        Of a host: how many times the rate it has, and its shares of the looks at A and at B.
        """
        self.shares = hosts or {"": (1.0, 1.0, 1.0)}
        self.runner = LocalRunner()
        self.runner.hosts = tuple(self.shares)
        self.warm, self.lines = warm or {}, lines
        self.chance = np.random.default_rng(seed)
        self.rates, self.signatures, self.frames = rates, signatures, frames or {}
        self.nothing, self.healed_after = nothing, healed_after

    async def require(self, *sides: Side) -> None:
        """Have all of them."""

    async def look(self, side: Side, iterations: int, ahead: int = 0) -> SeenRun:  # noqa: ARG002 — one at a time
        """Draw one; an iteration is a build."""
        healed = self.healed_after is not None and len(self.looks) >= self.healed_after
        names = [*self.shares]
        host = names[0]
        if len(names) > 1:
            shares = [self.shares[name]["AB".index(side.name) + 1] for name in names]
            host = names[int(self.chance.choice(len(names), p=shares))]
        rate = 0.0 if healed else self.rates[side.name] * self.shares[host][0]
        to_hang = int(self.chance.geometric(rate)) + self.warm.get(side.name, 0) if rate else iterations + 1
        broken = self.chance.random() < self.nothing[side.name]
        if broken:
            iterations = int(self.chance.integers(iterations))
        hung = to_hang <= iterations
        begun = min(to_hang + int(self.chance.integers(self.lines)), iterations)
        done = ShortRun(
            toolchain=side.toolchain,
            seed=0,
            said="hang" if hung else "nothing" if broken else "clean",
            iterations=begun,
            signature=self.signatures[side.name] if hung else "",
            seconds=1.0,
            ending=Ending.FINDINGS if hung else Ending.ITERATIONS,
            because="it is so",
            folder="",
            daemon="pretended",
            builds=begun,
            frames=self.frames.get(self.signatures[side.name], ()) if hung else (),
        )
        self.seconds += done.seconds
        seen = SeenRun(side.name, len(self.of(side.name)) + 1, Exposure(done.builds, hung, host), done, self.seconds)
        self.looks.append(seen)
        return seen
