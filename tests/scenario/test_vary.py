"""Values that a scenario leaves open: found wherever they stand, explained, refused of a run, and settled by a mix."""

from pathlib import Path

import pytest

from harness.actors.build import Build
from harness.cli.kinds import VOCABULARY
from harness.core.errors import ScenarioError
from harness.scenario import load
from harness.scenario.load import left_open_in
from harness.scenario.vary import Varied, first_of_each
from tests.support.stub_runs import repro, write_scenario

OPEN = (
    "actors.ci.parallel={vary: [1, 8]}",
    "actors.ci.export={vary: [load, image, oci]}",
    "actors.ci.kill={every: 2, after: {uniform: [0s, {vary: [50ms, 5s]}]}}",
)


@pytest.mark.parametrize(
    ("values", "kind", "in_the_middle"),
    [
        (("50ms", "5s"), "duration", "500ms"),
        (("1MiB", "64MiB"), "size", "8MiB"),
        ((1, 9), "integer", 3),
        ((0.1, 0.4), "number", 0.25),
        (("load", "image"), "choice", None),
        ((True, False), "choice", None),
        ((1, 2, 4), "choice", None),
        (("5s", "50ms", "1s"), "choice", None),
    ],
)
def test_kinds(values: tuple[object, ...], kind: str, in_the_middle: object) -> None:
    """Two durations, sizes or numbers are a range, by factors where it is wide; all else are choices."""
    each = Varied(("x",), values)
    assert each.kind == kind
    if kind != "choice":
        low, high = each.ends
        assert each.at((low * high) ** 0.5 if each.by_factors else (low + high) / 2) == in_the_middle
    else:
        assert [each.at(index) for index in range(len(values))] == [*values]


def test_a_mix_settles_them(tmp_path: Path) -> None:
    """With a value for each, also in the midst of a list, it is the scenario that says so; without, it is refused."""
    file = write_scenario(tmp_path)
    left_open = left_open_in(file, OPEN)
    assert [each.path[2:] for each in left_open] == [("parallel",), ("export",), ("kill", "after", "uniform", 1)]
    with pytest.raises(ScenarioError) as refused:
        load(file, VOCABULARY, OPEN)
    assert len(refused.value.problems) == 3
    assert "`repro explore` searches for it, or say --set actors.0.parallel=1" in str(refused.value)
    [build] = load(file, VOCABULARY, OPEN, first_of_each(left_open)).actors
    assert isinstance(build, Build)
    assert (build.parallel, build.export) == (1, "load")
    assert build.kill
    assert build.kill.after.least == 0


def test_what_cannot_be_varied(tmp_path: Path) -> None:
    """One value is no choice, and a range needs two ends: each is told with its place."""
    with pytest.raises(ScenarioError) as refused:
        left_open_in(write_scenario(tmp_path), ("actors.ci.parallel={vary: [2]}", "stop.time={vary: [5s, 5s]}"))
    assert [problem.path for problem in refused.value.problems] == ["actors.0.parallel", "stop.time"]


def test_the_commands_explain(tmp_path: Path) -> None:
    """`repro check` lists what is open."""
    file = str(write_scenario(tmp_path))
    told = repro("check", file, *(word for each in OPEN for word in ("--set", each)))
    assert told.returncode == 0
    assert "actors.0.kill.after.uniform.1: 50ms to 5s" in told.stdout
