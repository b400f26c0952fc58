"""SIGINT, SIGTERM and SIGHUP: they cancel what is going on, and never what is being cleaned up."""

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
from anyio.abc import TaskStatus


class Interrupt:
    """Whether a signal came, and the scopes that it cancels."""

    def __init__(self) -> None:
        self.came = False
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
        """Cancel what heeds it; a second signal changes nothing, for the end is already under way."""
        self.came = True
        for scope in self._scopes:
            scope.cancel()


@asynccontextmanager
async def interruptible() -> AsyncIterator[Interrupt]:
    """Take over SIGINT, SIGTERM and SIGHUP until left.

    SIGHUP, which comes as an ssh connection drops, is left ignored where `nohup` has it ignored: the run is to go on.
    """
    interrupt = Interrupt()

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
