"""A damaged file of a run costs that file: no command breaks, and what can be read is shown."""

from pathlib import Path

import pytest

from tests.adversary.damage import attack
from tests.support.stub_runs import repro
from tests.web.runs import ended

QUICK = (("run.json", "other type", 7), ("run.db", "circle", 77), ("run.db", "not utf-8", 77))
"""Files, damages, and a seed with which some command broke once."""


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(("file", "damage", "seed"), QUICK)
def test_no_command_breaks(tmp_path: Path, file: str, damage: str, seed: int) -> None:
    """Whatever is done to a file, each command and page says what is wrong; `damage.py` has all files and ways."""
    run = ended(tmp_path).path
    (found,) = attack(run, seed=seed, files=[file], damages=[damage])
    assert found == []


def test_the_rest_is_shown(tmp_path: Path) -> None:
    """Without its `run.json`, and with a `captured.json` that is none, a run's verdict and finding are shown."""
    folder = ended(tmp_path)
    (folder.path / "run.json").write_text("{}")
    (folder.path / "findings" / "3" / "captured.json").write_text("[]")
    shown = repro("show", str(folder.path / "."))
    assert shown.returncode == 255
    assert "\nHANG  " in shown.stdout
    assert "iteration 3 at 9.5 s  HANG" in shown.stdout
    told = shown.stderr.splitlines()
    assert [line.split(": is damaged: ")[0].rpartition("/")[2] for line in told] == ["run.json", "captured.json"]
