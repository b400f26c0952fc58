"""`repro check` and `repro new`: a scenario of one's own, and what it will do, without a daemon."""

import json
from pathlib import Path

import pytest

from harness.cli.main import _exit_code
from harness.core.outcome import ExitCode
from harness.scenario.load import shipped_scenarios

FINE = "name: fine\nactors:\n  - build: ci\n    dockerfile: trivial\nstop: {iterations: 5}\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def test_all_that_is_wrong(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every problem of every file is told, in lines that editors read, and what can be run is told beside it."""
    (here / "fine.yaml").write_text(FINE)
    (here / "wrong.yaml").write_text(FINE.replace("iterations: 5", "iterations: 0").replace("trivial", "nowhere"))
    assert _exit_code(["check", "fine.yaml", "wrong.yaml", "nowhere.yaml"]) == ExitCode.USAGE
    told = capsys.readouterr().out
    assert "fine.yaml can be run" in told
    assert "wrong.yaml:5: stop.iterations: " in told
    assert "wrong.yaml:4: actors.ci.dockerfile: " in told
    assert "nowhere.yaml" in told
    assert not (here / "results").exists()


def test_strict_is_for_ci(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What has no effect is a warning, and an exit code of its own where that is asked for."""
    (here / "fine.yaml").write_text(FINE)
    assert _exit_code(["check", "fine.yaml", "--strict"]) == 0
    short = ["check", "fine.yaml", "--time", "5s"]
    assert _exit_code(short) == 0
    assert _exit_code([*short, "--strict", "--json"]) == ExitCode.INCONCLUSIVE
    told = capsys.readouterr().out
    [warning] = json.loads(told[told.index("{") :])["fine.yaml"]["warnings"]
    assert warning.startswith("detect.export_hang: finds nothing")


def test_what_it_would_execute(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a scenario would execute on this host is shown, and nothing of it is executed."""
    (here / "fine.yaml").write_text(FINE + f"on_finding: touch {here}/owned\n")
    assert _exit_code(["check", "fine.yaml"]) == 0
    assert f"executes on this host: on_finding: touch {here}/owned" in capsys.readouterr().out
    assert not (here / "owned").exists()


def test_a_new_scenario_loads(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `new` writes can be run as it stands, has comments, and is never written over."""
    assert _exit_code(["new", "mine"]) == 0
    text = (here / "mine.yaml").read_text()
    assert text.count("#") > 10
    assert "name: mine\n" in text
    assert _exit_code(["check", "--strict", "mine.yaml"]) == 0
    (here / "mine.yaml").write_text(FINE)
    assert _exit_code(["new", "mine"]) == ExitCode.USAGE
    assert (here / "mine.yaml").read_text() == FINE
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize("shipped", [file.stem for file in shipped_scenarios()])
def test_from_a_shipped_one(here: Path, shipped: str) -> None:
    """Each shipped scenario can be begun with, also in a folder with spaces and letters beyond ASCII."""
    (here / "mein Ordner ä").mkdir()
    file = "mein Ordner ä/mine.yaml"
    assert _exit_code(["new", file, "--from", shipped]) == 0
    assert "name: mine\n" in (here / file).read_text()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["My Own"], "'My Own' is no name"),
        (["no/where"], "cannot be written: No such file"),
        (["mine", "--from", "prune-rac"], "did you mean 'prune-race'?"),
    ],
)
def test_new_of_what_cannot_be(words: list[str], why: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name, a folder or an original that cannot be is refused with what is wrong, and leaves no file."""
    assert _exit_code(["new", *words]) == ExitCode.USAGE
    assert why in capsys.readouterr().err
    assert not [*here.iterdir()]
