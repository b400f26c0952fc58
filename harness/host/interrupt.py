"""SIGINT, SIGTERM and SIGHUP: they cancel what is going on, and never what is being cleaned up."""

import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
from anyio.abc import TaskStatus


def unheard(times: int) -> None:
    """Tell nobody that a signal came."""


class Interrupt:
    """Whether a signal came, and the scopes that it cancels."""

    def __init__(self, told: Callable[[int], None] = unheard) -> None:
        self.came = False
        self._times, self._told = 0, told
        self._scopes: list[anyio.CancelScope] = []

    @contextmanager
    def cancellable(self) -> Iterator[None]:
        """Have what is done inside cancelled by a signal, also by one that came before."""
        with anyio.CancelScope() as scope:
            self._scopes.append(scope)
            if self.came:
                scope.cancel()
            try:
                yield
            finally:
                self._scopes.remove(scope)

    def come(self) -> None:
        """Cancel what heeds it. A second signal cancels nothing more, for the end is under way; who hears of it may."""
        self.came = True
        self._times += 1
        self._told(self._times)
        for scope in self._scopes:
            scope.cancel()


@asynccontextmanager
async def interruptible(told: Callable[[int], None] = unheard) -> AsyncIterator[Interrupt]:
    """Take over SIGINT, SIGTERM and SIGHUP until left; `told` hears of each, and which one it is, from 1.

    SIGHUP, which comes as an ssh connection drops, is left ignored where `nohup` has it ignored: the run is to go on.
    """
    interrupt = Interrupt(told)

    async def listen(*, task_status: TaskStatus[None]) -> None:
        ends = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            ends.append(signal.SIGHUP)
        with anyio.open_signal_receiver(*ends) as signals:
            task_status.started()
            async for _ in signals:
                interrupt.come()

    try:
        async with anyio.create_task_group() as tasks:
            await tasks.start(listen)
            yield interrupt
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise first_of(group) from None


def first_of(group: BaseExceptionGroup[Any]) -> BaseException:
    """Return the first exception in a group that is none itself."""
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
