"""An act that asks the daemon for something: how long it may take, and what is found where no answer comes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import ClassVar, Final, TypeVar

import anyio

from harness.actors.base import ActorEnv, CouldNot, Disturbance, Effect, NothingOfTheKind, Unanswered
from harness.actors.kill import KillRule
from harness.core.errors import InfraError
from harness.core.trace import environment_of
from harness.core.units import format_duration
from harness.daemons.base import Listable, Listing
from harness.host.proc import Command, Completed, running
from harness.scenario.triggers import Firing

T = TypeVar("T")
_LOOK_SECONDS: Final = 0.1
_FOR_EVER: Final = 10**9
"""Seconds; what bounds an act is attended time, by which a suspended host says nothing of its daemon."""


async def answered(stage: ActorEnv, actor: Disturbance, what: str, answer: Callable[[], Awaitable[T]]) -> T:
    """Return the daemon's answer; where none comes in attended time, have that found while the request still waits.

    Args:
        stage: the actor's.
        actor: whose act it is.
        what: what was asked for, to a person.
        answer: waits for it, and can be cancelled.

    Raises:
        CouldNot: none came.
        InfraError: what `answer` raises.
    """
    since, waited = stage.attention.attended, 0.0
    got: list[T] = []
    refused: list[InfraError] = []

    async def get(scope: anyio.CancelScope) -> None:
        with scope:
            try:
                got.append(await answer())
            except InfraError as error:  # as it is, not in a group
                refused.append(error)
        looking.cancel()

    looking, asking = anyio.CancelScope(), anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(get, asking)
        with looking:
            while (waited := stage.attention.attended - since) < stage.patience:
                await anyio.sleep(_LOOK_SECONDS)
        if not got and not refused and waited >= stage.patience:
            await stage.board.found(Unanswered(actor.name, what, waited))
            asking.cancel()
    if refused:
        raise refused[0]
    if not got:
        raise CouldNot(f"did not come back within {format_duration(round(waited, 1))}")
    return got[0]


class Request(Disturbance):
    """An act that is one run of the daemon's client."""

    @asynccontextmanager
    async def asked(
        self,
        stage: ActorEnv,
        moment: Firing,
        command: Command | None,
        effect: Callable[[str], int | None] = lambda _printed: None,
        cut_off: KillRule | None = None,
    ) -> AsyncIterator[Effect]:
        """Start a client, and wait until it is done: its last line is the act's detail.

        Args:
            stage: the actor's.
            moment: which act it is.
            command: the client; None where this daemon has nothing of the kind.
            effect: how much it changed, by what it printed.
            cut_off: which acts' clients are killed, and when.

        Raises:
            NothingOfTheKind, CouldNot: the daemon has nothing of the kind, said no, or did not answer.
        """
        if command is None:
            raise NothingOfTheKind("this daemon keeps nothing of the kind")
        dice = stage.dice(f"{self.name}/kill")
        kill_after = cut_off.delay(moment.count, dice.throw(moment.count)) if cut_off else None
        environment = {**command.env, **environment_of(self.name, moment.count)}
        async with running(replace(command, env=environment)) as client:
            done = Effect()
            yield done
            cut = False

            async def kill(rule: KillRule, after: float) -> None:
                nonlocal cut
                await anyio.sleep(after)
                cut = True
                await rule.send(client.child)

            async def ended() -> Completed:
                async with anyio.create_task_group() as tasks:
                    if cut_off and kill_after is not None:
                        tasks.start_soon(kill, cut_off, kill_after)
                    completed = await client.completed(_FOR_EVER, check=False)
                    tasks.cancel_scope.cancel()
                return completed

            completed = await answered(stage, self, self.key(), ended)
            if cut:
                done.detail = f"its client was killed after {format_duration(round(kill_after or 0.0, 3))}"
                return
            if completed.returncode:
                output = " ".join((completed.stdout + completed.stderr).split())[-200:]
                raise CouldNot(output or f"its client ended with status {completed.returncode}")
            done.detail = " ".join((completed.stdout.strip().splitlines() or [""])[-1].split())[-200:]
            done.effect = effect(completed.stdout)


class Listed(Request):
    """A list that the daemon's client asks for; it changes nothing."""

    lists: ClassVar[Listable]
    """What is listed."""

    @property
    def disturbs(self) -> bool:
        """Whether it deletes or disturbs what a daemon's owner would miss."""
        return False

    @asynccontextmanager
    async def act(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:
        """Ask, and wait for the list.

        Raises:
            CouldNot: the daemon has no such list, said no, or did not answer.
        """
        command = stage.daemon.listing(self.lists) if isinstance(stage.daemon, Listing) else None
        async with self.asked(stage, moment, command) as effect:
            yield effect
