"""`repro compare` of runs that are there: each daemon is a look, and nothing is run."""

import json
from pathlib import Path

import pytest

from harness.core.outcome import Outcome
from harness.core.records import Finding, Iteration
from harness.experiments.recorded import recorded_side, runs_in
from harness.store.folder import RunFolder
from tests.support.stub_runs import repro
from tests.web.runs import FINDING, MANIFEST

pytestmark = pytest.mark.usefixtures("cache")


def run(results: Path, scenario: str, hangs: int, daemons: int = 12) -> RunFolder:
    """Write a run of so many daemons with five builds each, of which the first ones hang with their second."""
    folder = RunFolder.create(results, scenario)
    with folder.database() as database:
        for daemon in range(1, daemons + 1):
            for line in range(1, 6):
                number, at = 5 * daemon + line, 100.0 * daemon + line
                if line == 2 and daemon <= hangs:
                    database.add(Iteration(number, "ci", {}, Outcome.HANG, at, None, None, at + 0.5, None, None, None,
                                           generation=daemon))  # fmt: skip
                    told = {**vars(FINDING), "iteration": number, "at": at + 60, "waited": 59.5, "generation": daemon}
                    database.add(Finding(**told))
                    break
                database.add(Iteration(number, "ci", {}, Outcome.OK, at, None, None, at + 0.5, at + 0.6, None, 0,
                                       generation=daemon))  # fmt: skip
    folder.write_manifest(MANIFEST)
    (folder.path / "scenario.yaml").write_text(f"name: {scenario}\n")
    return folder


def test_two_folders_of_runs(tmp_path: Path) -> None:
    """A run, or all below a folder, are a side; a side that hangs in most daemons is named, with what of differs."""
    bad, good = run(tmp_path / "bad", "s", hangs=9), tmp_path / "good"
    run(good, "s", hangs=0)
    run(good, "s", hangs=0, daemons=3)
    side = recorded_side(bad.path)
    assert (side.runs, len(side.exposures), sum(each.hung for each in side.exposures)) == (1, 12, 9)
    assert sum(each.builds for each in side.exposures) == 9 * 2 + 3 * 5
    assert len(runs_in(good)) == len(runs_in(good / "s")) == 2
    assert runs_in(tmp_path / "nowhere") == []
    ended = repro("compare", str(bad.path), str(good))
    assert ended.returncode == 1, ended.stderr
    assert "DIFFERENT  A hangs more: 9 in 33 builds on A, 0 in 75 builds on B" in ended.stdout
    assert "s; 2 runs, 15 daemons" in ended.stdout
    ended = repro("compare", str(bad.path), str(good), "--only-worse", "--json")
    assert ended.returncode == 0, ended.stderr
    last = json.loads(ended.stdout.splitlines()[-1])
    assert (last["event"], last["verdict"], last["exit_code"]) == ("compared", "different", 0)
