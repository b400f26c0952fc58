"""SIGINT and SIGTERM: they cancel what is going on, and never what is being cleaned up."""

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
from anyio.abc import TaskStatus


class Interrupt:
    """Whether a signal came, and the scope that it cancels."""

    def __init__(self) -> None:
        self.came = False
        self._scope: anyio.CancelScope | None = None

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Have what is done inside cancelled by a signal, also by one that came before."""
        outer = self._scope
        with anyio.CancelScope() as scope:
            self._scope = scope
            if self.came:
                scope.cancel()
            try:
                yield
            finally:
                self._scope = outer
                if self.came and outer:
                    outer.cancel()

    def come(self) -> None:
        """Cancel what heeds it; a second signal changes nothing, for the end is already under way."""
        self.came = True
        if self._scope:
            self._scope.cancel()


@asynccontextmanager
async def interruptible() -> AsyncIterator[Interrupt]:
    """Take over SIGINT and SIGTERM until left."""
    interrupt = Interrupt()

    async def listen(*, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
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
