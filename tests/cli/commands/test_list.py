"""`repro list`: a line of what each scenario is about, and of one that is wrong what is wrong with it."""

from pathlib import Path

import pytest

from harness.cli.commands.list import list_scenarios
from harness.scenario.load import shipped_scenarios
from tests.support.stub_runs import write_scenario


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A screen on which no line is broken."""
    monkeypatch.setenv("COLUMNS", "1000")


def test_first_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a scenario its first sentence is shown, across line ends, with the kinds of its actors, each once."""
    actors = [{"prune": name, "when": {"interval": "1s"}} for name in ("one", "two")]
    write_scenario(tmp_path, about="Builds v0.23.2\nand moby/buildkit#6209 too. The rest.", actors=actors)
    list_scenarios(tmp_path)
    assert capsys.readouterr().out.splitlines()[1:] == [
        "stubbed   build, prune  Builds v0.23.2 and moby/buildkit#6209 too."
    ]


def test_one_that_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken scenario hides no other; its first problem is told."""
    (tmp_path / "broken.yaml").write_text("name: broken\n")
    write_scenario(tmp_path)
    list_scenarios(tmp_path)
    shown = capsys.readouterr().out
    assert "problems; the first: " in shown
    assert "stubbed" in shown


def test_shipped_ones_without_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a folder, the shipped ones, by the names that every command takes."""
    list_scenarios()
    shown = [line.split(maxsplit=1)[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert shown == [file.stem for file in shipped_scenarios()]
