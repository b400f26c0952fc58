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
_SHARE_OF_TURNS: Final = 5
"""The same, where nobody should wait."""
_LONGEST: Final = 30.0
"""Seconds; somebody who looks on wants to see it move."""


@dataclass(frozen=True)
class CacheSource(Generic[T]):
    """What an answer is made of."""

    traces: Callable[[], tuple[object, object]]
    """Returns what differs when anything has changed, and what of it differs only when nobody should wait; cheap."""
    make: Callable[[], T]
    """Returns the answer."""


class CachedAnswer(Generic[T]):
    """One answer, renewed in a thread; requests meanwhile get the last one."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._value: T | None = None
        self._seen: tuple[object, object] = (None, None)
        self._look_at = self._made_at = self._took = 0.0

    async def get(self, source: CacheSource[T]) -> T:
        """Return the answer as of a moment ago: a shorter one where something has come that nobody should wait for."""
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
        share = _SHARE if seen[1] == self._seen[1] else _SHARE_OF_TURNS
        if value is None or (seen != self._seen and began >= self._made_at + min(_LONGEST, share * self._took)):
            value, self._seen = source.make(), seen
            self._made_at = time.monotonic()
            self._took = self._made_at - began
        self._look_at = time.monotonic() + max(_LOOK, _SHARE * (began - asked)) if _LOOK else 0.0
        return value
