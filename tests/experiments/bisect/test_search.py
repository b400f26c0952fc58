"""A search from its list of candidates to its answer, on daemons that are pretended: only the hang is drawn by lot."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.cli.kinds import VOCABULARY
from harness.core.errors import Interrupted
from harness.core.outcome import Ending
from harness.experiments.bisect.candidates import CannotBeHad, EndsCannotBeHad
from harness.experiments.bisect.candidates.base import chain
from harness.experiments.bisect.search import (
    BadEndIsClean,
    BisectSearch,
    HostBreaks,
    ScenarioDoesNotRun,
    SearchAnswer,
    UnknownHang,
)
from harness.experiments.bisect.state import (
    BisectRequest,
    ListedCandidate,
    NoSuchHang,
    Observation,
    State,
    restore,
    save,
)
from harness.experiments.runner import LocalRunner
from harness.experiments.short_run import ShortRun
from harness.scenario import Scenario, load
from tests.support.stub_runs import write_scenario

pytestmark = pytest.mark.anyio


class Pretended:
    """A line of candidates of which some hang, at a rate; also the looks at them, and who is told."""

    def __init__(self, count: int, rates: Mapping[int, float], broken: Sequence[int] = ()) -> None:
        self.candidates = chain([f"c{number}" for number in range(count)])
        self.note = ""
        self.rates, self.broken = rates, broken
        self.random = random.Random(7)
        self.had: list[int] = []
        self.looked: list[tuple[int, int, int]] = []
        self.told: list[str] = []
        self.says: dict[int, list[dict[str, Any]]] = {}
        """What looks at a candidate say instead, one after the other."""
        self.interrupt_after = 10_000

    def seconds(self, index: int) -> float:
        """Return that it takes a minute to have a candidate, once."""
        return 0.0 if index in self.had else 60.0

    async def toolchain(self, index: int) -> str:
        """Return the candidate's number as its spec."""
        if index in self.broken:
            raise CannotBeHad(f"c{index}", "it does not build")
        self.had.append(index)
        return str(index)

    async def take(self, _: Scenario, toolchain: str, iterations: int, seed: int) -> ShortRun:
        """Look for so many trials, or until it hangs."""
        if len(self.looked) == self.interrupt_after:
            raise Interrupted
        candidate = int(toolchain)
        self.looked.append((candidate, iterations, seed))
        n = iterations
        seen = ShortRun(toolchain, seed, "clean", n, "", 0.5 * n, Ending.ITERATIONS, "", "", "", n)
        rate = self.rates.get(candidate, 0.0)
        hung = next((trial for trial in range(1, iterations + 1) if self.random.random() < rate), None)
        if self.says.get(candidate):
            return replace(seen, iterations=0, builds=0, said="nothing", **self.says[candidate].pop(0))
        if hung is not None:
            return replace(seen, said="hang", iterations=hung, builds=hung, signature="loop", ending=Ending.FINDINGS)
        return seen

    def began(self, state: State) -> None:
        """Is told nothing."""

    def preparing(self, what: str) -> None:
        """Is told nothing."""

    def calibrated(self, state: State) -> None:
        """Is told of the rate."""
        self.told.append(f"calibrated {state.signature}")

    def saw(self, state: State, observation: Observation) -> None:  # noqa: ARG002 — all of it is in the observation
        """Is told of a look."""
        self.told.append(f"{observation.purpose} {observation.candidate} {observation.look.said}")

    def skipped(self, state: State, candidate: int) -> None:  # noqa: ARG002 — its number is enough
        """Is told of a candidate that cannot be tried."""
        self.told.append(f"skipped {candidate}")


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    """A scenario of at most 60 builds."""
    return load(write_scenario(tmp_path, stop={"iterations": 60}), VOCABULARY, [])


def begun(folder: Path, line: Pretended, **asked: Any) -> State:
    """Save and return the state of a search that is to begin."""
    wanted = BisectRequest(argv=(), scenarios=("one",), range="pretended", began=0.0, seed=1, **asked)
    known = tuple(ListedCandidate(name=each.name, title=each.title, parents=each.parents) for each in line.candidates)
    state = State(asked=wanted, candidates=known)
    save(state, folder)
    return state


async def searched(
    folder: Path, scenario: Scenario, line: Pretended, **asked: Any
) -> tuple[SearchAnswer, BisectSearch]:
    """Search from the start to the answer."""
    search = BisectSearch(folder, begun(folder, line, **asked), line, {"one": scenario}, line, line.take)
    return await search.run(), search


def bad(*candidates: int, rate: float = 0.2) -> dict[int, float]:
    """Return the rates of candidates that hang."""
    return dict.fromkeys(candidates, rate)


async def test_who_brought_it(tmp_path: Path, scenario: Scenario) -> None:
    """The first candidate that hangs is found, and most of the others are never had."""
    line = Pretended(40, bad(*range(23, 40)))
    answer, search = await searched(tmp_path, scenario, line)
    assert (answer.kind, answer.group.members) == ("found", (23,))
    assert answer.group.mass >= 0.95
    assert len({*line.had}) < 15
    assert line.told.count("calibrate 39 hang") == 2, "the look that chose the scenario is the first of three"
    assert restore(tmp_path) == search.state


class FourPlaces(LocalRunner):
    """Makes four looks at once."""

    slots = 4


class Stray(Pretended):
    """A line of which one good candidate hangs in its first look, and never again."""

    stray = 0

    async def take(self, _: Scenario, toolchain: str, iterations: int, seed: int) -> ShortRun:
        """Look for so many trials, or until it hangs."""
        seen = await super().take(_, toolchain, iterations, seed)
        if self.stray or not int(toolchain) or int(toolchain) in self.rates:
            return seen
        self.stray = int(toolchain)
        return replace(seen, said="hang", iterations=1, builds=1, signature="loop", ending=Ending.FINDINGS)


async def test_who_is_blamed_has_hung_twice(tmp_path: Path, scenario: Scenario) -> None:
    """A single hang of a good candidate blames nobody: it is looked at again, and the search goes on."""
    line = Stray(20, bad(*range(12, 20), rate=0.5))
    answer, search = await searched(tmp_path, scenario, line)
    assert (answer.kind, answer.group.members) == ("found", (12,))
    assert [seen.counts for seen in search.state.of(line.stray)][:2] == [True, False]
    assert sum(seen.counts for seen in search.state.of(12)) >= 2


async def test_many_places_are_used_at_once(tmp_path: Path, scenario: Scenario) -> None:
    """With four places it comes to the same candidate, by up to four looks at once, each with its own seed."""
    line = Pretended(200, bad(*range(123, 200)))
    at_once: list[int] = []
    running: list[str] = []

    async def take(_: Scenario, toolchain: str, iterations: int, seed: int) -> ShortRun:
        running.append(toolchain)
        at_once.append(len(running))
        await anyio.sleep(0.001)
        seen = await line.take(_, toolchain, iterations, seed)
        running.remove(toolchain)
        return seen

    search = BisectSearch(tmp_path, begun(tmp_path, line), line, {"one": scenario}, line, take, FourPlaces())
    answer = await search.run()
    assert (answer.kind, answer.group.members) == ("found", (123,))
    assert max(at_once) == 4
    assert len({seed for _, _, seed in line.looked}) == len(line.looked)


async def test_who_took_it_away(tmp_path: Path, scenario: Scenario) -> None:
    """The first candidate that hangs no more is found; the bad end is the older one."""
    answer, _ = await searched(tmp_path, scenario, Pretended(40, bad(*range(12))), find="fixed")
    assert (answer.kind, answer.group.members) == ("found", (12,))


async def test_what_cannot_be_built_may_be_it(tmp_path: Path, scenario: Scenario) -> None:
    """Candidates that do not build are skipped, each told once, and stay in the answer if nothing tells them apart."""
    line = Pretended(20, bad(*range(11, 20)), broken=(10, 11))
    answer, search = await searched(tmp_path, scenario, line)
    assert (answer.kind, answer.group.members) == ("narrowed", (10, 11, 12))
    assert sorted(search.state.skipped) == [10, 11]
    assert len([line for line in line.told if line.startswith("skipped")]) == 2


async def test_seeds_differ_and_are_given(tmp_path: Path, scenario: Scenario) -> None:
    """Each look has a seed of its own, and the same search makes the same looks again."""
    looked = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        line = Pretended(20, bad(*range(5, 20)))
        await searched(tmp_path / name, scenario, line)
        looked.append([(seed, candidate) for candidate, _, seed in line.looked][:4])
    assert looked[0] == looked[1]
    assert len({seed for seed, _ in looked[0]}) == 4


async def test_a_search_goes_on_where_it_stood(tmp_path: Path, scenario: Scenario) -> None:
    """One that is interrupted, at any look, and gone on with makes each look once, and comes to an answer."""
    line = Pretended(30, bad(*range(17, 30)))
    state = begun(tmp_path, line)
    for looks in range(1, 100):
        line.interrupt_after = looks
        search = BisectSearch(tmp_path, restore(tmp_path), line, {"one": scenario}, line, line.take)
        try:
            answer = await search.run()
            break
        except Interrupted:
            state = restore(tmp_path)
            assert len(state.observations) == looks
    assert answer.group.members == (17,)
    assert [seen.look.seed for seen in restore(tmp_path).observations] == [seed for *_, seed in line.looked]


async def test_the_wrong_way_round(tmp_path: Path, scenario: Scenario) -> None:
    """A bad end that is quiet for as long as the scenario lasts is told, and so is a good end that hangs instead."""
    line = Pretended(20, bad(*range(8)))
    with pytest.raises(BadEndIsClean, match="does not hang in 60 builds; c0 hangs, so the ends are the wrong way"):
        await searched(tmp_path, scenario, line)
    assert {*line.had} == {0, 19}


async def test_both_ends_are_quiet(tmp_path: Path, scenario: Scenario) -> None:
    """Where neither end hangs nothing is searched, and the user is told to find a scenario first."""
    with pytest.raises(BadEndIsClean, match="nor does c0: find a scenario that hangs first"):
        await searched(tmp_path, scenario, Pretended(20, {}))


async def test_both_ends_hang(tmp_path: Path, scenario: Scenario) -> None:
    """A good end that hangs is the answer, after hardly more than the ends was looked at."""
    line = Pretended(20, bad(*range(20)))
    answer, _ = await searched(tmp_path, scenario, line)
    assert (answer.kind, answer.group.members) == ("good end hangs", (0,))
    assert {*line.had} <= {0, 1, 19}


async def test_an_end_that_does_not_build(tmp_path: Path, scenario: Scenario) -> None:
    """It is told before anything is looked at."""
    line = Pretended(20, bad(*range(8, 20)), broken=(19,))
    with pytest.raises(EndsCannotBeHad, match="c19 cannot be obtained: it does not build"):
        await searched(tmp_path, scenario, line)
    assert line.looked == []


async def test_another_hang_is_not_that_one(tmp_path: Path, scenario: Scenario) -> None:
    """A candidate that hangs under another name speaks not for or against itself, unless that hang is to count."""
    for asked, kind, members in (
        ({}, "another name", (8, 9)),
        ({"any_hang": True}, "found", (8,)),
        ({"also": ("other",)}, "found", (8,)),
        ({"apart": ("other",)}, "narrowed", (8, 9)),
    ):
        folder = tmp_path / str(len([*tmp_path.iterdir()]))
        folder.mkdir()
        line = Pretended(20, bad(*range(9, 20)))
        search = BisectSearch(folder, begun(folder, line, **asked), line, {"one": scenario}, line, other_at(line, 8))
        answer = await search.run()
        assert (answer.kind, answer.group.members) == (kind, members)
        others = [(other.name, {*other.candidates}) for other in search.state.other_hangs]
        assert others == ([] if "any_hang" in asked or "also" in asked else [("other", {8})])


async def test_what_the_user_says_of_a_name_holds_for_what_was_seen(tmp_path: Path, scenario: Scenario) -> None:
    """A search that asked goes on with the answer: the looks that were left out count, and none is made again."""
    line = Pretended(20, bad(*range(9, 20)))
    search = BisectSearch(tmp_path, begun(tmp_path, line), line, {"one": scenario}, line, other_at(line, 8))
    assert (await search.run()).kind == "another name"
    with pytest.raises(NoSuchHang, match="under the name 'loop'; those of other hangs are other"):
        search.state.taking(["loop"], [])
    for also, apart, kind, members in ((["other"], [], "found", (8,)), ([], ["other"], "narrowed", (8, 9))):
        looked = len(line.looked)
        state = search.state.taking(also, apart)
        again = BisectSearch(tmp_path, state, line, {"one": scenario}, line, other_at(line, 8))
        answer = await again.run()
        assert (answer.kind, answer.group.members) == (kind, members)
        assert len(line.looked) - looked <= 3
    assert search.state.taking(["other"], []).taking([], ["other"]).asked.also == ()


async def test_a_hang_that_is_nothing_like_it_is_not_asked_about(tmp_path: Path, scenario: Scenario) -> None:
    """A good candidate that hangs in other functions leaves the answer; one that hangs in much the same does not."""
    walk = ("solver/boltdb.(*Store).Load", "solver.(*exporter).ExportTo", "solver.(*Job).Build", "control.Solve")
    renamed = ("solver/boltdb.(*Store).Load", "solver.(*exporter).Export", "solver.(*Job).Build", "control.Solve")
    for frames, kind in ((renamed, "another name"), (("grpc.Dial", "session.Run"), "found")):
        folder = tmp_path / kind
        folder.mkdir()
        line = Pretended(20, bad(*range(9, 20)))
        other = with_frames(other_at(line, 4), {"loop": walk, "other": frames})
        state = begun(folder, line)
        search = BisectSearch(folder, state, line, {"one": scenario}, line, other)
        await search._have(4)
        await search._observe(4, "one", scenario, 3, "search")
        answer = await search.run()
        assert (answer.kind, answer.group.members) == (kind, (9,))


async def test_a_hang_that_nobody_could_name_is_looked_at_again(tmp_path: Path, scenario: Scenario) -> None:
    """Half of the hangs show no signature, as on a loaded host: the culprit is found, for they come again."""
    line = Pretended(20, bad(*range(9, 20)))
    lot = random.Random(3)

    async def take(scenario: Scenario, toolchain: str, iterations: int, seed: int) -> ShortRun:
        seen = await line.take(scenario, toolchain, iterations, seed)
        return replace(seen, signature="") if seen.said == "hang" and lot.random() < 0.5 else seen

    search = BisectSearch(tmp_path, begun(tmp_path, line), line, {"one": scenario}, line, take)
    answer = await search.run()
    assert (answer.kind, answer.group.members) == ("found", (9,))
    assert "" in [other.name for other in search.state.other_hangs]


def with_frames(take: Any, frames: Mapping[str, tuple[str, ...]]) -> Any:
    """Look as `take` does, and show the functions of a hang by its name."""

    async def look(*asked: Any) -> ShortRun:
        seen: ShortRun = await take(*asked)
        return replace(seen, frames=frames.get(seen.signature, ()))

    return look


async def test_a_good_end_that_hangs_under_another_name(tmp_path: Path, scenario: Scenario) -> None:
    """It is no good end until somebody says that it is another hang: that is asked, and not taken for clean."""
    line = Pretended(20, bad(*range(9, 20)))
    search = BisectSearch(tmp_path, begun(tmp_path, line), line, {"one": scenario}, line, other_at(line, 0))
    with pytest.raises(EndsCannotBeHad, match="it hangs as other; if it is the same, say --also other"):
        await search.run()


async def test_a_hang_that_is_renamed_within_the_range(tmp_path: Path, scenario: Scenario) -> None:
    """Where the bad ones of the first half hang under another name, that is asked; told so, the culprit is found."""
    line = Pretended(20, bad(*range(5, 20)))
    search = BisectSearch(tmp_path, begun(tmp_path, line), line, {"one": scenario}, line, _renamed_before(line, 12))
    answer = await search.run()
    assert answer.kind == "another name"
    search = BisectSearch(
        tmp_path, search.state.taking(["other"], []), line, {"one": scenario}, line, _renamed_before(line, 12)
    )
    answer = await search.run()
    assert (answer.kind, answer.group.members) == ("found", (5,))


def _renamed_before(line: Pretended, candidate: int) -> Any:
    """Look as `line` does, but that hangs of candidates before one have another name."""

    async def take(scenario: Scenario, toolchain: str, iterations: int, seed: int) -> ShortRun:
        seen = await line.take(scenario, toolchain, iterations, seed)
        return replace(seen, signature="other") if seen.said == "hang" and int(toolchain) < candidate else seen

    return take


def other_at(line: Pretended, candidate: int) -> Any:
    """Look as `line` does, but that looks at one candidate end with another hang after three builds."""

    async def take(scenario: Scenario, toolchain: str, iterations: int, seed: int) -> ShortRun:
        line.says = {}
        seen = await line.take(scenario, toolchain, iterations, seed)
        if int(toolchain) == candidate:
            return replace(seen, said="hang", signature="other", iterations=3, builds=3, ending=Ending.FINDINGS)
        return seen

    return take


async def test_a_hang_without_a_signature(tmp_path: Path, scenario: Scenario) -> None:
    """A bad end whose hangs nobody can name is told, with the runs; one such hang is borne, and does not count."""
    for times in (1, 3):
        folder = tmp_path / str(times)
        folder.mkdir()
        line = Pretended(20, bad(*range(9, 20)))
        unsigned = iter([True] * times)

        async def take(scenario: Scenario, toolchain: str, iterations: int, seed: int) -> ShortRun:
            seen = await line.take(scenario, toolchain, iterations, seed)  # noqa: B023 — awaited within its turn
            return replace(seen, signature="", folder="run") if next(unsigned, False) else seen  # noqa: B023

        search = BisectSearch(folder, begun(folder, line), line, {"one": scenario}, line, take)
        if times == 1:
            assert (await search.run()).group.members == (9,)
            assert [seen.counts for seen in search.state.of(19)] == [False, True, True, True]
        else:
            with pytest.raises(UnknownHang, match=r"gives no signature .*run, run, run"):
                await search.run()


async def test_a_daemon_that_does_not_start(tmp_path: Path, scenario: Scenario) -> None:
    """A candidate whose daemon dies twice before a build is skipped; one whose look failed is looked at again."""
    line = Pretended(20, bad(*range(9, 20)))
    died = {"ending": Ending.DAEMON_DIED, "because": "the daemon is gone"}
    line.says = {number: [dict(died) for _ in range(3)] for number in range(7, 12)}
    line.says[8] = [{"ending": Ending.INFRA, "because": "no disk"}]
    answer, search = await searched(tmp_path, scenario, line)
    assert 9 in answer.group.members
    assert {*search.state.skipped} <= {7, 9, 10, 11}
    assert search.state.skipped


async def test_a_daemon_that_cannot_do_what_is_asked(tmp_path: Path, scenario: Scenario) -> None:
    """A candidate that the scenario cannot be put to is skipped at its first look, and is neither bad nor good."""
    line = Pretended(20, bad(*range(9, 20)))
    line.says = {8: [{"ending": Ending.UNABLE, "because": "it cannot export a cache"}]}
    answer, search = await searched(tmp_path, scenario, line)
    assert 9 in answer.group.members
    assert search.state.skipped.get(8, "it cannot export a cache") == "it cannot export a cache"
    assert [candidate for candidate, *_ in line.looked].count(8) <= 1


async def test_a_bad_end_that_cannot_do_what_is_asked(tmp_path: Path, scenario: Scenario) -> None:
    """One look is enough to say so."""
    line = Pretended(20, bad(*range(9, 20)))
    line.says = {19: [{"ending": Ending.UNABLE, "because": "it cannot export a cache"}]}
    with pytest.raises(ScenarioDoesNotRun, match="it cannot export a cache"):
        await searched(tmp_path, scenario, line)
    assert len(line.looked) == 1


async def test_a_host_that_breaks(tmp_path: Path, scenario: Scenario) -> None:
    """Looks that come to nothing because of the host end the search, and say nothing of the candidate."""
    line = Pretended(20, bad(*range(9, 20)))
    line.says = {0: [{"ending": Ending.INFRA, "because": "no disk"}] * 3}
    with pytest.raises(HostBreaks, match="because of this host: no disk"):
        await searched(tmp_path, scenario, line)
    assert not restore(tmp_path).skipped


async def test_a_scenario_that_does_not_run(tmp_path: Path, scenario: Scenario) -> None:
    """Looks at the bad end that say nothing are told with their reason."""
    line = Pretended(20, bad(*range(9, 20)))
    line.says = {19: [{"ending": Ending.FAILING, "because": "no build succeeded"}] * 3}
    with pytest.raises(ScenarioDoesNotRun, match="no build succeeded"):
        await searched(tmp_path, scenario, line)


async def test_time_is_up(tmp_path: Path, scenario: Scenario) -> None:
    """A search with no time left tells what it believes so far."""
    answer, _ = await searched(tmp_path, scenario, Pretended(40, bad(*range(23, 40))), seconds=0.0)
    assert answer.kind == "not yet"


async def test_the_scenario_that_hangs_soonest(tmp_path: Path, scenario: Scenario) -> None:
    """Of several scenarios the one that hangs soonest on the bad end is searched with, and the others only there."""
    line = Pretended(20, bad(*range(9, 20), rate=0.5))
    slow = scenario.model_copy(update={"name": "slow"})

    async def take(given: Scenario, toolchain: str, iterations: int, seed: int) -> ShortRun:
        seen = await line.take(given, toolchain, iterations, seed)
        return replace(seen, seconds=seen.seconds + 100) if given.name == "slow" else seen

    state = begun(tmp_path, line)
    asked = state.asked.model_copy(update={"scenarios": ("slow", "one")})
    state = state.model_copy(update={"asked": asked})
    search = BisectSearch(tmp_path, state, line, {"slow": slow, "one": scenario}, line, take)
    answer = await search.run()
    assert answer.group.members == (9,)
    assert search.state.scenario == "one"
    assert {seen.candidate for seen in search.state.observations if seen.scenario == "slow"} == {19}


async def test_no_look_is_shorter_than_the_bad_end_took(tmp_path: Path, scenario: Scenario) -> None:
    """What brings a hang on may need some time to come about: a short look is silent on a bad candidate too."""
    line = Pretended(20, bad(*range(9, 20), rate=0.05))
    answer, search = await searched(tmp_path, scenario, line)
    took = [seen.look.iterations for seen in search.state.of(19) if seen.counts]
    assert answer.group.members == (9,)
    assert all(iterations >= max(took[:3]) for candidate, iterations, _ in line.looked if candidate != 19)
