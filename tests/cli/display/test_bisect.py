"""What a search shows: a line for each look, with what is believed and what is left; to a machine, the same."""

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from harness.cli.display.bisect import JsonSearch, PlainSearch
from harness.cli.kinds import VOCABULARY
from harness.experiments.bisect.belief import CulpritGroup
from harness.experiments.bisect.search import BisectSearch, SearchAnswer
from harness.experiments.bisect.state import Had, State
from harness.experiments.short_run import ShortRun
from harness.scenario import Scenario, load
from tests.experiments.bisect.test_search import Pretended, bad, begun, other_at
from tests.support.eventually import until
from tests.support.stub_runs import write_scenario

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a look's wall time be five seconds more than what its builds took."""
    ticks: Iterator[int] = count()
    monkeypatch.setattr("harness.experiments.bisect.search.monotonic", lambda: 5.0 * next(ticks))


class Slow(Pretended):
    """Looks that take no longer than their daemon's start, so that a search is a few looks long."""

    async def take(self, scenario: Scenario, toolchain: str, iterations: int, seed: int) -> ShortRun:
        """Look, in no time."""
        return replace(await super().take(scenario, toolchain, iterations, seed), seconds=0.1)


async def shown(tmp_path: Path, screen: PlainSearch | JsonSearch) -> State:
    """Search twenty candidates of which the twelfth brought the hang, and show it all."""
    line = Slow(20, bad(*range(12, 20), rate=0.5), broken=[9])
    state = begun(tmp_path, line)
    scenario = load(write_scenario(tmp_path, stop={"iterations": 60}), VOCABULARY, [])
    search = BisectSearch(tmp_path, state, line, {"one": scenario}, screen, line.take)
    screen.answered(search.state, await search.run(), tmp_path)
    return search.state


async def test_lines_for_a_person(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each look says what it saw, who is the likeliest, and how long the search will take still; then the answer."""
    await shown(tmp_path, PlainSearch())
    lines = capsys.readouterr().out.splitlines()
    looks = [line for line in lines if re.match(r" +\d+s  c\d+  (clean|hang)", line) or " left, the likeliest" in line]
    searching = [line for line in looks if " left, the likeliest" in line]
    assert len(searching) >= 3
    assert all(re.search(r"; [\dms]+ to [\dms]+ more$", line) for line in searching[:-1])
    assert not searching[-1].endswith("more"), "nothing is left at the end"
    sure = [line for line in searching[:-1] if float(re.findall(r"\((0\.\d+|1\.00)", line)[0]) >= 0.96]
    assert sure
    assert all(
        re.search(r"\(\S+, (0\.\d+ if good ones hang now and then|if its hang comes again)\)", line) for line in sure
    )
    assert any(line.startswith("FOUND  c12 brought the hang; chance 9") for line in lines)
    assert re.fullmatch(r"\d+ looks, \d+ builds, [\dms]+, of which [\dms]+ building \d+ candidates", lines[-2])
    assert lines[-1] == str(tmp_path)


async def test_several_hosts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where hosts look at once, what passed by the clock is told, and apart from it what all of them spent."""
    screen = PlainSearch()
    state = await shown(tmp_path, screen)
    spent = sum(each.wall for each in state.observations) + sum(each.seconds for each in state.had.values())
    assert state.seconds == pytest.approx(spent)
    assert state.took >= spent
    one = Had(spec="any", seconds=100.0)
    screen.known(state.model_copy(update={"had": {0: one, 1: one, 2: one}, "elapsed": 100.0}))
    assert "1m40s (5m50s of all hosts), of which 5m building" in capsys.readouterr().out


async def test_lines_for_a_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each look is an event with the chance of each candidate, and what is left; the answer is the last one."""
    await shown(tmp_path, JsonSearch())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    looks = [line for line in lines if line["event"] == "look" and line["purpose"] == "search"]
    left = [line["left_seconds"] for line in looks]
    assert all(0 < one["low80"] <= one["high80"] for one in left[:-1])
    assert left[-1] == {"low80": 0.0, "high80": 0.0}
    assert all(0 <= chance <= 1 for line in looks for chance in line["posterior"])
    assert (lines[-1]["event"], lines[-1]["kind"], lines[-1]["candidates"]) == ("answer", "found", ["c12"])


async def test_hangs_under_another_name_are_asked_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The answer names the candidates whose hangs were left out, and how to count them."""
    line = Slow(20, bad(*range(12, 20), rate=0.5))
    scenario = load(write_scenario(tmp_path, stop={"iterations": 60}), VOCABULARY, [])
    screen = PlainSearch()
    search = BisectSearch(tmp_path, begun(tmp_path, line), line, {"one": scenario}, screen, other_at(line, 11))
    answer = await search.run()
    screen.answered(search.state, answer, tmp_path)
    output = capsys.readouterr().out
    assert "UNDER ANOTHER NAME  c11 or c12 (what lies between cannot be tried) brought the hang as loop" in output
    assert "; left out, with 1 hang as other: c11; `repro bisect resume --also other` if it is the same hang" in output
    assert re.search(r"c11 +0\.\d+ +0, 1 as other ", output)


def test_a_long_build_goes_on_being_told(capsys: pytest.CaptureFixture[str]) -> None:
    """What takes long is told again, until something else is said."""
    screen, said = PlainSearch(silent_for=0.01), [""]

    def told(line: str) -> bool:
        said[0] += capsys.readouterr().out
        return line in said[0]

    screen.preparing("getting both ends")
    until(lambda: told("still getting both ends, for 0s\nstill"))
    before = threading.active_count()
    screen.interrupted(Path("results"))
    until(lambda: threading.active_count() < before)
    assert told("`repro bisect resume results` goes on\n")
    assert said[0].startswith("getting both ends\n")


def test_a_failure_is_called_one_and_one_of_several_is_not_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is asked and answered names what is hunted, and candidates that cannot be told apart are counted."""
    screen = PlainSearch()
    state = begun(tmp_path, Slow(20, bad(0)), hunts=("failure",), find="fixed")
    screen.began(state)
    screen.answered(state, SearchAnswer("narrowed", CulpritGroup((3, 4), 0.97)), tmp_path)
    output = capsys.readouterr().out
    assert "which one took the failure away?" in output
    assert "ONE OF 2  c3 or c4 (what lies between cannot be tried) took the failure away; chance 97.0%" in output
    assert re.search(r"one failure in [\d.,]+ builds without it", output)
