"""Several runs as one: a table of what they come to together, and the figures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from harness.analysis.merge import RunSegment, merge
from harness.core.outcome import Ending, ExitCode, Outcome, Verdict
from harness.core.records import Leak, Summary
from tests.analysis.test_judge import (
    FAILED,
    HANG,
    HUNTED_HANG,
    OK,
    STALL,
    STRAY_HANG,
    STRAY_STALL,
    build,
    finding,
    judged,
)

QUIET = judged([OK] * 100)
HUNG = judged([OK] * 49 + [HANG], [HUNTED_HANG], Ending.FINDINGS)
LATER = judged([OK] * 20 + [HANG], [finding(Outcome.HANG, hunted=True, iteration=21, at=8.0)], Ending.FINDINGS)
INTERRUPTED = judged([OK] * 7, ending=Ending.INTERRUPTED)
BROKEN = judged([OK] * 80, ending=Ending.INFRA, detail="the harness was killed")
DIED = judged([OK] * 9, ending=Ending.DAEMON_DIED, detail="oom")
STALLED = judged([OK, STALL], [STRAY_STALL])
STRAY = judged([OK, HANG], [STRAY_HANG])
NOTHING = judged([FAILED])


@dataclass(frozen=True)
class Case:
    """Runs, and what they come to."""

    name: str
    summaries: Sequence[Summary]
    verdict: Verdict
    exit_code: ExitCode
    hangs: int
    trials: int
    because: str


FOUND, CLEAN, OPEN = Verdict.HANG, Verdict.CLEAN, Verdict.INCONCLUSIVE
CASES = [
    Case("one", [QUIET], CLEAN, ExitCode.CLEAN, 0, 100, QUIET.because),
    Case("one-hung", [HUNG], FOUND, ExitCode.HANG, 1, 50, HUNG.because),
    Case("clean", [QUIET, QUIET], CLEAN, ExitCode.CLEAN, 0, 200, "no hang in 200 builds; one in "),
    Case(
        "the-brief-of-it",
        [QUIET, HUNG, BROKEN],
        FOUND,
        ExitCode.HANG,
        1,
        230,
        "1 of 3 runs found what they hunt; the first, r1: export hang at iteration 3, 2.5 s into the run",
    ),
    Case("the-earliest", [LATER, HUNG], FOUND, ExitCode.HANG, 2, 71, "2 of 2 runs found what they hunt; the first, r1"),
    Case("interrupted-beside-clean", [INTERRUPTED, QUIET], CLEAN, ExitCode.CLEAN, 0, 107, "no hang in 107 builds; "),
    Case("broken-beside-clean", [QUIET, BROKEN], CLEAN, ExitCode.CLEAN, 0, 180, "no hang in 180 builds; "),
    Case("nothing-beside-clean", [QUIET, NOTHING], OPEN, ExitCode.INCONCLUSIVE, 0, 100, "r1: no build came to the end"),
    Case("died-beside-clean", [QUIET, DIED], OPEN, ExitCode.INCONCLUSIVE, 0, 109, "r1: the daemon is gone: oom"),
    Case("stalled-beside-clean", [QUIET, STALLED], OPEN, ExitCode.INCONCLUSIVE, 0, 101, "r1: stall before the export"),
    Case("stray-hang-beside-clean", [STRAY, QUIET], OPEN, ExitCode.INCONCLUSIVE, 1, 102, "r0: export hang"),
    Case("interrupted", [INTERRUPTED, NOTHING], OPEN, ExitCode.INTERRUPTED, 0, 7, "r1: no build came to the end"),
    Case("broken", [BROKEN, INTERRUPTED], OPEN, ExitCode.BROKEN, 0, 87, "r0: the harness or the host broke"),
    Case("died-beside-broken", [BROKEN, DIED], OPEN, ExitCode.BROKEN, 0, 89, "r1: the daemon is gone: oom"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_runs_come_to(case: Case) -> None:
    """Runs have one verdict, one exit code, one reason, and the sum of their trials and hangs."""
    summary = merge([RunSegment(f"r{index}", each) for index, each in enumerate(case.summaries)])
    assert (summary.verdict, summary.exit_code) == (case.verdict, case.exit_code)
    assert (summary.rate.hangs, summary.rate.trials) == (case.hangs, case.trials)
    assert summary.because.startswith(case.because)


def test_one_run_is_itself() -> None:
    """A single run comes to what it came to."""
    for each in (QUIET, HUNG, INTERRUPTED, BROKEN, DIED, STALLED, STRAY, NOTHING):
        assert merge([RunSegment("r", each)]) == each


def test_a_clean_sum_names_what_was_cut_short() -> None:
    """Who reads a clean verdict sees which of its runs did not come to their end."""
    summary = merge([RunSegment("whole", QUIET), RunSegment("killed", BROKEN)])
    assert summary.because.endswith("; cut short, and counted as far as they came: killed")


def test_figures() -> None:
    """Counts and times add up; the first hang is the earliest; of the tails only the longest is known of all."""
    slow = judged([build(Outcome.OK, tail=0.5), build(Outcome.TIMED_OUT, tail=None)], seconds=30.0, unattended=2.0)
    summary = merge([RunSegment("a", slow), RunSegment("b", LATER), RunSegment("c", HUNG)])
    assert summary.iterations == 2 + 21 + 50
    assert summary.outcomes == {"ok": 70, "timed_out": 1, "hang": 2}
    assert summary.first_hang == HUNG.first_hang
    assert summary.tail_seconds == {"p50": None, "p99": None, "max": 0.5}
    assert (summary.seconds, summary.unattended_seconds) == (150.0, 2.0)
    assert summary.iterations_per_minute == pytest.approx(73 / 2.5)


def test_the_gravest_leak() -> None:
    """If one run leaks, they leak."""
    leaks = [Leak("no", 0.0, -0.01, 0.01, None), Leak("yes", 0.9, 0.8, 1.0, "f"), None]
    parts = [RunSegment("r", replace(QUIET, leak=leak)) for leak in leaks]
    assert merge(parts).leak == leaks[1]
    assert merge(parts[::2]).leak == leaks[0]
