"""The leak on real daemons: what leaks is found, and named; what does not is not accused."""

from harness.core.outcome import Verdict
from harness.core.records import Audit
from tests.system.conftest import SCENARIOS, Repro, folder_from, left_of

STREAM = "google.golang.org/grpc.newClientStreamWithParams"


def test_dockerd_leaks(repro: Repro) -> None:
    """dockerd 28.5.2 with the containerd image store keeps about one goroutine a build; that is no hang."""
    code, output = repro(
        "run", str(SCENARIOS / "leak.yaml"), "--daemon", "debian:forky", "--iterations", "120", "--set", "audit.every=5"
    )
    summary = repro.summary
    assert (code, summary.verdict) == (0, Verdict.CLEAN), output
    assert summary.leak is not None
    assert (summary.leak.verdict, summary.leak.bucket) == ("yes", STREAM)
    assert 0.1 < summary.leak.low95 <= summary.leak.per_iteration <= summary.leak.high95 < 1.5
    audits = repro.folder.read(Audit)
    assert [audit.iteration for audit in audits] == [*range(5, 121, 5)]
    assert all(audit.open_files and audit.rss and audit.running == 0 for audit in audits)
    assert f"most of them made by {STREAM}" in output
    assert not left_of(repro.folder.name)


def test_buildkitd_does_not_leak(repro: Repro) -> None:
    """The fixed BuildKit gives back what quick builds take."""
    code, output = repro("run", str(SCENARIOS / "leak.yaml"), "--daemon", folder_from("REPRO_FIXED"))
    assert code == 0, output
    assert repro.summary.leak is not None
    assert repro.summary.leak.verdict == "no"
    assert not left_of(repro.folder.name)
