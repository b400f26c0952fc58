"""Looks that a series has made before their turn, where its runner has places for several at once."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.cli.kinds import VOCABULARY
from harness.core.errors import InfraError
from harness.core.outcome import Ending
from harness.experiments.runner import LocalRunner
from harness.experiments.series import Question, Series, Side
from harness.experiments.short_run import ShortRun
from harness.run.observer import NullObserver
from harness.scenario import load
from tests.support.stub_runs import write_scenario

pytestmark = pytest.mark.usefixtures("cache")


class Host:
    """Where looks are made: the first is over only once it is let go, and one can fail."""

    def __init__(self, failing: int = 0) -> None:
        self.failing, self.now, self.most, self.begun, self.over = failing, 0, 0, 0, list[int]()
        self.first_may_end = anyio.Event()

    async def look(self, *_: object, seed: int, iterations: int, **__: object) -> ShortRun:
        """Make one; see `short_run.look`."""
        self.begun += 1
        number = self.begun
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await (self.first_may_end.wait() if number == 1 else anyio.sleep(0.01))
        finally:
            self.now -= 1
        self.over.append(number)
        if number == self.failing:
            raise InfraError("no disk")
        return ShortRun("x", seed, "clean", iterations, "", 1.0, Ending.ITERATIONS, "", "", "", iterations)


@pytest.fixture
def side(tmp_path: Path) -> Side:
    """What is looked at."""
    return Side("A", "stub", load(write_scenario(tmp_path), VOCABULARY))


@pytest.fixture
def series(side: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Series:
    """A series whose runner makes three at once."""
    monkeypatch.setattr(LocalRunner, "slots", 3)
    return Series.begin(Question("verify", (side, side), {}, seed=3), tmp_path, (), NullObserver())


def within(series: Series, host: Host, monkeypatch: pytest.MonkeyPatch, body: Callable[[], Awaitable[Any]]) -> Any:
    """Have looks be made on a host, while a series works."""
    monkeypatch.setattr("harness.experiments.series.look", host.look)

    async def work() -> Any:
        async with series.working():
            return await body()

    return anyio.run(work)


async def first_look(series: Series, side: Side, host: Host, ahead: int, over: int) -> None:
    """Ask for the first look, which may end only once so many of those ahead of it are over; none counts before it."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(series.look, side, 5, ahead))
        while len(host.over) < over:
            await anyio.sleep(0.01)
        assert series.looks == []
        host.first_may_end.set()


def test_they_count_as_they_were_asked_for(series: Series, side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two later looks are over before the first: it counts first all the same, and nothing is made twice."""
    host = Host()

    async def ask() -> list[int]:
        await first_look(series, side, host, ahead=2, over=2)
        for _ in range(2):
            await series.look(side, 5)
        return [seen.number for seen in series.looks]

    assert within(series, host, monkeypatch, ask) == [1, 2, 3]
    assert host.over[-1] == 1 or host.over.index(1) >= 2
    assert host.begun == 3
    assert len((series.path / "looks.jsonl").read_text().splitlines()) == 3


def test_no_more_are_made_than_there_are_places(series: Series, side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine are likely to be asked for, and three are made at a time; those that nobody asks for end with the series."""
    host = Host()

    async def ask() -> int:
        await first_look(series, side, host, ahead=8, over=4)
        return len(series.looks)

    assert within(series, host, monkeypatch, ask) == 1
    assert host.most == 3
    assert host.now == 0


def test_one_that_failed_is_missed_by_who_asks_for_it(
    series: Series, side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look ahead that could not be made ends nothing until it is its turn, and says why then."""
    host = Host(failing=2)

    async def ask() -> None:
        await first_look(series, side, host, ahead=2, over=2)
        assert [seen.number for seen in series.looks] == [1]
        with pytest.raises(InfraError, match="no disk"):
            await series.look(side, 5)

    within(series, host, monkeypatch, ask)


def test_what_was_made_ahead_is_not_made_again(
    series: Series, side: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A series that ends while the first look goes on has kept the later ones, each by its number and seed."""
    host = Host()

    async def cut() -> None:
        with anyio.move_on_after(0.5):
            await series.look(side, 5, ahead=2)

    within(series, host, monkeypatch, cut)
    question = Question("verify", (side, side), {})
    again = Series.resume("last", question, tmp_path, (), NullObserver())
    assert sorted(seen.number for seen in again.known) == [2, 3]
    seeds = {seen.number: seen.look.seed for seen in again.known}
    host.first_may_end.set()

    async def ask() -> list[tuple[int, bool]]:
        for ahead in (2, 1, 0):
            await again.look(side, 5, ahead)
        return [(seen.number, seen.known) for seen in again.looks]

    assert within(again, host, monkeypatch, ask) == [(1, False), (2, True), (3, True)]
    assert {seen.number: seen.look.seed for seen in again.looks if seen.known} == seeds
    assert host.begun == 4
