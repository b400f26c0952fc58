"""Several runs of one scenario on daemons of one kind, added up: one rate, one verdict."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness.analysis.effects import without_effect
from harness.analysis.judge import without_a_finding
from harness.analysis.watched_rate import watched_rate
from harness.core.outcome import Ending, ExitCode, Outcome, Verdict, gravest
from harness.core.records import ActorTotals, FirstHang, Leak, Summary

_OF_THE_DAEMON: Final = {Ending.DAEMON_DIED, Ending.STALLED, Ending.FAILING, Ending.UNABLE}
"""Ways to be cut short that say something of the daemon; the others (we, the host, the user) do not."""

_BY_ITSELF: Final = {Ending.ITERATIONS, Ending.TIME}


@dataclass(frozen=True)
class RunSegment:
    """One of several runs."""

    run: str
    summary: Summary


def merge(parts: Sequence[RunSegment]) -> Summary:
    """Return what runs come to together; they must belong together, and there must be one at least.

    Trials and hangs are added up: each daemon has counted its trials up to its own first hang (see `rates.rate` for why
    that interval is fair). The verdict is ``hang`` if one run's is; else ``inconclusive`` if one had a finding that its
    scenario does not hunt, or its daemon died, stalled or built nothing, or it came to its end and its disturbance
    never took effect or its builds failed; else ``clean`` if one run's is: what others had recorded before they were
    interrupted or broke counts, unless an actor never took effect in any of them. First hang, aftermath and diagnosis
    are those of the run that hung first, by the time since it began, and so is the iteration's number. Seconds are of
    all runs together, as if one after the other; of quantiles only the maximum can be added up. The seed is the first
    run's.
    """
    summaries = [part.summary for part in parts]
    rates = [each.rate for each in summaries]
    hangs = watched_rate(*(sum(getattr(each, what) for each in rates) for what in ("hangs", "trials", "unsettled")))
    decisive, verdict, because = _judged(parts)
    actors = _added_up(summaries)
    if verdict is Verdict.CLEAN and (idle := without_effect(actors)):
        verdict, because = Verdict.INCONCLUSIVE, idle
    cut_short = [part.run for part in parts if part.summary.verdict is Verdict.INCONCLUSIVE]
    if verdict is Verdict.CLEAN:
        because = without_a_finding(hangs, decisive.hunts)
        if cut_short:
            because += f"; cut short, and counted as far as they came: {', '.join(cut_short)}"
    outcomes: Counter[str] = Counter()
    for each in summaries:
        outcomes.update(each.outcomes)
    total, seconds = sum(each.iterations for each in summaries), sum(each.seconds for each in summaries)
    merged = replace(
        decisive,
        seed=summaries[0].seed,
        verdict=verdict,
        because=because,
        exit_code=_exit_code(verdict, summaries),
        iterations=total,
        outcomes={outcome.value: outcomes[outcome] for outcome in Outcome if outcomes[outcome]},
        first_hang=_earliest([each.first_hang for each in summaries]),
        first_stall=_earliest([each.first_stall for each in summaries]),
        first_finding=decisive.first_finding,
        rate=hangs,
        tail_seconds=_tails(summaries),
        seconds=seconds,
        iterations_per_minute=60 * total / seconds if seconds else 0.0,
        unattended_seconds=sum(each.unattended_seconds for each in summaries),
        left_behind=tuple(problem for each in summaries for problem in each.left_behind),
        leak=_gravest_leak([each.leak for each in summaries]),
        actors=actors,
    )
    return merged if len(parts) > 1 else replace(merged, because=decisive.because)


def _judged(parts: Sequence[RunSegment]) -> tuple[Summary, Verdict, str]:
    """Return the run that decides, the verdict, and why."""
    hung = [part for part in parts if part.summary.verdict is Verdict.HANG]
    if hung:
        first = min(hung, key=lambda part: _time_of_first(part.summary))
        of = f"{len(hung)} of {len(parts)} runs found what they hunt; the first, {first.run}: {first.summary.because}"
        return first.summary, Verdict.HANG, of
    open_ = [part for part in parts if part.summary.verdict is Verdict.INCONCLUSIVE]
    spoilt = [part for part in open_ if _says_something(part.summary)]
    clean = [part.summary for part in parts if part.summary.verdict is Verdict.CLEAN]
    if clean and not spoilt:
        return clean[0], Verdict.CLEAN, ""
    named = spoilt or open_
    why = "; ".join(f"{part.run}: {part.summary.because}" for part in named)
    return named[0].summary, Verdict.INCONCLUSIVE, why


def _says_something(summary: Summary) -> bool:
    """Whether an inconclusive run saw something that a clean one beside it does not make good."""
    unloaded = summary.ending in _BY_ITSELF  # its builds failed, or what was to disturb the daemon did not
    return (
        bool(summary.first_finding or summary.first_hang or summary.first_stall)
        or summary.ending in _OF_THE_DAEMON
        or unloaded
    )


def _added_up(summaries: Sequence[Summary]) -> dict[str, ActorTotals]:
    """Return what the acts of each actor came to in all runs."""
    names = dict.fromkeys(name for each in summaries for name in each.actors)
    return {name: _sum([each.actors[name] for each in summaries if name in each.actors]) for name in names}


def _sum(totals: Sequence[ActorTotals]) -> ActorTotals:
    named = [each.effect for each in totals if each.effect is not None]
    return replace(
        totals[0],
        acts=sum(each.acts for each in totals),
        done=sum(each.done for each in totals),
        effective=sum(each.effective for each in totals),
        effect=sum(named) if named else None,
        reason=next((each.reason for each in totals if each.reason), ""),
    )


def _exit_code(verdict: Verdict, summaries: Sequence[Summary]) -> ExitCode:
    if verdict is Verdict.CLEAN:
        return ExitCode.CLEAN
    return gravest(each.exit_code for each in summaries)


def _time_of_first(summary: Summary) -> tuple[bool, float]:
    """Return the sort key of a run: runs with a hang by its time, then runs with stalls alone."""
    first = summary.first_hang or summary.first_stall or summary.first_finding
    return summary.first_hang is None, first.seconds if first else summary.seconds


def _earliest(found: Sequence[FirstHang | None]) -> FirstHang | None:
    return min((first for first in found if first), key=lambda first: first.seconds, default=None)


def _tails(summaries: Sequence[Summary]) -> dict[str, float | None]:
    if len(summaries) == 1:
        return dict(summaries[0].tail_seconds)
    longest = [tail for each in summaries if (tail := each.tail_seconds.get("max")) is not None]
    return {"p50": None, "p99": None, "max": max(longest, default=None)}


def _gravest_leak(leaks: Sequence[Leak | None]) -> Leak | None:
    order = ("yes", "unclear", "no")
    return min((leak for leak in leaks if leak), key=lambda leak: order.index(leak.verdict), default=None)
