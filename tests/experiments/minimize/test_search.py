"""Whole searches on made-up daemons: that what a hang needs stays, what it does not need goes, and nothing is lost."""

from pathlib import Path

import anyio
import pytest

from harness.experiments.earlier import AskedElse, NoSuchSearch
from harness.experiments.minimize.attempts import Attempts, begin, resume
from harness.experiments.minimize.case import Case, kind_of, name_of
from harness.experiments.minimize.search import Minimized, MinimizeSearch, NeverHangs, SearchLimits
from tests.experiments.minimize.worlds import World, mix

NEEDED = {"'all': True": 0.0, "parallel': ": 0.3, "COPY busybox": 0.0, "ARG N": 0.2}
"""A prune of everything, several lines, a shared step, an argument; without some of them it comes less often."""
ALWAYS = dict.fromkeys(NEEDED, 0.0)
"""The same, without chance."""


def searched(folder: Path, world: World, *, seconds: float = 1e6, orders: bool = False) -> tuple[Minimized, Attempts]:
    """Return what a search comes to in a world."""
    attempts = Attempts(folder, 1, world.take)
    search = MinimizeSearch(attempts, SearchLimits(seconds), valid=lambda case: orders or not is_order(case))
    return anyio.run(search.run, mix()), attempts


def is_order(case: Case) -> bool:
    """Whether a case is one of builds in order."""
    return any(name_of(actor) == "second" for actor in case.actors)


@pytest.mark.parametrize(("rate", "seeds"), [(1.0, 3), (0.6, 1)])
def test_what_is_needed_stays_and_the_rest_goes(tmp_path: Path, rate: float, seeds: int) -> None:
    """What the hang needs is nearly always there in the end, and what it does not need nearly never."""
    lost = left = 0
    for seed in range(seeds):
        world = World(seed, rate, NEEDED)
        folder = tmp_path / str(seed)
        folder.mkdir()
        found, _ = searched(folder, world)
        text = f"{found.case.scenario} {found.case.contexts['ci'].dockerfile}"
        lost += sum(word not in text for word in NEEDED)
        left += sum(word in text for word in ("kill", "more", "echo a", "export", "interval': {"))
        assert found.whole
    assert lost <= seeds // 2, "of four a seed"
    assert left <= seeds // 2, "of five a seed"


def test_an_order_that_comes_every_time_is_taken(tmp_path: Path) -> None:
    """Two builds, one kill and one prune take the place of a mix, where the hang comes every time in that order."""
    parts = (
        "'kill': 'end', 'signal'",
        "'prune'",
        "'build': 'first'",
        "'build': 'second'",
        "COPY busybox",
        "ARG N",
    )
    world = World(1, 1.0, dict.fromkeys(parts, 0.1), mixed=0.3)
    found, _ = searched(tmp_path, world, orders=True)
    assert "second killed, then" in found.in_order
    assert sorted(kind_of(actor) for actor in found.case.actors) == ["build", "build", "kill", "prune"]
    assert len(found.case.contexts["ci"].read.instructions) <= 6


def test_an_order_that_has_not_failed_is_taken_when_its_time_is_over(tmp_path: Path) -> None:
    """An order that has hung each of five times is not given up because there was no time for seven."""
    found, _ = searched(tmp_path, World(1, 1.0), seconds=12.0, orders=True)
    assert found.in_order
    assert found.tally.hangs == found.tally.trials


def test_a_case_that_never_hangs(tmp_path: Path) -> None:
    """It is told in one sentence, after a bounded number of attempts, all of which are kept."""
    world = World(1, 0.0)
    with pytest.raises(NeverHangs, match=r"mix showed no hang in 20 attempts .* nothing to minimize"):
        searched(tmp_path, world)
    assert len((tmp_path / "attempts.jsonl").read_text().splitlines()) == 20


def test_a_case_that_hangs_in_another_way(tmp_path: Path) -> None:
    """Hangs of another signature than the one that is looked for are none, and what was looked for is said."""
    search = MinimizeSearch(Attempts(tmp_path, 1, World(1, 1.0).take, "y"), SearchLimits(1000.0))
    with pytest.raises(NeverHangs, match=r"mix showed no hang known as y in 20 attempts"):
        anyio.run(search.run, mix())


def test_the_time_is_kept(tmp_path: Path) -> None:
    """A search whose time is over gives what it has, and says that it is not all."""
    found, attempts = searched(tmp_path, World(1, 1.0, NEEDED), seconds=40.0)
    assert attempts.seconds <= 41
    assert not found.whole


def test_going_on_attempts_nothing_again(tmp_path: Path) -> None:
    """A search that was ended comes, gone on with, to what it would have come to, with no attempt made twice."""
    path = begin(tmp_path, "mix", {"a": 1}, 1)
    whole, attempts = searched(path, World(3, 1.0, ALWAYS))
    lines = (path / "attempts.jsonl").read_text().splitlines(keepends=True)
    (path / "attempts.jsonl").write_text("".join(lines[:30]) + lines[30][:20])  # cut short by a crash
    same, seed, known = resume(tmp_path, "mix", "last", {"a": 1})
    assert (same, seed, len(known)) == (path, 1, 30)
    world = World(4, 1.0, ALWAYS)
    again = Attempts(path, seed, world.take, known=known)
    search = MinimizeSearch(again, SearchLimits(1e6), valid=lambda case: not is_order(case))
    found = anyio.run(search.run, mix())
    assert found.case.key == whole.case.key
    assert len(world.asked) == len(attempts.done) - 30


def test_going_on_with_nothing(tmp_path: Path) -> None:
    """There has to be one, and it has to have been asked the same."""
    with pytest.raises(NoSuchSearch, match="no minimization 'last' to go on with"):
        resume(tmp_path, "mix", "last", {})
    begin(tmp_path, "mix", {"--daemon": "x"}, 1)
    with pytest.raises(AskedElse, match="--daemon"):
        resume(tmp_path, "mix", "last", {"--daemon": "y"})
