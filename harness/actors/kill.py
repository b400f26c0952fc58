"""``kill``: ends a build's client, as an actor at any trigger, and as the time-out that a build actor may have.

`KillRule` is what stands under a `kill` of its own of what has a client: which of them, and after what time; `TimeOut`
is that of a build, whose time may count from a phase.
"""

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from random import Random
from typing import Annotated, Any, Final, Literal, Self, get_args

import anyio
from pydantic import Discriminator, Field, RootModel, Tag, model_validator

from harness.actors.base import ActorEnv, CouldNot, Disturbance, Effect, NothingOfTheKind
from harness.client.watched_build import Watch
from harness.core.delay import Delay
from harness.core.model import StrictModel
from harness.core.outcome import Phase
from harness.core.quantities import Duration
from harness.daemons.base import BuildClient
from harness.scenario import Setting, Violation
from harness.scenario.model import Name
from harness.scenario.triggers import Firing
from harness.scenario.triggers.phase import HAPPENS


class Blow(StrictModel):
    """A signal to a client, and SIGKILL for what outlives its grace."""

    signal: Literal["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGKILL"] = "SIGTERM"
    grace: Duration = 5.0
    """How long a client may take to end on the signal before SIGKILL."""
    target: Literal["client", "group"] = "group"
    """The client alone, as `kill PID` does; or its process group, as a CI runner does."""

    async def send(self, client: BuildClient) -> None:
        """Signal the client, and SIGKILL it after the grace."""
        group = self.target == "group"
        client.signal(signal.Signals[self.signal], group=group)
        await anyio.sleep(self.grace)
        client.signal(signal.SIGKILL, group=group)


class KillRule(Blow):
    """A signal to some of an actor's clients after a while, and SIGKILL for what outlives its grace."""

    every: Annotated[int, Field(ge=1)] | None = None
    """Every n-th iteration; or `chance`."""
    chance: Annotated[float, Field(gt=0, le=1)] | None = None
    """How likely each iteration is killed; or `every`."""
    after: Delay
    """How long after the client's start."""

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if (self.every is None) == (self.chance is None):
            raise ValueError("say which builds to kill: either `every: N` or `chance: P`")
        return self

    def delay(self, iteration: int, random: Random) -> float | None:
        """Return after how many seconds this iteration is killed, or None if it is not."""
        chosen = random.random() < self.chance if self.chance is not None else iteration % (self.every or 1) == 0
        return self.after.draw(random) if chosen else None


_KillPhase = Literal["started", "solving", "exporting", "exported"]
_PHASES: Final = get_args(_KillPhase)
_RANDOM: Final = frozenset({"uniform", "exponential"})
_FORM: Final = "should be a delay, such as 2s, or one phase and its delay, such as {exporting: 2s}; phases: "


class SincePhase(RootModel[Annotated[dict[_KillPhase, Delay], Field(min_length=1, max_length=1)]]):
    """A delay that counts from when the build enters a phase: ``{exporting: 2s}``."""

    @model_validator(mode="before")
    @classmethod
    def _one_phase(cls, value: Any) -> Any:
        if isinstance(value, dict) and (len(value) != 1 or not value.keys() <= {*_PHASES}):
            raise ValueError(_FORM + ", ".join(_PHASES))
        return value

    @property
    def phase(self) -> Phase:
        """From when it counts."""
        return Phase(next(iter(self.root)))

    def draw(self, random: Random) -> float:
        """Return seconds from the phase on."""
        return self._late.draw(random)

    @property
    def least(self) -> float:
        """The shortest wait from the build's start on, in seconds."""
        return self._late.least

    @property
    def in_words(self) -> str:
        """What a sentence says of it."""
        return f"{self._late.in_words} from when it {HAPPENS[self.phase]}"

    @property
    def _late(self) -> Delay:
        return next(iter(self.root.values()))


def _counts_from(value: object) -> str:
    plain = not isinstance(value, dict | SincePhase) or (isinstance(value, dict) and value.keys() & _RANDOM)
    return "Delay" if plain else "SincePhase"


class TimeOut(KillRule):
    """The time-out of a CI job."""

    after: Annotated[  # type: ignore[assignment]
        Annotated[Delay, Tag("Delay")] | Annotated[SincePhase, Tag("SincePhase")], Discriminator(_counts_from)
    ]
    """How long after the client's start, or after the build has entered a phase: ``{exporting: 2s}``."""

    @property
    def since(self) -> Phase:
        """From when it counts."""
        return self.after.phase if isinstance(self.after, SincePhase) else Phase.STARTED


class Kill(Blow, Disturbance):
    """End the client of a build, as its scenario asks: that build is timed out, and has not failed."""

    of: Name | None = None
    """The build actor; without it, the one that `when` follows."""
    victim: Literal["followed", "other"] = "followed"
    """The build that `when` follows, or another of the same actor; where it follows none, the latest."""
    every: Annotated[int, Field(ge=1)] = 1
    """Only every n-th time."""

    @property
    def disturbs(self) -> bool:
        """Whether it disturbs what a daemon's owner would miss: clients are ours."""
        return False

    def faults(self, setting: Setting) -> Iterator[Violation]:
        """Yield what cannot work although every value is well-formed."""
        yield from super().faults(setting)
        if self.of is None and self.when.listens_to is None:
            yield Violation(("of",), "say whose client: the name of a build actor, or let `when` follow one")
        if self.of is not None and self.of not in setting.builds:
            known = ", ".join(sorted(setting.builds)) or "none"
            yield Violation(("of",), f"no build is named {self.of!r}; builds: {known}")

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        whose = f" of {self.of}" if self.of else ""
        return f"kills {'a client' if self.victim == 'followed' else 'another client'}{whose} ({self.signal})"

    @asynccontextmanager
    async def act(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:
        """Signal the client; on leaving, SIGKILL what outlived the grace.

        Raises:
            CouldNot: no such build runs now.
        """
        if moment.count % self.every:
            raise NothingOfTheKind(f"only every {self.every}-th time")
        watch = self._chosen(stage, moment)
        watch.killed = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.send, watch.client)
            yield Effect(f"iteration {watch.iteration}", effect=1, iteration=watch.iteration)
            with anyio.move_on_after(self.grace):
                await watch.client.wait()
            if watch.client.returncode is not None:
                tasks.cancel_scope.cancel()

    def _chosen(self, stage: ActorEnv, moment: Firing) -> Watch:
        actor = self.of or (moment.build.actor if moment.build else None)
        followed = moment.build.iteration if moment.build and moment.build.actor == actor else None
        fitting = [
            watch
            for number, watch in stage.inflight.items()
            if watch.actor == actor
            and watch.killed is None
            and not watch.found
            and watch.client.returncode is None
            and (followed is None or (number == followed) is (self.victim == "followed"))
        ]
        if not fitting:
            raise CouldNot(f"no such build of {actor} runs now")
        return max(fitting, key=lambda watch: watch.iteration)
