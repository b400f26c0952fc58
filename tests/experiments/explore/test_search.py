"""A search among mixes, on daemons that are made up: it comes to a good mix, and says of it what is so."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from harness.core.errors import Interrupted, ScenarioError
from harness.core.outcome import Ending
from harness.experiments.explore.search import Bounds, Exploration, Explored
from harness.experiments.fleet.errors import Refused
from harness.experiments.short_run import HostFails, ShortRun
from harness.scenario.vary import Mix, Varied

OPEN = (
    Varied(("delay",), ("50ms", "5s")),
    Varied(("export",), ("load", "image", "oci")),
    Varied(("parallel",), (1, 8)),
    Varied(("idle",), (1, 100)),
)
LONG = 1200.0
NEVER = 2**31


class World:
    """A daemon that hangs at the next build with a chance that the mix decides: best near 200 ms, with images, many."""

    def __init__(self, seed: int = 1, *, hangs: bool = True, ends_after: int | None = None) -> None:
        self.chance = np.random.default_rng(seed)
        self.now, self.runs, self.hangs, self.ends_after = 0.0, 0, hangs, ends_after
        self.most: list[int] = []

    def rate(self, mix: Mapping[str, Any]) -> float:
        """Return the chance a build."""
        near = {"ms": 0.001, "s": 1.0}
        text = str(mix["delay"])
        unit = "ms" if text.endswith("ms") else "s"
        apart = np.log10(float(text.removesuffix(unit)) * near[unit] / 0.2)
        good = float(np.exp(-4 * apart**2)) * (1.0 if mix["export"] == "image" else 0.05)
        return 0.3 * good * int(mix["parallel"]) / 8 * self.hangs

    async def take(self, mix: Mix, bounds: Bounds, seed: int) -> ShortRun:
        """Run one: a build takes a second, and a hang is seen after five."""
        if self.runs == self.ends_after:
            raise Interrupted
        self.runs += 1
        most = min(int(bounds.seconds), bounds.builds or NEVER)
        self.most.append(most)
        rate = self.rate({str(path[0]): value for path, value in mix.items()})
        builds = int(self.chance.geometric(rate)) if rate > 1e-9 else most + 1
        hung = builds <= most
        took = builds + 5.0 if hung else float(most)
        self.now += took + 2.0
        return ShortRun(
            toolchain="x",
            seed=seed,
            said="hang" if hung else "clean",
            iterations=builds,
            signature="one" if hung else "",
            seconds=took,
            ending=Ending.FINDINGS if hung else Ending.TIME,
            because="",
            folder="",
            daemon="x",
            builds=min(builds, most),
        )


def exploration(folder: Path, world: World, seed: int = 1, seconds: float = LONG) -> Exploration:
    """Return a search."""
    return Exploration(
        folder / "runs.jsonl",
        OPEN,
        seconds,
        seed,
        lambda: 1,
        world.take,
        lambda look: look.said == "hang",
        clock=lambda: world.now,
    )


def explored(folder: Path, world: World, seed: int = 1) -> Explored:
    """Search for twenty minutes of a made-up clock."""
    return anyio.run(exploration(folder, world, seed).run)


def test_it_comes_to_a_good_mix(tmp_path: Path) -> None:
    """The mix that is chosen mostly hangs at least half as often as the best; what does nothing matters less."""
    best = World().rate({"delay": "200ms", "export": "image", "parallel": 8})
    good = 0
    for seed in range(2):
        (tmp_path / str(seed)).mkdir()
        found = explored(tmp_path / str(seed), World(seed), seed)
        good += World().rate(found.mix) >= best / 2
        assert found.ranking["idle"] < max(found.ranking.values())
    assert good >= 1


def test_its_rate_is_of_fresh_runs(tmp_path: Path) -> None:
    """The rate counts runs that nothing was chosen by, ten where there is time."""
    world = World(3)
    search = exploration(tmp_path, world)
    found = anyio.run(search.run)
    fresh = [each for each in search.tried if each.phase == "measure"]
    assert 8 <= found.runs == len(fresh) <= 10
    assert found.rate
    assert found.rate.trials == sum(each.look.builds for each in fresh)
    assert {str(each.point) for each in fresh} == {str(fresh[0].point)}
    assert world.now < LONG * 1.1


def test_it_goes_on(tmp_path: Path) -> None:
    """One that is interrupted keeps each run, and goes on with what time is left."""
    first = World(2, ends_after=20)
    with pytest.raises(Interrupted):
        explored(tmp_path, first)
    second = World(2)
    search = exploration(tmp_path, second)
    assert len(search.tried) == 20
    assert search.spent == search.tried[-1].seconds == first.now
    found = anyio.run(search.run)
    assert found.mix
    assert second.now < LONG * 1.1 - first.now
    assert [each.number for each in search.tried] == [*range(1, len(search.tried) + 1)]


def test_runs_get_shorter(tmp_path: Path) -> None:
    """Once a few mixes hung, a run ends at a few times as many builds as those took, however long that is."""
    world = World(3)
    search = exploration(tmp_path, world)
    anyio.run(search.run)
    searched = [each for each in search.tried if each.phase == "search"]
    soonest = sorted(each.look.builds for each in searched if each.hung)[2]
    assert world.most[0] == LONG / 30
    assert world.most[len(searched) - 1] <= max(4 * soonest, 20)


def test_nothing_hangs(tmp_path: Path) -> None:
    """Where no mix hangs none is named, and all of the time is searched."""
    found = explored(tmp_path, World(hangs=False))
    assert found.seconds >= LONG
    assert (found.mix, found.runs, found.rate, found.ranking) == ({}, 0, None, {})


def test_a_broken_host_and_mixes_that_are_none(tmp_path: Path) -> None:
    """A host that breaks each run ends it; mixes that are none, here or there, are passed over, unless all are."""

    class Broken(World):
        async def take(self, mix: Mix, bounds: Bounds, seed: int) -> ShortRun:
            if mix[("export",)] == "load":
                raise Refused("one", "its prune never fires in the time of a run")
            if mix[("export",)] != "oci":
                raise ScenarioError(tmp_path, [])
            look = await super().take(mix, bounds, seed)
            return ShortRun(**{**look.__dict__, "ending": Ending.INFRA, "because": "no disk"})

    with pytest.raises(HostFails, match="no disk"):
        explored(tmp_path, Broken())
