"""The command that tells of a finding: what it is told, and that a run does not depend on it."""

import json
from pathlib import Path

import pytest

from tests.support.stub_runs import run, write_scenario

pytestmark = pytest.mark.usefixtures("cache")


def test_a_command_is_told(tmp_path: Path) -> None:
    """It runs once for a daemon that hung, after the evidence, and reads the finding as JSON."""
    scenario = write_scenario(
        tmp_path,
        build={"parallel": 2, "args": {"N": "{iteration}"}},
        clients={"3": "hang", "4": "hang"},
        on_finding=f"cat >> '{tmp_path}/told'; ls \"$(dirname \"$REPRO_FINDING\")\" >> '{tmp_path}/there'; echo said",
    )
    code, output, folder = run(scenario, "--trust")
    assert code == 1, output
    told = json.loads((tmp_path / "told").read_text())
    place = folder.path / "findings" / str(told["finding"]["iteration"])
    assert (told["scenario"], told["run"]) == ("stubbed", str(folder.path.absolute()))
    assert (told["finding"]["kind"], told["finding"]["args"]) == ("hang", {"N": place.name})
    assert "progress.jsonl" in (tmp_path / "there").read_text()
    assert (place / "on_finding.txt").read_text() == "said\n"
    assert json.loads((place / "captured.json").read_text())["on_finding"] == "captured"


def test_it_is_told_no_secret(tmp_path: Path) -> None:
    """What it is told may be sent anywhere, so it goes through the same door as a report."""
    scenario = write_scenario(
        tmp_path,
        build={"args": {"API_TOKEN": "geheim-{iteration}-geheim"}},
        clients={"1": "hang"},
        on_finding=f"cat > '{tmp_path}/told'",
    )
    run(scenario, "--trust")
    assert json.loads((tmp_path / "told").read_text())["finding"]["args"] == {"API_TOKEN": "<redacted>"}
    assert "geheim" not in (tmp_path / "told").read_text()


def test_a_command_that_fails(tmp_path: Path) -> None:
    """Its failure is told in the list of what was captured, and changes nothing else."""
    scenario = write_scenario(tmp_path, clients={"3": "hang"}, on_finding="echo no route to host >&2; exit 7")
    code, _, folder = run(scenario, "--trust")
    assert code == 1
    captured = folder.read_json("findings/3/captured.json")
    assert "exit 7" in captured["on_finding"]
    assert "no route to host" in captured["on_finding"]
