"""The hang in one attempt, on upstream's own daemons: two builds, one kill, one prune."""

import pytest

from harness.core.outcome import Outcome
from harness.core.records import Action, Iteration
from harness.report.explain.explanation import explain
from tests.system.conftest import SCENARIOS, Repro, folder_from

SCENARIO = str(SCENARIOS / "merged-and-killed.yaml")


def test_an_affected_daemon_hangs(repro: Repro) -> None:
    """The build that outlives the one merged into it hangs after its export, as what it is known as."""
    daemon = folder_from("REPRO_AFFECTED")
    code, output = repro("run", SCENARIO, "--daemon", daemon, "--set", "on_hang.probe=false")
    assert code == 1, output
    assert repro.summary.diagnosis is not None
    assert repro.summary.diagnosis.signature == "export-livelock", output
    assert repro.summary.outcomes == {"timed_out": 1, "hang": 1}
    [removal] = [act for act in repro.folder.read(Action) if act.actor == "cleanup" and (act.effect or 0) > 18_000_000]
    """Of the killed build's context."""
    builds = {build.outcome: build.number for build in repro.folder.read(Iteration)}
    why = explain(repro.folder)
    assert why.unknown == (), "every part of the cause was recorded"
    assert why.cause
    assert why.cause.owners == (builds[Outcome.TIMED_OUT],)
    assert why.cause.step
    assert why.cause.step.name == "[internal] load build context"
    assert why.cause.merge
    assert why.cause.merge.name.endswith("COPY busybox /bin/busybox")
    assert why.cause.into == why.cause.hung == (builds[Outcome.HANG],)
    assert why.cause.remover == removal
    assert "by act 1 of kill merged-away" in "\n".join(why.lines)
    assert repro.summary.graph
    assert repro.summary.graph.inconsistent == 0


@pytest.mark.parametrize(
    ("variable", "victim"), [("REPRO_FIXED", "followed"), ("REPRO_AFFECTED", "other")], ids=["fixed", "other-client"]
)
def test_no_hang(repro: Repro, variable: str, victim: str) -> None:
    """A fixed daemon, and an affected one whose other client is killed, return."""
    daemon = folder_from(variable)
    code, output = repro("run", SCENARIO, "--daemon", daemon, "--set", f"actors.merged-away.victim={victim}")
    assert code == 0, output
    assert sorted(build.outcome for build in repro.folder.read(Iteration)) == [Outcome.OK, Outcome.TIMED_OUT]
