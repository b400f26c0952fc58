"""What a CI asks of a run: thresholds of its own, JUnit XML, and the summary of its job."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.stub_runs import repro, run, write_scenario

pytestmark = pytest.mark.usefixtures("cache")


def test_a_run_for_a_ci(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clean run fails by the user's own threshold; the job's summary and the JUnit file say so, and of which run."""
    page, junit = tmp_path / "summary.md", tmp_path / "junit.xml"
    page.write_text("# before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    scenario = write_scenario(tmp_path)
    code, output, folder = run(scenario, "--junit", str(junit), "--fail-if", "rate.high95 > 0.01")
    assert code == 1
    assert "--fail-if rate.high95 > 0.01 (rate.high95 is 0.278): holds, so it fails" in output
    told = page.read_text()
    assert told.startswith("# before\n### ❌ stubbed: CLEAN\n")
    assert "- --fail-if rate.high95 > 0.01" in told
    [suite] = ElementTree.parse(junit).getroot()  # noqa: S314 — our own file
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")

    before = page.read_text()
    shown = repro("show", str(folder.path), "--fail-if", "rate.high95 > 0.5", "--fail-if", "leak.low95 > 1")
    assert shown.returncode == 125
    assert "leak.low95 > 1 (leak.low95 is not known): cannot be told" in shown.stdout
    assert repro("show", str(folder.path), "--fail-if", "rate.high95 > 0.5", "--junit", str(junit)).returncode == 0
    assert ElementTree.parse(junit).getroot()[0].get("failures") == "0"  # noqa: S314 — our own file
    assert page.read_text() == before


def test_what_is_refused_before_anything(tmp_path: Path) -> None:
    """A threshold that says nothing is refused with the names that there are, before hours are spent on a run."""
    scenario = write_scenario(tmp_path)
    refused = repro("run", str(scenario), "--fail-if", "rate.hihg95 > 1")
    assert refused.returncode == 129
    assert "--fail-if: there is no 'rate.hihg95'; did you mean 'rate.high95'?; there are: verdict, " in refused.stderr
    assert not (tmp_path / "results").exists()


def test_what_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files for a CI that cannot be written are told, and change no exit code."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "no" / "where"))
    scenario = write_scenario(tmp_path, clients={"2": "hang"})
    code, output, _ = run(scenario, "--junit", str(tmp_path / "nowhere" / "junit.xml"))
    assert code == 1
    assert "not all was written for CI: " in output


def test_a_run_for_other_programs(tmp_path: Path) -> None:
    """`show` exports what was recorded: as one object, and as tables."""
    code, _, folder = run(write_scenario(tmp_path, clients={"2": "hang"}, build={"args": {"N": "{iteration}"}}))
    assert code == 1
    one, tables = tmp_path / "run.json", tmp_path / "tables"
    shown = repro("show", str(folder.path), "--export-json", str(one), "--export-csv", str(tables))
    assert shown.returncode == 0, shown.stderr
    told = json.loads(one.read_text())
    assert told["summary"]["verdict"] == "hang"
    assert [each["args"]["N"] for each in told["iterations"]] == ["1", "2"]
    rows = (tables / "iterations.csv").read_text().splitlines()
    assert rows[0].startswith("number,actor,args,outcome,started,")
    assert len(rows) == 3
    assert ',"{""N"": ""2""}",hang,' in rows[2]
    assert {file.name for file in tables.iterdir()} >= {"actions.csv", "samples.csv", "findings.csv", "daemons.csv"}
    refused = repro("show", str(folder.path), "--export-json", str(tmp_path))
    assert refused.returncode == 255
