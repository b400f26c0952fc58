"""An answer that many share is made once for all of them, and again only when something has changed."""

import time

import anyio
import anyio.lowlevel
import pytest

from harness.web import cached_answer
from harness.web.cached_answer import CachedAnswer, CacheSource


class Counting:
    """Something that changes, and counts how often it is looked at and made anew."""

    def __init__(self, seconds: float = 0.0, *, over: bool = False) -> None:
        self.version = self.looks = self.makes = 0
        self._seconds = seconds
        self.source = CacheSource(self._traces, self._make, lambda: over)

    def _traces(self) -> int:
        self.looks += 1
        return self.version

    def _make(self) -> int:
        self.makes += 1
        time.sleep(self._seconds)
        return self.version


def test_many_at_once_share() -> None:
    """A hundred at once wait for one making; a hundred who come soon after do not even have it looked at again."""
    counting, shared = Counting(0.02), CachedAnswer[int]()

    async def ask() -> None:
        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                for _ in range(100):
                    tasks.start_soon(shared.get, counting.source)

    anyio.run(ask)
    assert (counting.makes, counting.looks) == (1, 1)


def test_made_by_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has not changed is not made again; what has, is, once its pause is over."""
    monkeypatch.setattr(cached_answer, "_LOOK", 0.0)
    monkeypatch.setattr(cached_answer, "_SHARE", 0)
    counting, shared = Counting(), CachedAnswer[int]()

    async def ask() -> list[int]:
        told = [await shared.get(counting.source) for _ in range(3)]
        counting.version = 1
        return [*told, await shared.get(counting.source)]

    assert anyio.run(ask) == [0, 0, 0, 1]
    assert (counting.makes, counting.looks) == (2, 4)


@pytest.mark.parametrize(("over", "told"), [(False, 0), (True, 1)])
def test_a_pause_but_not_at_the_end(monkeypatch: pytest.MonkeyPatch, *, over: bool, told: int) -> None:
    """What goes on is made again only after a pause; what is over at once."""
    monkeypatch.setattr(cached_answer, "_LOOK", 0.0)
    monkeypatch.setattr(cached_answer, "_SHARE", 100_000)
    counting, shared = Counting(0.001, over=over), CachedAnswer[int]()

    async def ask() -> int:
        await shared.get(counting.source)
        counting.version = 1
        return await shared.get(counting.source)

    assert anyio.run(ask) == told


def test_who_asks_meanwhile_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is made anew, others get what there was."""
    monkeypatch.setattr(cached_answer, "_LOOK", 0.0)
    monkeypatch.setattr(cached_answer, "_SHARE", 0)
    counting, shared = Counting(0.1), CachedAnswer[int]()

    async def ask() -> tuple[int, int]:
        await shared.get(counting.source)
        counting.version = 1
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(shared.get, counting.source)
            while counting.makes < 2:
                await anyio.lowlevel.checkpoint()
            meanwhile = await shared.get(counting.source)
        return meanwhile, await shared.get(counting.source)

    assert anyio.run(ask) == (0, 1)
