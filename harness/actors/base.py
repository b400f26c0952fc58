"""What every actor does, and the stage on which it does it."""

import contextlib
from abc import abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import anyio

from harness.actors.watch import Watch
from harness.attention import Attention
from harness.daemons.base import Daemon
from harness.dice import Dice
from harness.records import Action, Iteration
from harness.scenario import ActorSpec
from harness.triggers import Moment, Signals, When


class Board(Protocol):
    """Where actors take their work from and report it to."""

    async def next_iteration(self) -> int | None:
        """Return the next iteration's number, once the daemon is up; None if it gets no more."""
        ...

    def watching(self, watch: Watch) -> AbstractContextManager[None]:
        """Have a running build looked at by every detector, and its phases signalled."""
        ...

    def outage(self, why: str) -> AbstractContextManager[None]:
        """Have no build begin while the daemon is down on purpose; those in flight are cut off by it, not failed."""
        ...

    def record(self, record: Iteration | Action) -> None:
        """Take the record of what was done."""
        ...

    async def found(self, watch: Watch) -> None:
        """Take a finding, and capture its evidence while the client still waits."""
        ...


@dataclass(frozen=True)
class Stage:
    """One run, as its actors see it."""

    daemon: Daemon
    generation: int
    """Which daemon of the run it is, from 1."""
    folder: Path
    """What actors have staged on disk."""
    seed: int
    began: float
    """Monotonic time of the run's start; records count from it."""
    attention: Attention
    signals: Signals
    board: Board

    def dice(self, actor: str) -> Dice:
        """Return the chance of one actor."""
        return Dice(self.seed, actor)

    def now(self) -> float:
        """Return seconds since the run began."""
        return anyio.current_time() - self.began


class Actor(ActorSpec):
    """One line of activity: it acts, and is done acting, before it acts again."""

    disturbs: ClassVar[bool] = False
    """Whether it deletes or disturbs what a daemon's owner would miss."""

    async def prepare(self, folder: Path) -> None:
        """Set up below `folder` what it needs on disk, before the first build begins."""

    @abstractmethod
    async def perform(self, stage: Stage) -> None:
        """Act until cancelled, or until this daemon gets no more iterations."""


class Disturbance(Actor):
    """An actor whose acts are no builds; its trigger says when."""

    when: When
    """When it acts."""

    async def perform(self, stage: Stage) -> None:
        """Act at every moment of the trigger, and record each act."""
        kind = type(self).__name__.lower()
        moments = self.when.moments(stage.dice(f"{self.name}/{stage.generation}"), stage.signals)
        async with contextlib.aclosing(moments):
            async for moment in moments:
                started = stage.now()
                succeeded, detail = await self.act(stage, moment)
                due = moment.due - stage.began
                stage.board.record(
                    Action(self.name, kind, moment.count, due, started, stage.now(), succeeded, detail),
                )

    @abstractmethod
    async def act(self, stage: Stage, moment: Moment) -> tuple[bool, str]:
        """Act once, and heal it; return whether it could, and what is worth noting."""
