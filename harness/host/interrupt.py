"""SIGINT, SIGTERM and SIGHUP: they cancel what is going on, and never what is being cleaned up."""

import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import anyio
from anyio.abc import TaskStatus

_ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def unheard(times: int) -> None:
    """Tell nobody that a signal came."""


class Interrupt:
    """Whether a signal came, and the scopes that it cancels."""

    def __init__(self, notify: Callable[[int], None] = unheard) -> None:
        self.came = False
        self._times, self._notify = 0, notify
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
        self._notify(self._times)
        for scope in self._scopes:
            scope.cancel()


@asynccontextmanager
async def interruptible(notify: Callable[[int], None] = unheard) -> AsyncIterator[Interrupt]:
    """Take over SIGINT, SIGTERM and SIGHUP until left; `told` hears of each, and which one it is, from 1.

    SIGHUP, which comes as an ssh connection drops, is left ignored where `nohup` has it ignored: the run is to go on.
    """
    interrupt = Interrupt(notify)
    before = {number: signal.getsignal(number) for number in _ENDS}

    async def listen(*, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(*_ending_signals()) as signals:
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
    finally:
        for number, handler in before.items():  # asyncio leaves the system's own behind, which end us with 143 or 129
            signal.signal(number, handler)


def heed_signals() -> None:
    """Make SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does, where no other handler is in place.

    They are passed on as a SIGINT, for asyncio makes of that one an end in order.
    """
    for number in _ending_signals():
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else _as_ctrl_c)


def _as_ctrl_c(_: int, __: object) -> None:
    signal.raise_signal(signal.SIGINT)


def _ending_signals() -> list[signal.Signals]:
    return [number for number in _ENDS if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN]


def first_of(group: BaseExceptionGroup[Any]) -> BaseException:
    """Return the first exception in a group that is none itself."""
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
