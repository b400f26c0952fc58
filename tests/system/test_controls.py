"""The controls: what must be found is found, and what is quiet is clean, on every daemon that can be had."""

import tarfile

import pytest

from harness.core.outcome import Outcome, Verdict
from harness.core.records import Action, Finding, Sample
from tests.support.stub_runs import SEEN_WITHIN
from tests.system.conftest import AFTERMATH, SCENARIOS, Repro, folder_from, left_of

DOCKERDS = ["debian:trixie", "debian:forky"]


@pytest.mark.parametrize("toolchain", DOCKERDS)
def test_frozen_dockerd_is_a_hang(repro: Repro, toolchain: str) -> None:
    """A real dockerd, frozen at the moment an export completes, is found as a hang, with evidence, and healed."""
    code, output = repro("run", str(SCENARIOS / "control-hang.yaml"), "--daemon", toolchain)
    summary = repro.summary
    assert code == 1, output
    assert summary.verdict is Verdict.HANG
    assert summary.first_hang is not None
    first = repro.folder.read(Finding)[0]
    assert first.kind is Outcome.HANG
    assert first.iteration == summary.first_hang.iteration
    assert first.waited - 3.0 <= SEEN_WITHIN, "seen at the first beat after its threshold"
    assert summary.diagnosis is not None
    assert summary.diagnosis.kind == "frozen", "and no livelock, although nothing in it moves"
    assert summary.aftermath["same_build_hangs"].said == "no", "it was frozen, and goes on"
    for question in ("stops_on_sigterm", "same_build_works_after"):
        assert summary.aftermath[question].said == "yes", summary.aftermath
    evidence = repro.folder.path / "findings" / str(first.iteration)
    assert "goroutine " in (evidence / "goroutines-0.txt").read_text()
    assert not left_of(repro.folder.name)


@pytest.mark.parametrize("toolchain", DOCKERDS)
def test_quiet_dockerd_is_clean(repro: Repro, toolchain: str) -> None:
    """A quiet dockerd is clean, with its version and its binaries' hashes recorded.

    A build may fail all the same: dockerd loses a race with its own clean-up of the image that a new one replaces
    (``parent snapshot … does not exist``).
    """
    code, output = repro("run", str(SCENARIOS / "control-clean.yaml"), "--daemon", toolchain)
    assert code == 0, output
    assert repro.summary.verdict is Verdict.CLEAN
    assert "infra" not in repro.summary.outcomes
    manifest = repro.folder.read_json("run.json")
    assert manifest["daemon"]["version"][:2] in {"26", "28"}
    assert all(len(binary["sha256"]) == 64 for binary in manifest["toolchain"]["binaries"].values())
    assert not left_of(repro.folder.name)


def test_the_demonstration(repro: Repro) -> None:
    """`repro demo` freezes a real daemon, finds that, and walks through it: that is what it promised, so it is 0."""
    code, output = repro("demo", "--daemon", folder_from("REPRO_FIXED"))
    assert code == 0, output
    assert "1. It was found: iteration " in output
    assert "findings/" in output
    assert "\nHANG  export hang at iteration " in output
    assert not left_of(repro.folder.name)


@pytest.mark.parametrize("variable", ["REPRO_AFFECTED", "REPRO_FIXED"])
def test_frozen_buildkitd_is_a_hang(repro: Repro, variable: str) -> None:
    """A real buildkitd, frozen at the moment an export completes, is found as a hang."""
    code, output = repro("run", str(SCENARIOS / "control-hang.yaml"), "--daemon", folder_from(variable))
    assert code == 1, output
    assert repro.summary.first_hang is not None
    assert not left_of(repro.folder.name)


def test_quiet_buildkitd_is_clean(repro: Repro) -> None:
    """A real buildkitd that nobody disturbs is clean."""
    code, output = repro("run", str(SCENARIOS / "control-clean.yaml"), "--daemon", folder_from("REPRO_FIXED"))
    assert code == 0, output
    assert not left_of(repro.folder.name)


def test_affected_buildkitd_hangs(repro: Repro) -> None:
    """The hang of the report is found on an affected release, and three dumps show the livelock."""
    scenario, toolchain = str(SCENARIOS / "prune-race.yaml"), folder_from("REPRO_AFFECTED")
    code, output = repro("run", scenario, "--daemon", toolchain, "--time", "4m")
    assert code == 1, output
    first = repro.summary.first_hang
    assert first is not None
    dumps = [repro.folder.path / "findings" / str(first.iteration) / f"goroutines-{number}.txt" for number in range(3)]
    assert all("solver.(*exporter).ExportTo" in dump.read_text() for dump in dumps)
    assert {question: answer.said for question, answer in repro.summary.aftermath.items()} == AFTERMATH
    diagnosis = repro.summary.diagnosis
    assert diagnosis is not None
    assert (diagnosis.kind, diagnosis.signature) == ("livelock", "export-livelock")
    assert "livelock in solver.(*exporter).ExportTo" in output
    assert "known: fixed in BuildKit v0.25.0 / Engine 28.5.0" in output
    archive = repro.results / "bundle.tgz"
    code, output = repro("bundle", str(repro.folder.path), "--output", str(archive))
    assert code == 0, output
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    evidence = {f"findings/{first.iteration}/{name}" for name in ("goroutines-0.txt", "cpu.pprof", "process.json")}
    assert {"ISSUE.md", "prune-race.yaml", "goroutines.txt", "dockerfiles/diamond/Dockerfile"} | evidence <= names
    assert not left_of(repro.folder.name), "a hung daemon does not stop on SIGTERM, and is ended all the same"


def test_fixed_buildkitd_does_not_hang(repro: Repro) -> None:
    """The same mix on a fixed release finds no hang; a stall is a finding of its own, and is told as one."""
    scenario, toolchain = str(SCENARIOS / "prune-race.yaml"), folder_from("REPRO_FIXED")
    code, output = repro("run", scenario, "--daemon", toolchain, "--iterations", "100")
    assert repro.summary.first_hang is None, output
    assert code == (125 if repro.summary.first_stall else 0)
    assert any(action.succeeded for action in repro.folder.read(Action))
    assert any(sample.goroutines for sample in repro.folder.read(Sample))
