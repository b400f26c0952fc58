"""Cases that are made up, and daemons that hang by a drawn coin where what they need is in the case."""

from collections.abc import Mapping
from random import Random
from typing import Any

from harness.core.outcome import Ending
from harness.experiments.minimize.case import Case, Context
from harness.experiments.short_run import ShortRun

DOCKERFILE = """\
FROM scratch AS base
COPY busybox /bin/busybox
FROM base AS a
RUN echo a > /a
FROM base
ARG N
COPY --from=a /a /a
RUN echo "$N" > /n && true
"""


def mix(**options: Any) -> Case:
    """Return a case of many builds, kills and prunes."""
    build = {
        "build": "ci",
        "dockerfile": "ci",
        "args": {"N": "{iteration % 7}"},
        "export": "image",
        "parallel": 4,
        "kill": {"chance": 0.3, "after": {"uniform": ["100ms", "1s"]}},
    }
    prune = {"prune": "loop", "all": True, "when": {"interval": {"uniform": ["0s", "50ms"]}}}
    tree = {
        "name": "mix",
        "actors": [build, prune, {"prune": "more", "when": {"interval": "1s"}}],
        "stop": {"iterations": 40},
        **options,
    }
    return Case(tree, {"ci": Context(DOCKERFILE, {"busybox": "/bin/busybox"})})


class World:
    """Daemons that hang at a rate where a case has all that its hang needs, and never otherwise."""

    def __init__(
        self, seed: int, rate: float, needed: Mapping[str, float] | None = None, mixed: float | None = None
    ) -> None:
        self.random, self.rate, self.mixed = Random(seed), rate, mixed
        """`mixed`: the rate of what is in no order, where that is another."""
        self.needed = needed or {}
        """By a text that a case needs somewhere, the factor of the rate where it lacks it."""
        self.asked: list[Case] = []

    def rate_of(self, case: Case) -> float:
        """Return how likely one attempt at a case hangs."""
        text = f"{case.scenario} {[context.dockerfile for context in case.contexts.values()]}"
        if self.mixed is not None and "'second'" not in text:
            return self.mixed
        rate = self.rate
        for word, factor in self.needed.items():
            rate *= 1.0 if word in text else factor
        return rate

    async def take(self, case: Case, seed: int) -> ShortRun:
        """Attempt a case."""
        self.asked.append(case)
        hung = self.random.random() < self.rate_of(case)
        return ShortRun(
            toolchain="stub",
            seed=seed,
            said="hang" if hung else "clean",
            iterations=40,
            signature="x" if hung else "",
            seconds=1.0,
            ending=Ending.FINDINGS if hung else Ending.ITERATIONS,
            because="",
            folder="",
            daemon="stub",
            builds=40,
        )
