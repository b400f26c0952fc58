"""What a COPY that fails does to the builds beside it, on upstream's own daemon: found, known and explained."""

from harness.core.outcome import Symptom
from harness.core.records import Finding
from harness.report.explain.explanation import explain
from tests.system.conftest import SCENARIOS, Repro, folder_from


def test_an_affected_daemon_loses_a_snapshot(repro: Repro) -> None:
    """BuildKit before v0.31.0, and so before v0.25.0, fails a build for a snapshot that a prune has removed."""
    scenario = str(SCENARIOS / "failed-copy.yaml")
    code, output = repro("run", scenario, "--daemon", folder_from("REPRO_AFFECTED"), "--time", "4m")
    assert code == 1, output
    assert repro.summary.diagnosis is not None
    assert repro.summary.diagnosis.signature == "failed-copy-releases", output
    assert {finding.kind for finding in repro.folder.read(Finding)} == {Symptom.FAILURE}
    told = "\n".join(explain(repro.folder).text)
    assert "of prune loop" in told
    assert "that its error names" in told
