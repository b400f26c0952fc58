"""What every actor does, and the stage on which it does it."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, aclosing
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import ClassVar, Final, Protocol

import anyio

from harness.buildkit.abilities import Ability
from harness.buildkit.progress import Step
from harness.client.watched_build import Watch
from harness.core.errors import InfraError
from harness.core.records import Action, BuildMoment, Iteration
from harness.core.rng import Dice
from harness.daemons.base import Daemon
from harness.daemons.http_relay import HttpRelay
from harness.daemons.registry import RunRegistry
from harness.host.attended_clock import AttendedClock
from harness.host.cgroup import CgroupError
from harness.host.hostinfo import ResourceDemand
from harness.scenario import ActorSpec, DaemonSpec, Scenario, Setting, Violation
from harness.scenario.triggers import Firing, Signals, When
from harness.scenario.triggers.base import Acted, Reached

_MOST_MOMENTS: Final = 16
"""Builds in flight that an act is recorded with."""


class Coordinator(Protocol):
    """Where actors take their work from and report it to."""

    async def next_iteration(self) -> int | None:
        """Return the next iteration's number, once the daemon is up; None if it gets no more."""
        ...

    def watching(self, watch: Watch) -> AbstractContextManager[None]:
        """Let every detector check a running build, and signal its phases to the triggers."""
        ...

    def outage(self, why: str) -> AbstractContextManager[None]:
        """Begin no build while the daemon is down on purpose; builds in flight count as cut off, not as failed."""
        ...

    def severing(self, why: str, host: str | None = None) -> AbstractContextManager[None]:
        """Have builds, of one client host or of all, whose connection breaks be cut off by that, not failed."""
        ...

    def acting(self, actor: "Actor") -> AbstractContextManager[None]:
        """Take note that an actor that is no build acts meanwhile."""
        ...

    def record(self, record: Iteration | Action) -> None:
        """Take the record of what was done."""
        ...

    async def found(self, what: "Watch | Unanswered") -> None:
        """Record a finding and capture its evidence before returning."""
        ...


@dataclass(frozen=True)
class Unanswered:
    """An act that has not come back."""

    actor: str
    what: str
    """What the daemon was asked for, to a person."""
    waited: float
    """In attended seconds."""


@dataclass(frozen=True)
class ActorEnv:
    """One run, as its actors see it."""

    daemon: Daemon
    generation: int
    """Which daemon of the run it is, from 1."""
    folder: Path
    """What actors have staged on disk."""
    seed: int
    began: float
    """Monotonic time of the run's start; records count from it."""
    attention: AttendedClock
    signals: Signals
    board: Coordinator
    inflight: Mapping[int, Watch]
    """The builds that run now, by iteration."""
    registry: RunRegistry | None = None
    """The run's own; None where no actor needs one."""
    caches: Mapping[str, str] = field(default_factory=dict)
    """What a build's cache is told of the run's own servers for it, by the type of cache."""
    collector: HttpRelay | None = None
    """What stands before the run's own collector of traces; None where no actor needs one."""
    cores: tuple[int, ...] = ()
    """Those that clients run on; without any, on all."""
    exhausted: anyio.Event = field(default_factory=anyio.Event)
    """Set once no more iterations begin on this daemon: no line of builds waits for its trigger in vain."""
    patience: float = 600.0
    """Attended seconds for which an act may go unanswered (`detect.act`)."""

    def dice(self, actor: str) -> Dice:
        """Return the chance of one actor."""
        return Dice(self.seed, actor)

    def now(self) -> float:
        """Return seconds since the run began."""
        return anyio.current_time() - self.began


@dataclass(frozen=True)
class Ask:
    """What a part of an actor asks of the builder."""

    key: str
    """The part's, such as ``cache_to``."""
    ability: Ability


class Actor(ActorSpec):
    """One line of activity: it acts, and is done acting, before it acts again."""

    def asks(self) -> Iterator[Ask]:
        """Yield what it asks that not every builder can do."""
        yield from ()

    @property
    def disturbs(self) -> bool:
        """Whether it deletes or disturbs what a daemon's owner would miss."""
        return False

    @property
    def needs_registry(self) -> bool:
        """Whether it pushes to a registry, or pulls from it; the run has one then."""
        return False

    @property
    def needs_caches(self) -> frozenset[str]:
        """The types of caches that it keeps on a server (`CACHE_SERVERS`); the run has one of each then."""
        return frozenset()

    @property
    def needs_collector(self) -> bool:
        """Whether the daemon and its clients are to hand their traces to a collector; the run has one then."""
        return False

    @property
    def disturbs_registry(self) -> bool:
        """Whether it makes faults of the run's registry; a relay stands in front of it then."""
        return False

    @property
    def disturbs_network(self) -> bool:
        """Whether it makes faults of the way from clients to the daemon; a relay stands there then."""
        return False

    @property
    def needs_api(self) -> bool:
        """Whether it builds by the daemon's control API, without a client."""
        return False

    @property
    def needs_compose(self) -> bool:
        """Whether it builds by ``docker compose``."""
        return False

    @property
    def client_env(self) -> Mapping[str, str]:
        """What its clients have in their environment, beside ours."""
        return {}

    @property
    def needs_buildx(self) -> bool:
        """Whether no other client can do what it asks for."""
        return False

    def burdens(self, daemon: DaemonSpec) -> Iterator[ResourceDemand]:  # noqa: ARG002 — of those that press
        """Yield what it would take of this host beside a daemon of that kind, at most."""
        yield from ()

    @property
    @abstractmethod
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""

    def doubts(self, scenario: Scenario) -> Iterator[Violation]:
        """Yield what can be run, and yet will hardly ever, or never, have an effect."""
        stop = scenario.stop
        if self.when is None:
            return
        most = self.when.most(stop.iterations or inf, stop.time or inf)
        if most < 1:
            yield Violation(("when",), f"will hardly act: {most:.2g} times are to be expected before the run ends")

    async def prepare(self, folder: Path) -> None:
        """Set up below `folder` what it needs on disk, before the first build begins."""

    @abstractmethod
    async def perform(self, stage: ActorEnv) -> None:
        """Act until cancelled, or until this daemon gets no more iterations."""


class CouldNot(InfraError):
    """An act that cannot be done here and now: its record says why, and the run goes on."""


class NothingOfTheKind(CouldNot):
    """An act on what this kind of daemon does not have; that says nothing of the scenario's other acts."""


@dataclass
class Effect:
    """What an act came to; filled in while it goes on."""

    detail: str = ""
    effect: int | None = None
    """See `Action.effect`."""
    attempted: bool = True
    """See `Action.attempted`."""
    iteration: int | None = None
    """The build that it is done to, of an act that is done to one."""


class Disturbance(Actor):
    """An actor that acts without building; its trigger says when, and for how long."""

    lasts: ClassVar[bool] = False
    """Whether what it does is nothing unless it stays for a while."""

    when: When
    """When it acts; `lasting`: how long what it did stays, before it is healed."""

    @property
    def disturbs(self) -> bool:
        """Whether it deletes or disturbs what a daemon's owner would miss."""
        return True

    def faults(self, setting: Setting) -> Iterator[Violation]:
        """Yield what cannot work although every value is well-formed."""
        yield from super().faults(setting)
        if self.lasts and self.when.lasting is None:
            yield Violation(("when",), "needs `lasting`: how long until what it did is healed")

    async def perform(self, stage: ActorEnv) -> None:
        """Act at every moment of the trigger."""
        moments = self.when.moments(stage.dice(f"{self.name}/{stage.generation}"), stage.signals)
        async with aclosing(moments):
            async for moment in moments:
                await self._act_and_heal(stage, moment)

    async def _act_and_heal(self, stage: ActorEnv, moment: Firing) -> None:
        """Act once, heal it after its time or when the run ends, and record it."""
        started, acted, deed = stage.now(), None, Effect("the run ended before it was done", attempted=False)
        before = {number: (watch.progress.point, watch.progress.point_at) for number, watch in stage.inflight.items()}
        try:
            with stage.board.acting(self):
                async with self.act(stage, moment) as deed:
                    acted = stage.now()
                    at = anyio.current_time()
                    stage.signals.announce(Reached(self.name, moment.count, (), Acted.ACTED, at))
                    await anyio.sleep(self.when.lasting or 0.0)
        except (CouldNot, CgroupError) as error:
            attempted = not isinstance(error, NothingOfTheKind)
            acted, deed = None, Effect(" ".join(str(error).split()), attempted=attempted)
        finally:
            action = Action(
                actor=self.name,
                kind=self.key(),
                count=moment.count,
                due=moment.due - stage.began,
                started=started,
                acted=acted,
                ended=stage.now(),
                succeeded=acted is not None,
                detail=deed.detail,
                generation=stage.generation,
                effect=deed.effect,
                attempted=deed.attempted,
                moments=() if acted is None else _moments(moment, deed, before, acted + stage.began),
            )
            stage.board.record(action)

    @abstractmethod
    def act(self, stage: ActorEnv, moment: Firing) -> AbstractAsyncContextManager[Effect]:
        """Act once: done on entering, healed on leaving, also when that is by cancellation.

        Raises (on entering or leaving):
            CouldNot, CgroupError: it cannot be done here and now.
        """


def _moments(
    firing: Firing, deed: Effect, before: Mapping[int, tuple[str, float]], acted: float
) -> tuple[BuildMoment, ...]:
    """Return how far the build had come that an act followed or was done to; where it was none, all in flight.

    Args:
        firing: what called for the act.
        deed: what it was.
        before: by iteration, what each build in flight had come to, and when (monotonic).
        acted: when it took effect (monotonic).
    """
    if (reached := firing.build) is not None:
        point = reached.what.text if isinstance(reached.what, Step) else str(reached.what)
        return (BuildMoment(reached.iteration, point, acted - reached.at, followed=True),)
    if deed.iteration is not None and deed.iteration in before:
        point, at = before[deed.iteration]
        return (BuildMoment(deed.iteration, point, acted - at, followed=True),)
    latest = sorted(before.items())[-_MOST_MOMENTS:]
    return tuple(BuildMoment(number, point, acted - at, followed=False) for number, (point, at) in latest)
