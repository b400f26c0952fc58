"""What is no hang, on real daemons: deaths, requests without an answer, failures; and loads that listen for them."""

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.core.errors import HarnessError
from harness.core.outcome import Outcome, Symptom
from harness.core.records import Action, Finding, Iteration
from tests.support.eventually import until
from tests.system.conftest import SCENARIOS, Repro, folder_from, left_of


@pytest.fixture
def scenario(tmp_path: Path) -> Callable[..., str]:
    """Write a scenario for a private buildkitd: short builds, and what else is given."""

    def write(*actors: Mapping[str, Any], **parts: Any) -> str:
        build = {"build": "ci", "dockerfile": "trivial", "args": {"N": "{iteration}"}}
        file = tmp_path / "symptom.yaml"
        file.write_text(yaml.safe_dump({"name": "symptom", "actors": [build, *actors], **parts}))
        return str(file)

    return write


def succeeded(repro: Repro) -> bool:
    """Whether the newest run has had a build that succeeded."""
    try:
        return any(build.outcome is Outcome.OK for build in repro.folder.read(Iteration))
    except HarnessError:
        return False


DEATHS = {
    signal.SIGSEGV: ("crashed", "SIGSEGV: segmentation violation"),
    signal.SIGABRT: ("crashed", "SIGABRT: abort"),
    signal.SIGKILL: ("death", "buildkitd ended by itself with signal 9"),
}


@pytest.mark.parametrize("number", DEATHS, ids=lambda number: number.name)
def test_death(repro: Repro, scenario: Callable[..., str], number: signal.Signals) -> None:
    """A buildkitd that dies is found, with its panic out of its log where it has one; nothing of it is left."""
    written = scenario(stop={"time": "2m", "on": ["death"]})
    process = repro.start("run", written, "--daemon", folder_from("REPRO_FIXED"))
    until(lambda: process.poll() is not None or succeeded(repro))
    os.kill(repro.folder.read_json("run.json")["daemon"]["pid"], number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    kind, because = DEATHS[number]
    assert repro.summary.diagnosis is not None
    assert (repro.summary.diagnosis.kind, repro.summary.diagnosis.because) == (kind, because)
    assert repro.summary.diagnosis.signature
    (finding,) = repro.folder.read(Finding)
    log = (repro.folder.path / finding.place / "daemon.log").read_text()
    assert ("goroutine " in log) == (kind == "crashed")
    assert not repro.summary.outcomes.get("failed"), "what a daemon's death cuts off has not failed"
    assert not left_of(repro.folder.name)


def test_request_without_an_answer(repro: Repro, scenario: Callable[..., str]) -> None:
    """Under a daemon that stands still a prune and a list do not come back: found, with dumps once it goes on."""
    often = {"interval": "100ms"}
    written = scenario(
        {"prune": "cut", "all": True, "when": often},
        {"freeze": "still", "when": {"at": "3s", "lasting": "8s"}},
        stop={"time": "40s", "on": ["act"]},
        detect={"act": "2s"},
    )
    code, output = repro("run", written, "--daemon", folder_from("REPRO_FIXED"))
    assert code == 1, output
    finding = repro.folder.read(Finding)[0]
    assert (finding.kind, finding.actor, finding.detail) == (Symptom.ACT, "cut", "prune")
    assert repro.summary.diagnosis is not None
    assert repro.summary.diagnosis.kind == "frozen"
    assert (repro.folder.path / finding.place / "process.json").is_file()
    assert not left_of(repro.folder.name)


def test_failure(repro: Repro, scenario: Callable[..., str]) -> None:
    """On a disk that is full, the error that is looked for is found; those of other kinds are only counted."""
    written = scenario(
        {"disk": "full", "fill": "100%", "when": {"at": "2s", "lasting": "30s"}},
        daemon={"limits": {"disk": "256MiB"}},
        stop={"time": "1m", "on": ["failure"]},
        detect={"failure": ["no space left on device"]},
    )
    code, output = repro("run", written, "--daemon", folder_from("REPRO_FIXED"))
    assert code == 1, output
    finding = repro.folder.read(Finding)[-1]
    assert (finding.kind, finding.hunted) == (Symptom.FAILURE, True)
    assert "no space left on device" in finding.detail
    counted = [each for each in repro.summary.failures if "no space left on device" in each.text]
    assert counted
    assert counted[0].rate.hangs >= 1
    assert "1000" not in counted[0].text


LISTENS: Mapping[str, tuple[tuple[str, ...], set[str]]] = {
    "prune-cancelled": (("--set", "actors.cut.when.interval=200ms"), {"cut", "df"}),
    "export-local": (
        ("--set", "actors.folder.generate.layer=64KiB", "--set", "actors.tar.generate.layer=64KiB"),
        set(),
    ),
    "many-clients": ((), set()),
    "short-steps": (("--set", "actors.ci.generate.steps=5"), set()),
}


@pytest.mark.parametrize("name", LISTENS)
def test_shipped(repro: Repro, name: str) -> None:
    """What listens for such a symptom loads a healthy daemon, its acts have effect, and it finds nothing."""
    options, actors = LISTENS[name]
    ends = ("--iterations", "8", "--time", "40s")
    code, output = repro(
        "run", str(SCENARIOS / f"{name}.yaml"), "--daemon", folder_from("REPRO_FIXED"), *ends, *options
    )
    assert code == 0, output
    assert repro.folder.read(Finding) == []
    assert repro.summary.outcomes.get("ok", 0) >= 4, output
    acted = {act.actor for act in repro.folder.read(Action) if act.succeeded}
    assert acted == actors, output
