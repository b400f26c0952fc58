"""The verdict: a table of runs, and what it says of each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from harness.analysis.judge import judge
from harness.core.outcome import Ending, ExitCode, Outcome, Phase, Verdict
from harness.core.records import Action, Finding, FirstHang, Iteration, Summary


def build(outcome: Outcome, *, tail: float | None = 0.005, error: str = "", number: int = 1) -> Iteration:
    """Return a build of an outcome; its export completed at second 1 if it has a tail."""
    exported, exited = (None, 1.0) if tail is None else (1.0, 1.0 + tail)
    return Iteration(number, "ci", {"N": "1"}, outcome, 0.0, 0.1, 0.9, exported, exited, None, 0, error)


def finding(kind: Outcome, *, hunted: bool, iteration: int = 3, at: float = 2.5) -> Finding:
    """Return a hang or a stall."""
    return Finding(iteration, kind, at, "ci", {"N": "3"}, Phase.EXPORTED, 1.5, 4, (), hunted)


def judged(
    iterations: Sequence[Iteration],
    findings: Sequence[Finding] = (),
    ending: Ending = Ending.ITERATIONS,
    **more: Any,
) -> Summary:
    """Return what a run of these records comes to."""
    given: dict[str, Any] = {"detail": "", "seconds": 60.0, "unattended": 0.0} | more
    daemon = {"kind": "stub"}
    return judge(iterations, findings, scenario="s", daemon=daemon, seed=1, ending=ending, **given)


OK, HANG, STALL = build(Outcome.OK), build(Outcome.HANG), build(Outcome.STALL, tail=None)
FAILED, TIMED_OUT = build(Outcome.FAILED, tail=None, error="exit code: 1"), build(Outcome.TIMED_OUT, tail=None)
INFRA, CUT_OFF = build(Outcome.INFRA, tail=None, error="disk full"), build(Outcome.CUT_OFF, tail=None)
HUNTED_HANG, HUNTED_STALL = finding(Outcome.HANG, hunted=True), finding(Outcome.STALL, hunted=True)
STRAY_HANG, STRAY_STALL = finding(Outcome.HANG, hunted=False), finding(Outcome.STALL, hunted=False)


@dataclass(frozen=True)
class Case:
    """One run and its verdict."""

    name: str
    iterations: Sequence[Iteration]
    verdict: Verdict
    exit_code: ExitCode
    because: str
    findings: Sequence[Finding] = ()
    ending: Ending = Ending.ITERATIONS
    detail: str = ""


FOUND, CLEAN, OPEN = Verdict.HANG, Verdict.CLEAN, Verdict.INCONCLUSIVE
CASES = [
    Case(
        "quiet",
        [OK] * 300,
        CLEAN,
        ExitCode.CLEAN,
        "no hang in 300 builds; one in 101 builds or more often is ruled out (95 % sure)",
    ),
    Case("quiet-by-time", [OK], CLEAN, ExitCode.CLEAN, "no hang in 1 build; one in 1.1 builds", ending=Ending.TIME),
    Case("kills-are-no-trials", [OK, TIMED_OUT, TIMED_OUT], CLEAN, ExitCode.CLEAN, "no hang in 1 build; "),
    Case("failures-are-no-trials", [FAILED, OK], CLEAN, ExitCode.CLEAN, "no hang in 1 build; "),
    Case("infra-is-no-trial", [OK, INFRA, CUT_OFF], CLEAN, ExitCode.CLEAN, "no hang in 1 build; "),
    Case(
        "hunted-hang",
        [OK, HANG],
        FOUND,
        ExitCode.HANG,
        "export hang at iteration 3, 2.5 s",
        [HUNTED_HANG],
        Ending.FINDINGS,
    ),
    Case(
        "hunted-stall",
        [STALL],
        FOUND,
        ExitCode.HANG,
        "stall before the export at iteration 3",
        [HUNTED_STALL],
        Ending.FINDINGS,
    ),
    Case("hang-then-interrupted", [HANG], FOUND, ExitCode.HANG, "export hang", [HUNTED_HANG], Ending.INTERRUPTED),
    Case("hang-then-infra", [HANG, INFRA], FOUND, ExitCode.HANG, "export hang", [HUNTED_HANG], Ending.INFRA),
    Case("hang-then-death", [HANG], FOUND, ExitCode.HANG, "export hang", [HUNTED_HANG], Ending.DAEMON_DIED),
    Case("hang-beside-stray-stall", [HANG, STALL], FOUND, ExitCode.HANG, "export hang", [STRAY_STALL, HUNTED_HANG]),
    Case(
        "stray-stall",
        [OK, STALL],
        OPEN,
        ExitCode.INCONCLUSIVE,
        "stall before the export at iteration 3, 2.5 s into the run, which this scenario does not hunt",
        [STRAY_STALL],
    ),
    Case("stray-hang", [OK, HANG], OPEN, ExitCode.INCONCLUSIVE, "export hang at iteration 3", [STRAY_HANG]),
    Case(
        "stalled-for-good",
        [OK, STALL],
        OPEN,
        ExitCode.INCONCLUSIVE,
        "the daemon completed no build any more; stall before the export at iteration 3",
        [STRAY_STALL],
        Ending.STALLED,
    ),
    Case(
        "nothing-builds",
        [FAILED] * 10,
        OPEN,
        ExitCode.INCONCLUSIVE,
        "no build succeeded: exit code: 1",
        ending=Ending.FAILING,
        detail="exit code: 1",
    ),
    Case(
        "daemon-died",
        [OK],
        OPEN,
        ExitCode.INCONCLUSIVE,
        "the daemon is gone: oom",
        ending=Ending.DAEMON_DIED,
        detail="oom",
    ),
    Case("interrupted", [OK] * 9, OPEN, ExitCode.INTERRUPTED, "it was interrupted", ending=Ending.INTERRUPTED),
    Case(
        "interrupted-beside-stray-stall",
        [OK, STALL],
        OPEN,
        ExitCode.INTERRUPTED,
        "it was interrupted; stall before the export",
        [STRAY_STALL],
        Ending.INTERRUPTED,
    ),
    Case(
        "infra",
        [OK] * 9 + [INFRA],
        OPEN,
        ExitCode.BROKEN,
        "the harness or the host broke: disk full",
        ending=Ending.INFRA,
        detail="disk full",
    ),
    Case("no-build", [], OPEN, ExitCode.INCONCLUSIVE, "no build came to the end of its export"),
    Case("only-kills", [TIMED_OUT] * 5, OPEN, ExitCode.INCONCLUSIVE, "no build came to the end of its export"),
    Case(
        "only-failures",
        [TIMED_OUT, FAILED],
        OPEN,
        ExitCode.INCONCLUSIVE,
        "no build came to the end of its export; the first error: exit code: 1",
    ),
    Case("ok-without-export", [build(Outcome.OK, tail=None)], OPEN, ExitCode.INCONCLUSIVE, "no build came to the end"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_verdicts(case: Case) -> None:
    """Each run has its verdict, its exit code and its reason."""
    summary = judged(case.iterations, case.findings, case.ending, detail=case.detail)
    assert (summary.verdict, summary.exit_code) == (case.verdict, case.exit_code)
    assert summary.because.startswith(case.because)
    assert summary.ending is case.ending


def test_every_ending_is_judged() -> None:
    """A run without a finding is clean only where it came to the end that the scenario gave it."""
    clean = {ending for ending in Ending if judged([OK], ending=ending).verdict is Verdict.CLEAN}
    assert clean == {Ending.ITERATIONS, Ending.TIME, Ending.FINDINGS}


def test_figures() -> None:
    """Counts, rate, tails and speed are computed from the records, and a killed build is in no rate."""
    tails = [build(Outcome.OK, tail=tail / 1000) for tail in range(1, 101)]
    summary = judged(
        [*tails, replace(TIMED_OUT, merged=("a", "b")), HANG, INFRA],
        [finding(Outcome.HANG, hunted=True, iteration=102)],
        Ending.FINDINGS,
        seconds=120.0,
        unattended=1.5,
        left_behind=("a folder",),
    )
    assert summary.iterations == 103
    assert summary.outcomes == {"ok": 100, "timed_out": 1, "hang": 1, "infra": 1}
    assert (summary.rate.hangs, summary.rate.trials) == (1, 101)
    assert summary.merged == 1
    assert summary.tail_seconds == {
        "p50": pytest.approx(0.05),
        "p99": pytest.approx(0.099),
        "max": pytest.approx(0.1),
    }
    assert summary.iterations_per_minute == pytest.approx(51.5)
    assert (summary.unattended_seconds, summary.left_behind) == (1.5, ("a folder",))


def test_the_first_of_each() -> None:
    """The first hang and the first stall are the earliest by time, whatever the order of the records."""
    findings = [
        finding(Outcome.HANG, hunted=True, iteration=5, at=9.0),
        finding(Outcome.STALL, hunted=False, iteration=6, at=1.0),
        finding(Outcome.HANG, hunted=True, iteration=7, at=3.0),
    ]
    summary = judged([HANG, HANG, STALL], findings, Ending.FINDINGS)
    assert summary.first_hang == FirstHang(7, 3.0, "ci", {"N": "3"}, Outcome.HANG)
    assert summary.first_stall == FirstHang(6, 1.0, "ci", {"N": "3"}, Outcome.STALL)
    assert "iteration 7, 3.0 s" in summary.because


def test_trials_end_with_the_first_hang() -> None:
    """What a daemon does after its first hang, hang again or go on, is in no rate, but in the counts and the tails."""
    late = [replace(OK, exported=9.0, exited=9.5) for _ in range(10)]
    findings = [finding(Outcome.HANG, hunted=True, at=at) for at in (8.0, 2.5)]
    summary = judged([OK, HANG, OK, HANG, *late], findings, Ending.FINDINGS)
    assert (summary.rate.hangs, summary.rate.trials) == (1, 3)
    assert summary.outcomes == {"ok": 12, "hang": 2}
    assert summary.tail_seconds["max"] == 0.5
    stalled = judged([OK, STALL, *late], [finding(Outcome.STALL, hunted=False, at=2.5)])
    assert (stalled.rate.hangs, stalled.rate.trials) == (0, 11)


def test_what_is_in_flight_as_a_daemon_hangs_is_no_trial() -> None:
    """A trial is the end of an export: what comes to it after the hang's onset, or never, says nothing of the rate."""
    later = [replace(one, number=number, exported=2.0) for number, one in enumerate((OK, HANG), 10)]
    others = [replace(TIMED_OUT, exited=9.0), replace(FAILED, exited=9.0), replace(STALL, exited=9.0)]
    summary = judged([OK, replace(HANG, number=3), *later, *others], [HUNTED_HANG])
    assert (summary.rate.hangs, summary.rate.trials, summary.rate.unsettled) == (1, 2, 0)
    assert summary.because.endswith("; after it 1 more builds returned: it does not stay")


def test_a_build_that_was_cut_off_after_its_export_bounds_the_exclusion() -> None:
    """It had waited for longer than any other, and so may have hung; the verdict's sentence says so."""
    waited = replace(CUT_OFF, solving=0.1, exported=1.0, exited=None, cut=60.0)
    summary = judged([OK] * 300 + [waited])
    assert summary.verdict is Verdict.CLEAN
    assert "builds or more often is ruled out (95 % sure), for 1 build was cut off while waiting" in summary.because
    assert judged([OK] * 300 + [replace(waited, cut=1.0)]).rate.unsettled == 0


def test_the_rate_is_over_daemons() -> None:
    """Each daemon counts its trials up to its own first hang, which is one; one that never hung counts them all."""
    iterations = [replace(build(Outcome.OK), generation=daemon) for daemon in (1, 1, 2, 2, 2, 3)]
    late = replace(OK, exported=9.0, exited=9.5, generation=1)
    findings = [
        replace(finding(Outcome.HANG, hunted=True, at=at), generation=daemon)
        for at, daemon in ((2.5, 1), (3, 1), (8, 2))
    ]
    summary = judged([*iterations, late], findings)
    assert (summary.rate.hangs, summary.rate.trials) == (2, 8)


def test_a_run_of_no_time() -> None:
    """A run that ended before it began has no speed, and is no division by its time."""
    summary = judged([], seconds=0.0)
    assert summary.iterations_per_minute == 0.0
    assert summary.tail_seconds == {"p50": None, "p99": None, "max": None}
    assert (summary.rate.low95, summary.rate.high95) == (0.0, 1.0)


def test_a_hang_behind_a_killed_build() -> None:
    """A daemon that hung has hung, whoever saw it: it decides the verdict, and is the hang of the rate."""
    history = replace(HUNTED_HANG, seen_by="history")
    late = replace(OK, exported=2.9, exited=3.0)
    summary = judged([OK, OK, HANG, late], [history], Ending.FINDINGS)
    assert (summary.verdict, summary.exit_code) == (Verdict.HANG, ExitCode.HANG)
    assert summary.because.startswith("export hang at iteration 3, 2.5 s into the run, behind a build that was timed")
    assert summary.first_hang == FirstHang(3, 2.5, "ci", {"N": "3"}, Outcome.HANG, "history")
    assert (summary.rate.hangs, summary.rate.trials) == (1, 3)


def test_nothing_but_killed_builds() -> None:
    """A run of killed builds alone is inconclusive without a finding, and a hang with one."""
    assert judged([TIMED_OUT] * 5).verdict is Verdict.INCONCLUSIVE
    summary = judged([TIMED_OUT] * 5, [replace(HUNTED_HANG, seen_by="history")], Ending.FINDINGS)
    assert summary.verdict is Verdict.HANG
    assert (summary.rate.hangs, summary.rate.trials) == (1, 1)


def test_a_clean_verdict_names_what_was_looked_for() -> None:
    """A run that hunts stalls too says that none came, and the summary keeps what was hunted."""
    summary = judged([OK] * 300, hunts=("hang", "stall"))
    assert summary.because.startswith("no hang and no stall in 300 builds; one in 101 builds or more often")
    assert summary.hunts == ("hang", "stall")


def meddled(began: float, ended: float, *, kind: str = "registry", effect: int = 3, generation: int = 1) -> Action:
    """Return an act of the scenario's own."""
    return Action("bad", kind, 1, began, began, began, ended, True, "", generation, effect)


EXPORTING = replace(FAILED, exporting=5.0, exited=7.0, error="413 Request Entity Too Large")
"""A build that failed in its export."""


@pytest.mark.parametrize(
    ("failed", "acts", "verdict"),
    [
        (EXPORTING, [meddled(4, 6)], CLEAN),
        (EXPORTING, [meddled(0, 1), meddled(6, 9)], CLEAN),
        (EXPORTING, [meddled(8, 9)], OPEN),
        (EXPORTING, [meddled(0, 4)], OPEN),
        (EXPORTING, [meddled(4, 6, kind="prune")], OPEN),
        (EXPORTING, [meddled(4, 6, generation=2), meddled(9, 10)], OPEN),
        (EXPORTING, [meddled(4, 6, effect=0), meddled(9, 10)], OPEN),
        (replace(EXPORTING, exporting=None), [meddled(4, 6)], OPEN),
    ],
    ids=[
        "in it",
        "at its end",
        "later",
        "before",
        "a prune",
        "on another daemon",
        "met by nobody",
        "before its export",
    ],
)
def test_failures_that_the_scenario_provokes(failed: Iteration, acts: list[Action], verdict: Verdict) -> None:
    """Exports that fail in a fault of the scenario's own registry do not speak against a run; all others do."""
    summary = judged([OK] * 2 + [failed] * 20, actions=acts)
    assert summary.verdict is verdict
    assert "20 builds failed" in summary.because
    provoked = "20 of them in what the scenario did to their registry" in summary.because
    assert provoked == (verdict is CLEAN)
    assert summary.failures[0].count == 20, "they are counted all the same"


def test_failures_beside_those_that_are_provoked() -> None:
    """Of failures that nobody provoked, more than the successes are too many, whatever else was provoked."""
    summary = judged([OK] + [EXPORTING] * 5 + [FAILED] * 3, actions=[meddled(4, 6)])
    assert summary.verdict is OPEN
    assert summary.because.startswith("8 builds failed and 1 succeeded; 5 of them in what the scenario did")


def test_builds_that_are_all_cut_off() -> None:
    """What of the scenario cut them off is the reason that no build came through, not the error of the first."""
    cut = replace(CUT_OFF, error="kill restarted the builder: broken pipe")
    summary = judged([replace(cut, error="unlike: once"), *[cut] * 19])
    assert summary.because == (
        "no build came to the end of its export; 20 were cut off, most often (19 times) as kill restarted the builder"
    )
