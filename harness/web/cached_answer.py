"""An answer that many share: made anew when what it is made of has changed, and never without pause."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from anyio import Lock
from anyio.to_thread import run_sync

T = TypeVar("T")

_LOOK: Final = 0.5
"""Seconds for which nobody looks whether something has changed."""
_SHARE: Final = 50
"""It is made again after so many times as long as that took: a fiftieth of one core, however many ask."""
_LONGEST: Final = 30.0
"""Seconds; somebody who looks on wants to see it move."""


@dataclass(frozen=True)
class CacheSource(Generic[T]):
    """What an answer is made of."""

    traces: Callable[[], object]
    """Returns what differs when something has changed; cheap."""
    make: Callable[[], T]
    """Returns the answer."""
    is_over: Callable[[], bool] = lambda: False
    """Whether nothing more is to come, so that what has changed is told at once."""


class CachedAnswer(Generic[T]):
    """One answer, renewed in a thread; requests meanwhile get the last one."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._value: T | None = None
        self._seen: object = None
        self._look_at = self._make_at = 0.0

    async def get(self, source: CacheSource[T]) -> T:
        """Return the answer: as it is now where nothing more is to come, else as of a moment ago."""
        if self._value is not None and (time.monotonic() < self._look_at or self._lock.locked()):
            return self._value
        async with self._lock:
            if self._value is None or time.monotonic() >= self._look_at:
                self._value = await run_sync(self._looked, source)
            return self._value

    def _looked(self, source: CacheSource[T]) -> T:
        asked = time.monotonic()
        seen, began = source.traces(), time.monotonic()
        value = self._value
        if value is None or (seen != self._seen and (began >= self._make_at or source.is_over())):
            value, self._seen = source.make(), seen
            took = time.monotonic() - began
            self._make_at = time.monotonic() + min(_LONGEST, _SHARE * took)
        self._look_at = time.monotonic() + max(_LOOK, _SHARE * (began - asked)) if _LOOK else 0.0
        return value
