"""Runs that are added up: real ones, those that died too; and which are refused."""

import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.core.outcome import Verdict
from harness.core.records import Iteration
from harness.store.folder import RunFolder
from harness.store.merge_inputs import NotTogether, SameRun, read_members
from tests.support.stub_runs import last_run, repro, run, start, write_scenario

pytestmark = pytest.mark.usefixtures("cache")


def test_runs_are_added_up(tmp_path: Path) -> None:
    """A clean run, one that hung and one that was killed come to one verdict and one rate, as words, as JSON and as a
    folder that can be shown; the same again is refused, and so is a sum with one of its parts.
    """
    scenario = write_scenario(
        tmp_path, clients={"8": "hang", "default": "0.3"}, detect={"stall": "1m", "export_hang": "2s"}
    )
    _, _, clean = run(scenario, "--iterations", "5", "--seed", "1")
    _, _, hung = run(scenario, "--seed", "2")
    process = start(scenario, "--seed", "3", "--iterations", "7", "--set", "daemon.toolchain=auto")
    while len(recorded(scenario, but=(clean, hung))) < 3:
        time.sleep(0.02)
    process.send_signal(signal.SIGSTOP)  # it goes on, and does not get far
    is_locked = repro("merge", str(clean.path), str(last_run(scenario).path))
    process.kill()
    process.communicate(timeout=180)
    killed = last_run(scenario)
    seen = killed.read(Iteration)
    assert (is_locked.returncode, "still goes on" in is_locked.stderr) == (129, True)
    words = [str(folder.path) for folder in (clean, hung, killed)]
    merged = repro("merge", *words, "-o", str(tmp_path / "sum"), "--against", "1/50")
    assert merged.returncode == 1, merged.stdout + merged.stderr
    trials = 5 + 8 + len(seen)
    assert merged.stdout.startswith("HANG  1 of 3 runs found what they hunt; the first, " + hung.name)
    rows = {line.split()[0]: line for line in merged.stdout.splitlines()[2:5]}
    assert [*rows] == [clean.name, hung.name, killed.name]
    assert "iteration 8, " in rows[hung.name]
    assert rows[clean.name].rstrip().endswith("s"), "the time is there, on a narrow terminal too"
    assert f"1 in {trials} builds that could have hung: from " in merged.stdout
    assert f"against        1 in {trials} builds" in merged.stdout
    summary = RunFolder(tmp_path / "sum").summary()
    assert summary is not None
    assert (summary.verdict, summary.rate.hangs, summary.rate.trials) == (Verdict.HANG, 1, trials)
    assert "\nHANG  1 of 3 runs" in repro("show", str(tmp_path / "sum")).stdout
    as_json = json.loads(repro("merge", *words[::2], "--json").stdout)
    assert (as_json["verdict"], as_json["exit_code"], as_json["rate"]["trials"]) == ("clean", 0, 5 + len(seen))
    assert [part["ending"] for part in as_json["parts"]] == ["iterations", "infra"]
    for refused in ([words[0], words[0]], [str(tmp_path / "sum"), words[1]]):
        again = repro("merge", *refused)
        assert (again.returncode, "the same run" in again.stderr) == (129, True)


def recorded(scenario: Path, *, but: tuple[RunFolder, ...]) -> list[Iteration]:
    """Return what a run other than these has recorded."""
    folder = last_run(scenario)
    if folder.name in {each.name for each in but} or not (folder.path / "run.db").exists():
        return []
    try:
        return folder.read(Iteration)
    except Exception:
        return []


@pytest.fixture
def pair(tmp_path: Path) -> tuple[RunFolder, RunFolder]:
    """A run of real records, and another one with another seed and another end."""
    _, _, folder = run(write_scenario(tmp_path), "--iterations", "2", "--seed", "1")
    other = RunFolder(tmp_path / "elsewhere" / "20261124T180013Z-b371")
    shutil.copytree(folder.path, other.path)
    change_manifest(other, lambda manifest: manifest.update(seed=2))
    change_scenario(other, lambda scenario: scenario["stop"].update(iterations=9))
    return folder, other


def change_manifest(folder: RunFolder, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what `run.json` says."""
    manifest = folder.read_json("run.json")
    change(manifest)
    folder.write_json("run.json", manifest)


def change_scenario(folder: RunFolder, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the resolved scenario."""
    file = folder.path / "scenario.yaml"
    scenario = yaml.safe_load(file.read_text())
    change(scenario)
    file.write_text(yaml.safe_dump(scenario))


def binaries(digest: str) -> dict[str, Any]:
    """Return a toolchain of one program."""
    return {"spec": "path:/x", "binaries": {"buildkitd": {"path": "/x/buildkitd", "version": "v1", "sha256": digest}}}


def test_what_belongs_together_and_what_does_not(pair: tuple[RunFolder, RunFolder]) -> None:
    """Another seed, end, toolchain folder or Dockerfile folder is no other experiment; anything else is, and all of it
    is told at once.
    """
    one, other = pair
    change_manifest(one, lambda manifest: manifest.update(toolchain=binaries("a" * 64)))
    change_manifest(other, lambda manifest: manifest.update(toolchain=binaries("a" * 64) | {"spec": "path:/y"}))
    change_scenario(other, lambda scenario: scenario["daemon"].update(toolchain="path:/y"))
    change_scenario(other, lambda scenario: scenario["actors"][0].update(dockerfile="/elsewhere/dockerfiles/one"))
    assert [member.summary.rate.trials for member in read_members([one, other])] == [2, 2]
    change_manifest(other, lambda manifest: manifest.update(toolchain=binaries("b" * 64)))
    change_manifest(other, lambda manifest: manifest["daemon"].update(version="v0.25.1"))
    change_scenario(other, lambda scenario: scenario["actors"][0].update(parallel=4))
    change_scenario(other, lambda scenario: scenario["stop"].update(on=["hang", "stall"]))
    with pytest.raises(NotTogether) as refused:
        read_members([one, other])
    lines = str(refused.value).splitlines()
    assert str(one.path) in lines[0]
    assert str(other.path) in lines[0]
    assert [line.strip().partition(":")[0] for line in lines[1:]] == [
        "daemon's version",
        "buildkitd's hash",
        "actors[0].parallel",
        "stop.on[1]",
    ]
    assert "actors[0].parallel: 1 and 4" in str(refused.value)


def test_what_would_count_twice(pair: tuple[RunFolder, RunFolder]) -> None:
    """Of one seed there is one plan, so a run with the same is refused, under whatever name."""
    one, other = pair
    change_manifest(other, lambda manifest: manifest.update(seed=1))
    with pytest.raises(SameRun, match=r"played the same plan \(seed 1\)"):
        read_members([one, other])


def test_a_run_without_records_is_refused(pair: tuple[RunFolder, RunFolder]) -> None:
    """A run that died before it had a daemon adds nothing, and is to be left out."""
    _, other = pair
    (other.path / "summary.json").unlink()
    (other.path / "run.db").unlink()
    refused = repro("merge", str(other.path))
    assert refused.returncode == 129
    assert "died before its first iteration" in refused.stderr
