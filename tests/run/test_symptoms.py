"""Findings that are neither hangs nor stalls: failures, deaths; through the real engine, with the stub for a daemon."""

import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import HarnessError
from harness.core.outcome import Ending, Outcome, Symptom, Verdict
from harness.core.records import Action, Birth, Finding, Iteration, Summary
from harness.report.account import account_of
from harness.store.folder import RunFolder
from harness.web.found import FindingView
from harness.web.view import view_of
from tests.support.eventually import reached, until
from tests.support.stub_runs import last_run, run, start, write_scenario

pytestmark = pytest.mark.usefixtures("cache")
LATE = "parent snapshot <digest> does not exist: not found"


def ran(scenario: Path) -> tuple[int, str, RunFolder, Summary]:
    """Run a scenario to its end."""
    code, output, folder = run(scenario)
    summary = folder.summary()
    assert summary is not None, output
    return code, output, folder, summary


def test_failures_are_counted_by_their_kind(tmp_path: Path) -> None:
    """Errors that differ in their ids are one kind, with a rate; one after the export is told apart; no finding."""
    clients = {"2": "fail", "4": "late", "7": "late"}
    _, output, folder, summary = ran(write_scenario(tmp_path, clients=clients))
    assert summary.verdict is Verdict.CLEAN
    assert summary.outcomes == {"ok": 7, "failed": 1, "late_failure": 2}
    late, failed = summary.failures
    assert (late.text, late.outcome, late.count, late.first, late.rate.trials) == (LATE, "late_failure", 2, 4, 10)
    assert (failed.outcome, failed.count) == ("failed", 1)
    assert folder.read(Finding) == []
    assert f"2 × {LATE}" in output, "the screen tells it too"
    assert "3 builds failed, most often, 2 times" in summary.because


PATTERN = {"export_hang": "1m", "stall": "1m", "failure": ["does not exist: not found"]}
HUNTS: dict[str, tuple[dict[str, Any], Symptom | Outcome]] = {
    "a pattern": ({"detect": PATTERN, "stop": {"iterations": 10, "on": ["failure"]}}, Symptom.FAILURE),
    "any failure": ({"stop": {"iterations": 10, "on": ["failure"]}}, Symptom.FAILURE),
    "late ones alone": ({"stop": {"iterations": 10, "on": ["late_failure"]}}, Outcome.LATE_FAILURE),
}


@pytest.mark.parametrize(("parts", "kind"), HUNTS.values(), ids=[*HUNTS])
def test_hunted_failure_ends_the_run(tmp_path: Path, parts: dict[str, Any], kind: Symptom | Outcome) -> None:
    """The first error that is looked for decides the verdict, with evidence, a diagnosis and a rate."""
    before = {} if parts["stop"]["on"] == ["failure"] and "detect" not in parts else {"2": "fail"}
    code, output, folder, summary = ran(write_scenario(tmp_path, clients={"4": "late"} | before, **parts))
    assert code == 1, output
    assert (summary.verdict, summary.ending, summary.iterations) == (Verdict.HANG, Ending.FINDINGS, 4)
    (finding,) = folder.read(Finding)
    assert (finding.iteration, finding.kind, finding.hunted) == (4, kind, True)
    assert summary.first_finding is not None
    assert (summary.first_finding.iteration, summary.first_finding.kind) == (4, kind)
    assert summary.diagnosis is not None
    assert (summary.diagnosis.signature, summary.diagnosis.known) == ("parent-snapshot-missing", True)
    assert summary.symptoms[kind].hangs == 1
    assert summary.first_hang is None
    assert "captured.json" in [file.name for file in (folder.path / finding.place).iterdir()]
    assert "does not exist" in account_of(folder).facts["failures"]
    page = view_of(folder, FindingView())
    assert "does not exist" in page["facts"]["failures"]
    assert "does not exist" in page["findings"][0]


def test_failure_that_is_not_hunted_leaves_the_run_open(tmp_path: Path) -> None:
    """A pattern that matches is a finding; the verdict does not go by it, and the run goes on."""
    code, _, folder, summary = ran(write_scenario(tmp_path, clients={"2": "late", "3": "fail"}, detect=PATTERN))
    assert (code, summary.verdict, summary.iterations) == (125, Verdict.INCONCLUSIVE, 10)
    assert "which this scenario does not hunt" in summary.because
    assert [finding.iteration for finding in folder.read(Finding)] == [2]


@pytest.mark.parametrize("hunted", [True, False])
def test_daemon_that_dies_is_a_finding(tmp_path: Path, hunted: bool) -> None:
    """A daemon that ends by itself is found with what its log said; what was in flight is cut off."""
    on = ["death"] if hunted else ["hang"]
    scenario = write_scenario(tmp_path, clients={"default": "0.2"}, stop={"iterations": 10_000, "on": on})
    process = start(scenario)
    reached(process, lambda: builds_of(scenario) > 2)
    folder = last_run(scenario)
    with (folder.path / "daemon" / "daemon.log").open("a") as log:
        log.write("panic: runtime error: index out of range [7] with length 7\n\ngoroutine 7 [running]:\n")
        log.write("main.(*scheduler).dispatch(0xc000123)\n\t/src/solver/scheduler.go:12 +0x1a\n")
    os.kill(folder.read_json("run.json")["daemon"]["pid"], signal.SIGKILL)
    output, _ = process.communicate(timeout=180)
    summary = folder.summary()
    assert summary is not None, output
    assert process.returncode == (1 if hunted else 125), output
    assert summary.ending is (Ending.FINDINGS if hunted else Ending.DAEMON_DIED)
    (finding,) = folder.read(Finding)
    assert (finding.kind, finding.hunted) == (Symptom.DEATH, hunted)
    assert "signal 9" in finding.detail
    assert summary.diagnosis is not None
    assert summary.diagnosis.kind == "crashed"
    assert "index out of range" in summary.diagnosis.because
    assert set(summary.outcomes) <= {"ok", "cut_off", "infra"}
    assert "DEATH" in output


def test_death_while_evidence_is_captured_says_so(tmp_path: Path) -> None:
    """Who reads of a daemon that died while it was looked at is told that; what is captured of the hang is kept."""
    kills = (
        "import json, os, sys; run = json.load(sys.stdin)['run']; "
        "os.kill(json.load(open(run + '/run.json'))['daemon']['pid'], 9)"
    )
    command = f"{sys.executable} -c {shlex.quote(kills)}; sleep 2"
    scenario = write_scenario(tmp_path, clients={"default": "hang"}, on_finding=command)
    code, output, folder = run(scenario, "--trust")
    assert code == 1, output
    death = next(finding for finding in folder.read(Finding) if finding.kind is Symptom.DEATH)
    assert death.detail.endswith("signal 9, while the evidence of a finding was captured")
    captured = folder.read_json("findings/1/captured.json")
    assert captured["process"] == captured["on_finding"] == "captured"


def test_hunted_death_lets_a_fresh_daemon_take_over(tmp_path: Path) -> None:
    """Where the scenario goes on after its findings, the run does, on the next daemon, and counts the deaths."""
    stop = {"iterations": 10_000, "time": "20m", "hangs": 2, "on": ["death"]}
    scenario = write_scenario(tmp_path, clients={"default": "0.1"}, stop=stop, on_hang={"then": "renew"})
    process = start(scenario)
    killed: set[int] = set()
    for _ in range(2):
        until(lambda: bool(daemons_of(scenario) - killed))
        (pid,) = daemons_of(scenario) - killed
        killed.add(pid)
        os.kill(pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=180)
    summary = last_run(scenario).summary()
    assert summary is not None, output
    assert (process.returncode, summary.ending) == (1, Ending.FINDINGS), output
    assert summary.symptoms["death"].hangs == 2


def builds_of(scenario: Path) -> int:
    """Return how many builds a run has recorded; 0 before it has a database."""
    try:
        return len(last_run(scenario).read(Iteration))
    except HarnessError:
        return 0


def daemons_of(scenario: Path) -> set[int]:
    """Return the processes that a run's daemons were, by its records; none before it has any."""
    try:
        return {birth.pid for birth in last_run(scenario).read(Birth) if birth.pid}
    except HarnessError:
        return set()


@pytest.mark.parametrize("hunted", [True, False])
def test_act_that_does_not_come_back_is_a_finding(tmp_path: Path, hunted: bool) -> None:
    """A prune without an answer is found while it waits; one that fails, or answers in time, is not."""
    stop = {"iterations": 30, "on": ["act"] if hunted else ["hang"]}
    prune = {"prune": "cut", "when": {"interval": "100ms"}}
    clients = {"default": "0.1", "prune": "exec sleep 1000"}
    scenario = write_scenario(tmp_path, clients=clients, actors=[prune], stop=stop, detect={"act": "500ms"})
    code, output, folder, summary = ran(scenario)
    assert code == (1 if hunted else 125), output
    finding = folder.read(Finding)[0]
    assert (finding.kind, finding.actor, finding.hunted) == (Symptom.ACT, "cut", hunted)
    assert 0.5 <= finding.waited < 5
    assert (folder.path / finding.place / "captured.json").is_file()
    assert finding.detail == "prune"
    acts = folder.read(Action)
    assert hunted or any("did not come back within" in act.detail for act in acts), acts
    assert summary.symptoms["act"].hangs >= 1


def test_acts_that_come_back_are_no_findings(tmp_path: Path) -> None:
    """A prune that answers in time, and one that says no, are acts as they always were."""
    prune = {"prune": "cut", "when": {"interval": "50ms"}}
    for how, told in (("sleep 0.1; echo Total: 5kB", "Total: 5kB"), ("echo no such thing; exit 3", "no such thing")):
        clients = {"default": "0.1", "prune": how}
        detect = {"act": "2m"}
        _, output, folder, _ = ran(write_scenario(tmp_path, clients=clients, actors=[prune], detect=detect))
        assert folder.read(Finding) == [], output
        assert told in [act.detail for act in folder.read(Action)], output


def test_growth(tmp_path: Path) -> None:
    """What audits count and what grows without bound ends the run that hunts it, at as many audits as it takes."""
    killed = {"kill": {"every": 1, "after": "0s", "grace": "0s", "signal": "SIGKILL"}}
    parts = {"audit": {"every": 5}, "stop": {"iterations": 60, "on": ["growth"]}, "detect": {"orphan": "1h"}}
    scenario = write_scenario(tmp_path, build=killed, clients={"default": "orphan stall"}, **parts)
    code, output, folder, summary = ran(scenario)
    assert code == 1, output
    assert summary.ending is Ending.FINDINGS
    (finding,) = folder.read(Finding)
    assert (finding.kind, finding.actor, finding.hunted) == (Symptom.GROWTH, "running records", True)
    assert finding.detail.startswith("running records: grows by 1 an iteration")
    assert {each.what: each.verdict for each in summary.growths}["running records"] == "yes"
    assert finding.iteration == 40, "eight audits, one every five builds"
