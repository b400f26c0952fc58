"""Looks in turn, kept as they are made: one that was ended goes on, and never as what it is not."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.cli.kinds import VOCABULARY
from harness.core.errors import Interrupted, StoreError
from harness.experiments.earlier import AskedElse, NoSuchSearch
from harness.experiments.runner import LocalRunner
from harness.experiments.series import Question, SeenRun, Series, Side
from harness.experiments.verify import Verification, VerifyOptions, verify
from harness.run.observer import NullObserver
from harness.scenario import Scenario, load
from harness.store.folders import RunGoesOn
from tests.support.stub_runs import repro, write_scenario

pytestmark = pytest.mark.usefixtures("cache")

ASKED = {"--confidence": 0.95}


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Side, Side]:
    """A stub that hangs at its second build, and one that does not."""
    file = write_scenario(tmp_path)
    hangs = ("daemon.config.2=hang",)
    return Side("A", "stub", load(file, VOCABULARY, hangs), hangs), Side("B", "stub", load(file, VOCABULARY))


def begin(sides: tuple[Side, Side], folder: Path, seconds: float = 1000.0) -> Series:
    """Begin one."""
    return Series.begin(Question("verify", sides, ASKED, seed=3, seconds=seconds), folder, ("repro",), NullObserver())


def resume(sides: tuple[Side, Side], folder: Path, name: str = "last", **other: Any) -> Series:
    """Go on with one."""
    question = Question("verify", sides, **({"words": ASKED} | other))
    return Series.resume(name, question, folder, ("repro",), NullObserver())


def verified(series: Series, sides: tuple[Side, Side], looks: int = 100, seconds: float | None = None) -> Verification:
    """Verify, with Ctrl-C at the end of so many looks, or for so long."""

    def told(_: SeenRun) -> None:
        if len(series.looks) == looks:
            raise Interrupted

    return anyio.run(partial(verify, series, *sides, VerifyOptions(0.95, 2, 1.0, 8, seconds), told))


def test_it_goes_on_where_it_stood(sides: tuple[Side, Side], tmp_path: Path) -> None:
    """A series that is ended at any look makes each look once, with the seeds and to the verdict of one that is not."""
    whole = begin(sides, tmp_path / "whole")
    found = verified(whole, sides)
    assert found.verdict == "fixed"
    cut = begin(sides, tmp_path / "cut")
    for looks in (1, 3):
        assert verified(cut, sides, looks).exit_code == 130
        cut = resume(sides, tmp_path / "cut")
        assert len(cut.known) == looks
    again = verified(cut, sides)
    assert (again.verdict, again.looks, again.chance) == (found.verdict, found.looks, found.chance)
    kept = [
        [json.loads(line) for line in (each.path / "looks.jsonl").read_text().splitlines()] for each in (whole, cut)
    ]
    assert [each["look"]["seed"] for each in kept[0]] == [each["look"]["seed"] for each in kept[1]]
    assert [each["seconds"] for each in kept[1]] == sorted(each["seconds"] for each in kept[1])
    assert cut.seconds >= sum(each["look"]["seconds"] for each in kept[1])


def test_a_longer_time_goes_on(sides: tuple[Side, Side], tmp_path: Path) -> None:
    """One whose time was over says so again without a look, and with more of it goes on, to its last look at A."""
    first = verified(begin(sides, tmp_path, 0.01), sides, seconds=0.01)
    assert (first.verdict, first.because.startswith("the time is over")) == ("not enough", True)
    same = resume(sides, tmp_path, seconds=0.01)
    assert verified(same, sides, seconds=0.01).because == first.because
    assert all(seen.known for seen in same.looks)
    longer = resume(sides, tmp_path, seconds=1000.0)
    assert verified(longer, sides, seconds=1000.0).verdict == "fixed"
    assert [seen.side for seen in longer.looks[-2:]] == ["B", "A"]
    assert not longer.looks[-1].known, "the host is seen to be the same after B, not before"
    with pytest.raises(AskedElse, match="--time, which is shorter"):
        resume(sides, tmp_path, seconds=0.01)


def test_other_binaries_are_others(sides: tuple[Side, Side], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A toolchain of the same name that was built anew meanwhile is not gone on with."""
    series = begin(sides, tmp_path)
    verified(series, sides, 1)

    async def other(_: LocalRunner, scenario: Scenario, *__: object) -> dict[str, str]:
        return {} if scenario.daemon.config else {"dockerd": "another"}

    monkeypatch.setattr(LocalRunner, "obtain", other)
    with pytest.raises(AskedElse, match=r"\(not the same: the binaries of B\)"):
        verified(resume(sides, tmp_path), sides)


def test_nobody_goes_on_with_what_goes_on(sides: tuple[Side, Side], tmp_path: Path) -> None:
    """While one process is in the middle of it, another is refused, and changes nothing."""
    series = begin(sides, tmp_path)
    with series.going_on(), pytest.raises(RunGoesOn):
        resume(sides, tmp_path)
    assert resume(sides, tmp_path).known == []


def test_a_line_that_a_crash_cut_short(sides: tuple[Side, Side], tmp_path: Path) -> None:
    """What a crash left of a last line is not a look, and not in the way of the next one."""
    series = begin(sides, tmp_path)
    verified(series, sides, 2)
    file = series.path / "looks.jsonl"
    with file.open("a") as end:
        end.write('{"side": "A", "numb')
    going_on = resume(sides, tmp_path)
    assert len(going_on.known) == 2
    assert len(file.read_text().splitlines()) == 2
    file.write_text('{"side": "A"}\n')
    with pytest.raises(StoreError, match=r"looks.jsonl: cannot be read"):
        resume(sides, tmp_path)


def test_only_as_what_it_was(sides: tuple[Side, Side], tmp_path: Path) -> None:
    """Another toolchain, scenario, seed or question is refused by name: its looks would not belong together."""
    series = begin(sides, tmp_path)
    a, b = sides
    others: list[tuple[tuple[Side, Side], dict[str, Any], str]] = [
        ((a, Side("B", "path:/x", b.scenario)), {}, r"\(not the same: toolchain of B\)"),
        ((a, Side("B", "stub", a.scenario, a.settings)), {}, r"\(not the same: settings of B, scenario of B\)"),
        (sides, {"seed": 4}, r"\(not the same: --seed\)"),
        (sides, {"words": {"--confidence": 0.99}}, r"\(not the same: --confidence\)"),
    ]
    for given, more, said in others:
        with pytest.raises(AskedElse, match=said):
            resume(given, tmp_path, **more)
    compared = Question("compare", sides, ASKED)
    with pytest.raises(AskedElse, match=r"\(not the same: command\)"):
        Series.resume(str(series.path), compared, tmp_path, ("repro",), NullObserver())
    assert resume(sides, tmp_path, str(series.path), seed=3).seed == 3
    assert resume(sides, tmp_path, series.path.name[-4:]).path == series.path


def test_one_that_is_not_there(sides: tuple[Side, Side], tmp_path: Path) -> None:
    """A name that fits none, or several, is told."""
    with pytest.raises(NoSuchSearch, match="no verify 'last' to go on with"):
        resume(sides, tmp_path)
    for _ in range(2):
        begin(sides, tmp_path)
    with pytest.raises(NoSuchSearch, match="it ends the names of"):
        resume(sides, tmp_path, "")


def test_several_scenarios_go_on(tmp_path: Path) -> None:
    """`repro verify` of two scenarios goes on with the one that was begun, and begins the other."""
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        files.append(str(write_scenario(tmp_path / name, name=name)))
    words = ("--broken", "stub", "--fixed", "stub", "--results", str(tmp_path / "results"))
    more = ("--iterations", "8", "--hangs", "2", "--set-a", "daemon.config.2=hang")
    assert repro("verify", files[0], *words, *more).returncode == 0
    both = repro("verify", *files, *words, *more, "--resume", "last")
    assert both.returncode == 0, both.stderr
    looks = len((next(tmp_path.glob("results/one/verify-*")) / "looks.jsonl").read_text().splitlines())
    assert both.stdout.count("(known)") == looks
    assert both.stdout.count("FIXED") == 2
    named = repro("verify", *files, *words, *more, "--resume", "abcd")
    assert (named.returncode, "goes on with the `last` of each" in named.stderr) == (129, True)


def test_the_command_goes_on(tmp_path: Path) -> None:
    """`repro compare --resume last` says the verdict of what is there already, without a look anew."""
    words = ("--scenario", str(write_scenario(tmp_path)), "--results", str(tmp_path / "results"), "--looks", "2")
    first = repro("compare", "stub", "stub", *words)
    again = repro("compare", "stub", "stub", *words, "--resume", "last")
    assert (first.returncode, again.returncode) == (0, 0), again.stderr
    assert len([*(tmp_path / "results" / "stubbed").glob("*/run.json")]) == 4
    more = repro("compare", "stub", "stub", *words[:-1], "4", "--resume", "last")
    assert more.returncode == 129
    assert (
        "was asked something else (not the same: --looks): what was seen there does not belong to what is asked now"
        in more.stderr
    )
