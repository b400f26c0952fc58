"""Hangs that no client is left to show, on real daemons: found behind builds that were timed out, and only there."""

from harness.core.outcome import Ending, Outcome, Phase, Verdict
from harness.core.records import Audit, Finding, Iteration
from tests.system.conftest import AFTERMATH, SCENARIOS, Repro, folder_from, left_of

PRUNE_RACE = str(SCENARIOS / "prune-race.yaml")
ALL_KILLED = (
    *("--set", "actors.ci.kill.chance=1"),
    *("--set", "actors.ci.kill.after={uniform: [1s, 2500ms]}"),
)
"""Every build is timed out, most of them about as they export: no client waits for long enough to see a hang."""


def test_a_hang_behind_killed_builds(repro: Repro) -> None:
    """Where every build is timed out, an affected BuildKit's hang is found in its history, with the same livelock."""
    code, output = repro(
        *("run", PRUNE_RACE, "--daemon", folder_from("REPRO_AFFECTED"), "--time", "4m", *ALL_KILLED),
    )
    summary = repro.summary
    assert code == 1, output
    assert (summary.verdict, summary.ending) == (Verdict.HANG, Ending.FINDINGS)
    first = summary.first_hang
    assert first is not None
    assert first.seen_by == "history"
    assert "behind a build that was timed out" in summary.because
    assert summary.rate.hangs == 0, "the rate is that of builds that nobody killed"
    finding = repro.folder.read(Finding)[0]
    assert (finding.kind, finding.seen_by, finding.iteration) == (Outcome.HANG, "history", first.iteration)
    assert finding.phase in {Phase.EXPORTING, Phase.EXPORTED}, "the export fails where the kill comes within it"
    assert 5.0 <= finding.waited < 12.0
    build = next(each for each in repro.folder.read(Iteration) if each.number == first.iteration)
    assert (build.outcome, build.seen_by, build.released) == (Outcome.HANG, "history", None)
    assert build.killed is not None
    evidence = repro.folder.path / "findings" / str(first.iteration)
    for number in range(3):
        assert "solver.(*exporter).ExportTo" in (evidence / f"goroutines-{number}.txt").read_text()
    assert "exporting to image" in (evidence / "progress.jsonl").read_text()
    assert summary.diagnosis is not None
    assert summary.diagnosis.signature == "export-livelock"
    assert {question: answer.said for question, answer in summary.aftermath.items()} == AFTERMATH
    assert not left_of(repro.folder.name)


def test_no_hang_behind_killed_builds(repro: Repro) -> None:
    """A fixed BuildKit lets go of every build that is timed out: no finding, and each record is seen to end."""
    code, output = repro(
        *("run", PRUNE_RACE, "--daemon", folder_from("REPRO_FIXED"), "--iterations", "200", "--seed", "11"),
        *("--set", "actors.ci.kill.chance=0.7"),
    )
    assert [finding for finding in repro.folder.read(Finding) if finding.kind is Outcome.HANG] == [], output
    killed = [build for build in repro.folder.read(Iteration) if build.outcome is Outcome.TIMED_OUT]
    assert len(killed) > 100
    if code == 0:
        assert all(build.released is not None for build in killed)
    else:  # the stall that it has too, once in thousands of builds
        assert repro.summary.first_stall is not None, output


def test_killed_builds_of_a_dockerd_are_seen_to_end(repro: Repro) -> None:
    """Through buildx too a record is known by its iteration, and seen to end soon after its client does."""
    code, output = repro(
        *("run", PRUNE_RACE, "--daemon", "debian:forky", "--iterations", "40", "--seed", "3"),
        *("--set", "actors.ci.kill.chance=0.5", "--set", "actors.ci.export=load", "--set", "audit.every=20"),
        *("--set", "detect.export_hang=30s", "--set", "detect.orphan=30s"),
    )
    assert repro.folder.read(Finding) == [], output
    assert code == 0, output
    builds = repro.folder.read(Iteration)
    killed = [build for build in builds if build.outcome is Outcome.TIMED_OUT]
    assert killed
    for build in killed:
        assert build.released is not None
        assert build.exited is not None
        assert build.exited < build.released < build.exited + 15.0
    assert all(build.released is None for build in builds if build.outcome is Outcome.OK)
    audits = repro.folder.read(Audit)
    assert audits[0].running == 0
    assert audits[0].cache is not None
