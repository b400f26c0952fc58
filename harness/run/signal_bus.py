"""What happens on one daemon, told to the triggers that listen for it: the `Signals` of its actors' stage."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import ObjectReceiveStream
from anyio.streams.memory import MemoryObjectSendStream

from harness.buildkit.progress import News, Step
from harness.client.watched_build import Watch
from harness.core.outcome import Phase
from harness.scenario.triggers.base import Reached


class SignalBus:
    """Passes on what builds reach and what actors have done, without ever waiting for a listener.

    Args:
        began: monotonic time of the run's start.
        since: monotonic time up to which the moments of triggers have come on the daemon before.
    """

    def __init__(self, began: float, since: float) -> None:
        self.began, self.since = began, since
        self._listeners: list[tuple[Callable[[Reached], bool], MemoryObjectSendStream[Reached]]] = []

    @asynccontextmanager
    async def listening(self, wanted: Callable[[Reached], bool]) -> AsyncIterator[ObjectReceiveStream[Reached]]:
        """Listen to what is wanted; a listener that is busy when it comes misses it."""
        send, receive = anyio.create_memory_object_stream[Reached](0)
        listener = (wanted, send)
        self._listeners.append(listener)
        try:
            with send, receive:
                yield receive
        finally:
            self._listeners.remove(listener)

    def announce(self, reached: Reached) -> None:
        """Tell every listener that wants it."""
        for wanted, send in self._listeners:
            if wanted(reached):
                with suppress(anyio.WouldBlock):
                    send.send_nowait(reached)

    def progressed(self, watch: Watch, news: News) -> None:
        """Announce the phases and the states of steps that a build has reached."""
        reached_now: tuple[Phase | Step, ...] = (*news.steps, *news.phases)
        for what in reached_now:
            at = watch.progress.reached[what] if isinstance(what, Phase) else watch.progress.moved
            self.announce(Reached(watch.actor, watch.iteration, watch.request.images, what, at))
