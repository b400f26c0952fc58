"""An answer that many share is made once for all of them, and again only when something has changed."""

from threading import Event

import anyio
import anyio.lowlevel
import pytest

from harness.web import cached_answer
from harness.web.cached_answer import CachedAnswer, CacheSource


class Counting:
    """Something that changes, and counts how often it is looked at and made anew."""

    def __init__(self, *, urgent: bool = False) -> None:
        self.version = self.looks = self.makes = 0
        self._urgent = urgent
        self.may_end = Event()
        """Until it is set, a making goes on."""
        self.may_end.set()
        self.source = CacheSource(self._traces, self._make)

    def _traces(self) -> tuple[int, int]:
        self.looks += 1
        return self.version, self.version if self._urgent else 0

    def _make(self) -> int:
        self.makes += 1
        self.may_end.wait()
        return self.version


def test_many_at_once_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred at once wait for one making; a hundred who come soon after do not even have it looked at again."""
    monkeypatch.setattr(cached_answer, "_LOOK", 1000.0)  # soon, however slow the host
    counting, shared = Counting(), CachedAnswer[int]()

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


@pytest.mark.parametrize(("urgent", "told"), [(False, 0), (True, 1)])
def test_a_pause_but_not_for_turns(monkeypatch: pytest.MonkeyPatch, *, urgent: bool, told: int) -> None:
    """What has gone on is made again only after a pause; what nobody should wait for soon."""
    monkeypatch.setattr(cached_answer, "_LOOK", 0.0)
    monkeypatch.setattr(cached_answer, "_SHARE", 1e12)  # a thousand seconds for a nanosecond
    monkeypatch.setattr(cached_answer, "_SHARE_OF_TURNS", 0)
    counting, shared = Counting(urgent=urgent), CachedAnswer[int]()

    async def ask() -> int:
        await shared.get(counting.source)
        counting.version = 1
        return await shared.get(counting.source)

    assert anyio.run(ask) == told


def test_who_asks_meanwhile_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is made anew, others get what there was."""
    monkeypatch.setattr(cached_answer, "_LOOK", 0.0)
    monkeypatch.setattr(cached_answer, "_SHARE", 0)
    counting, shared = Counting(), CachedAnswer[int]()

    async def ask() -> tuple[int, int]:
        await shared.get(counting.source)
        counting.version = 1
        counting.may_end.clear()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(shared.get, counting.source)
            while counting.makes < 2:
                await anyio.lowlevel.checkpoint()
            try:
                with anyio.fail_after(60):
                    meanwhile = await shared.get(counting.source)
            finally:
                counting.may_end.set()
        return meanwhile, await shared.get(counting.source)

    assert anyio.run(ask) == (0, 1)
