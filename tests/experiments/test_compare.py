"""`repro compare` through the real program, with the stub daemon; see tests/system/test_compare.py for real ones."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.cli.kinds import VOCABULARY
from harness.experiments.compare import Comparison, RunBudget
from harness.experiments.compare import compare as compare_sides
from harness.experiments.series import Side
from harness.scenario import load
from tests.benchmarks.worlds.pairs import verdicts
from tests.support.pretended_series import Pretended
from tests.support.stub_runs import interrupt, repro, write_scenario

pytestmark = pytest.mark.usefixtures("cache")

HANGS_AT_4 = ("--set-a", "daemon.config.4=hang")


def compare(scenario: Path, *words: str) -> tuple[int, str, list[dict[str, Any]], dict[str, Any]]:
    """Compare the stub with itself; return exit code, output, the lines of the looks, and `compare.json`."""
    ended = repro(
        *("compare", "stub", "stub", "--scenario", str(scenario), "--results", str(scenario.parent / "results")),
        *("--iterations", "8", "--seed", "5", *words),
    )
    return ended.returncode, ended.stdout + ended.stderr, *kept(scenario)


def kept(scenario: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return what a comparison left in its folder."""
    [folder] = (scenario.parent / "results" / "stubbed").glob("compare-*")
    looks = [json.loads(line) for line in (folder / "looks.jsonl").read_text().splitlines()]
    return looks, json.loads((folder / "compare.json").read_text())


def simulated(
    tmp_path: Path, side: Side, seed: int, a: float, b: float, lines: int = 1, of_b: str = "x", also: Sequence[str] = ()
) -> Comparison:
    """Return what a comparison of pretended daemons comes to."""
    series = Pretended(tmp_path, tmp_path, seed)
    series.pretend(seed, {"A": a, "B": b}, {"A": "x", "B": of_b}, nothing={"A": 0.01, "B": 0.01}, lines=lines)
    call = partial(compare_sides, factor=3.0, margin=None, report=lambda _: None, also=also)
    return anyio.run(call, series, side, replace(side, name="B"), RunBudget(200, 6, None))


@pytest.mark.parametrize("lines", [1, 8])
@pytest.mark.parametrize("rate", [0.3, 0.03, 0.003, 0.0])
def test_a_build_against_itself_through_all_steps(tmp_path: Path, rate: float, lines: int) -> None:
    """A whole comparison of a build with itself, tested halfway too, says different in at most 5 %, on any number of
    lines of builds.
    """
    side = Side("A", "stub", load(write_scenario(tmp_path), VOCABULARY))
    found = [simulated(tmp_path, side, seed, rate, rate, lines).verdict for seed in range(300)]
    assert found.count("different") <= 15


def test_sides_that_hang_under_other_names(tmp_path: Path) -> None:
    """All hangs count, and where no name is on both sides that is said, until the user says that two are one."""
    side = Side("A", "stub", load(write_scenario(tmp_path), VOCABULARY))
    assert simulated(tmp_path, side, 1, 0.3, 0.3).names == ""
    assert "A hangs as x, B as y, and all of these count" in simulated(tmp_path, side, 1, 0.3, 0.3, of_b="y").names
    assert simulated(tmp_path, side, 1, 0.3, 0.3, of_b="y", also=["y"]).names == ""


@pytest.mark.parametrize("pairs", [2, 4, 8])
def test_sides_that_are_the_same_are_rarely_different(pairs: int) -> None:
    """Two sides of daemons of which one in two hangs at once, the others never, are called different in at most 5 %."""
    assert verdicts(0.0, pairs, range(40))["different"] <= 2 + 3


def test_what_is_beyond_doubt_ends_it_halfway(tmp_path: Path) -> None:
    """A side that hangs at once, against one that does not, is different before all looks: after four, not three."""
    side = Side("A", "stub", load(write_scenario(tmp_path), VOCABULARY))
    found = simulated(tmp_path, side, 1, 0.2, 0.0)
    assert (found.verdict, found.contrast.worse) == ("different", "a")
    assert found.sides["A"].looks == found.sides["B"].looks == 4


def test_a_side_that_hangs_more_is_named(tmp_path: Path) -> None:
    """A side that hangs in each look, against one that never does, is different; the looks are in turn, on one plan."""
    code, output, looks, result = compare(write_scenario(tmp_path), "--looks", "4", *HANGS_AT_4)
    assert code == 1, output
    assert "DIFFERENT  A hangs more: 4 in 16 builds on A, 0 in 32 builds on B" in output
    assert [look["side"] for look in looks] == [*"ABBAABBA"]
    seeds: dict[int, set[int]] = {}
    for look in looks:
        seeds.setdefault(look["number"], set()).add(look["look"]["seed"])
    assert [len(of_pair) for of_pair in seeds.values()] == [1] * 4
    assert len(set.union(*seeds.values())) == 4
    assert (result["verdict"], result["contrast"]["worse"], result["exit_code"]) == ("different", "a", 1)
    assert result["sides"]["A"]["settings"] == ["daemon.config.4=hang"]
    assert result["sides"]["A"]["tail_seconds"]["p50"] is not None
    assert all((Path(look["look"]["folder"]) / "summary.json").exists() for look in looks)


def test_only_worse_is_for_ci(tmp_path: Path) -> None:
    """With --only-worse a B that hangs less is no failure; the machine lines are looks, and the comparison last."""
    code, output, _, _ = compare(write_scenario(tmp_path), "--looks", "4", *HANGS_AT_4, "--only-worse", "--json")
    lines = [json.loads(line) for line in output.splitlines()]
    assert code == 0, output
    assert [line["event"] for line in lines] == ["look"] * 8 + ["compared"]
    assert (lines[-1]["verdict"], lines[-1]["contrast"]["worse"]) == ("different", "a")


def test_a_daemon_against_itself(tmp_path: Path) -> None:
    """Without a hang on either side there is no difference larger than the rate that the builds exclude."""
    code, output, _, result = compare(write_scenario(tmp_path), "--looks", "2")
    assert code == 0, output
    assert "NO DIFFERENCE  no hang on either side, and no difference larger than 0.17 per build, at 95 %" in output
    assert result["contrast"]["p_rates"] == 1.0


def test_too_little_says_how_much_more(tmp_path: Path) -> None:
    """One hang in one look says nothing; how many iterations would is told."""
    code, output, _, result = compare(write_scenario(tmp_path), "--looks", "1", *HANGS_AT_4)
    assert code == 125, output
    assert "NOT ENOUGH  1 in 4 builds on A, 0 in 8 builds on B" in output
    assert f"about {result['more_iterations']} more iterations a side" in output


def test_a_silent_side_ends_it(tmp_path: Path) -> None:
    """A side whose builds never reach the daemon ends the comparison after two looks, with the reason."""
    code, output, looks, _ = compare(write_scenario(tmp_path), "--set-b", "daemon.config.default=refuse")
    assert code == 125, output
    assert "NOT ENOUGH  most looks at B said nothing: " in output
    assert len(looks) == 4


def test_a_side_that_cannot_be_tested(tmp_path: Path) -> None:
    """A side whose daemon refuses what the scenario asks ends the comparison after its first look; it is not worse."""
    code, output, looks, _ = compare(write_scenario(tmp_path), "--set-b", "daemon.config.default=unable")
    assert code == 125, output
    assert "NOT ENOUGH  most looks at B said nothing: this daemon cannot be tested so: " in output
    assert len(looks) == 2


def test_the_time_bounds_it(tmp_path: Path) -> None:
    """No pair begins after the time is over, and the one that is under way is finished."""
    code, output, looks, _ = compare(write_scenario(tmp_path), "--time", "100ms")
    assert code == 0, output
    assert [look["side"] for look in looks] == ["A", "B"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stub"], "A alone, with no setting of its own, is nothing to compare"),
        (["stub", "stub", "--factor", "1"], "--factor: 1 is not above 1"),
        (["stub", "stub", "--margin", "2"], "--margin: '2' is no rate"),
        (["stub", "stub", "--time", "soon"], "--time: 'soon' is no duration"),
        (["stub", "stub", "--set-b", "daemon.knd=stub"], "unknown key"),
        (["stub", "path:/nowhere/at/all", "--set-b", "daemon.kind=buildkitd"], "/nowhere/at/all"),
    ],
)
def test_what_cannot_be_compared(tmp_path: Path, words: list[str], said: str) -> None:
    """What is asked for in vain is said in one sentence, before a look at either side."""
    scenario = write_scenario(tmp_path)
    ended = repro("compare", *words, "--scenario", str(scenario), "--results", str(tmp_path / "results"))
    assert ended.returncode == 129, ended.stderr
    assert said in ended.stderr
    assert not [*(tmp_path / "results").glob("*/*/run.json")]


def test_a_scenario_with_daemons_of_its_own(tmp_path: Path) -> None:
    """A scenario that names several daemons is refused: each side is one."""
    scenario = write_scenario(tmp_path, daemons={"x": {"kind": "stub"}, "y": {"kind": "stub"}})
    scenario.write_text(scenario.read_text().replace("daemon:\n  config: {}\n  kind: stub\n", ""))
    ended = repro("compare", "stub", "stub", "--scenario", str(scenario))
    assert ended.returncode == 129
    assert "the scenario has daemons of its own (x, y)" in ended.stderr


def test_an_interrupted_comparison_is_told(tmp_path: Path) -> None:
    """Ctrl-C is answered at once; it ends with 130, and what the looks so far say is told and kept."""
    scenario = write_scenario(tmp_path, clients={"default": "0.3"})
    words = ("--scenario", str(scenario), "--results", str(tmp_path / "results"), "--iterations", "8")
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "compare", "stub", "stub", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for _ in range(300):
        if len([*(tmp_path / "results").glob("*/*/run.db")]) >= 2:
            break
        time.sleep(0.1)
    code, output = interrupt(process, signal.SIGINT)
    assert code == 130, output
    before, answered, after = output.partition("interrupted: ending what runs; what came back is kept")
    assert answered, before
    assert "NOT ENOUGH  interrupted; so far: " in after
    _, result = kept(scenario)
    assert result["exit_code"] == 130


@pytest.mark.parametrize("which", ["path:/no/such/folder", "nonsense:1"])
def test_a_wrong_side_leaves_nothing(tmp_path: Path, which: str) -> None:
    """A side that cannot be obtained is a sentence, and no folder of a comparison that never was."""
    scenario = write_scenario(tmp_path, daemon={"kind": "buildkitd"})
    words = ("compare", which, "path:/neither", "--scenario", str(scenario), "--results", str(tmp_path / "results"))
    ended = repro(*words)
    assert ended.returncode == 129, ended.stderr
    assert not [*(tmp_path / "results").glob("*/*")]
