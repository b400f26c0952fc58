"""What is said of a run, in lines: the same on a screen, on a page, and in the text of an issue."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from textwrap import shorten
from typing import Final

from harness.analysis.leak import AUDITS_NEEDED
from harness.analysis.rates import excluded_rate
from harness.core.manifest import RunManifest
from harness.core.outcome import Outcome, Symptom, Verdict
from harness.core.records import ActorTotals, Audit, Finding, GraphState, Growing, Leak, Rate, Summary
from harness.core.units import counted, format_duration, format_size, one_in
from harness.store import aggregate
from harness.store.folder import RunFolder

_KINDS_TOLD: Final = 3
_LONGEST: Final = 300
"""Characters of an error in a line; the whole is in the record."""
NO_VERDICT: Final = "NO VERDICT"
_FAULTS_TOLD: Final = 3


def headline(folder: RunFolder, summary: Summary | None, manifest: RunManifest | None) -> tuple[str, str]:
    """Return the verdict, and what it rests on."""
    if summary:
        return summary.verdict.upper(), summary.because
    if folder.is_locked:
        return NO_VERDICT, f"the run goes on (pid {manifest.pid})" if manifest else "the run goes on"
    return NO_VERDICT, "the run died; `repro resume` goes on with it"


def verdict_word(summary: Summary) -> str:
    """Return the verdict as a person reads it: of a finding that is no hang, what kind it is."""
    first = summary.first_finding
    if summary.verdict is Verdict.HANG and first:
        return first.kind.replace("_", " ").upper()
    return summary.verdict.upper()


def rate_line(rate: Rate) -> str:
    """Return how many builds hang; without a hang, at most how many: the same bound as the verdict's."""
    unsure = f"; {rate.unsettled:,} more were ended while they waited after their export, and may have hung"
    of = str(rate)
    if not rate.hangs and rate.trials:
        of += f": fewer than {one_in(excluded_rate(rate.trials, unsettled=rate.unsettled))} (95 % sure)"
    elif rate.trials:
        of += f": {rate.interval} (95 % sure)"
    return of + (unsure if rate.unsettled else "")


def facts(folder: RunFolder, summary: Summary, manifest: RunManifest | None) -> dict[str, str]:
    """Return what a finished run comes to, a line by each name."""
    rate, daemon = summary.rate, summary.daemon
    minute = f"{summary.iterations_per_minute:.0f} a minute"
    named = f"{daemon['name']}: " if daemon.get("name") else ""
    started = f", started {moment(moment_of(manifest.started))}" if manifest else ""
    described = {
        "scenario": f"{summary.scenario}, seed {summary.seed}{started}",
        "daemon": f"{named}{daemon['kind'] or 'none'} {daemon['version'] or ''}, {daemon['toolchain']}",
        "iterations": f"{summary.iterations} in {format_duration(round(summary.seconds, 1))}, {minute}",
        "outcomes": ", ".join(f"{name} {count}" for name, count in summary.outcomes.items()) or "none",
        "hang rate": rate_line(rate),
        "tail": "  ".join(f"{name} {shown_seconds(value)}" for name, value in summary.tail_seconds.items()),
    }
    described |= _measured(folder)
    if summary.graph:
        described["cache graph"] = graph_line(summary.graph)
    if summary.leak:
        described["leak"] = leak_line(summary.leak)
    for growing in summary.growths:
        described[growing.what] = growing_line(growing)
    if not summary.leak and not summary.growths and (audits := _audits(folder)):
        described["audits"] = f"{audits}, and it takes {AUDITS_NEEDED} of one daemon to say what grows"
    if weak := little_effect(summary):
        described["little effect"] = weak
    if summary.unattended_seconds >= 1:
        described["unattended"] = (
            f"{format_duration(round(summary.unattended_seconds, 1))} did not count: the host was held up"
        )
    return described | {"folder": str(folder.path)}


def facts_so_far(
    folder: RunFolder, manifest: RunManifest, tails: aggregate.TailHistogram | None = None
) -> dict[str, str]:
    """Return a line by name for what a run without a verdict has recorded; `tails` spares reading them again."""
    counts, tails = aggregate.outcomes(folder), tails or aggregate.tails(folder)
    came = ", ".join(f"{outcome} {count}" for outcome, count in counts.counts.items())
    described = {
        "scenario": f"{folder.path.parent.name}, seed {manifest.seed}, started {moment(moment_of(manifest.started))}",
        "daemon": f"{manifest.kind or 'none'} {manifest.version or ''}, {manifest.toolchain.spec}",
        "iterations": str(counts.total),
        "outcomes": came or "none",
        "tail": f"p50 {shown_seconds(tails.p50)}  p99 {shown_seconds(tails.p99)}  max {shown_seconds(tails.longest)}",
    }
    return described | _measured(folder) | {"folder": str(folder.path)}


def _measured(folder: RunFolder) -> dict[str, str]:
    described = {}
    acts, ends = aggregate.acts(folder), aggregate.ends(folder)
    if acts:
        described["actions"] = "; ".join(_acts_line(of_one) for of_one in acts)
    builds, steps = aggregate.merged(folder)
    if builds:
        described["merged"] = merged_line(builds, steps)
    if kinds := aggregate.failures(folder):
        described["failures"] = failures_line(kinds)
    if ends.goroutines:
        described["goroutines"] = "{} at first, {} at last".format(*ends.goroutines)
    if ends.rss:
        described["daemon memory"] = "{} at first, {} at last".format(*map(format_size, ends.rss))
    return described


def merged_line(builds: int, steps: Sequence[str]) -> str:
    """Return how many builds had a step merged into another build's, and which the last one had."""
    return f"{counted(builds, 'build')} into others that did the same; the last at {merged_at(steps)}"


def merged_at(steps: Sequence[str]) -> str:
    """Return the last of a build's steps that were merged into another build's, and how many came before it."""
    *before, last = steps
    return f"{last}, and {counted(len(before), 'step')} before it" if before else last


def failures_line(kinds: Sequence[tuple[str, int]]) -> str:
    """Return the commonest kinds of errors, with how often each came."""
    described = [f"{count} × {text or 'without a word'}" for text, count in kinds[:_KINDS_TOLD]]
    more = f"and {len(kinds) - _KINDS_TOLD} more kinds" if len(kinds) > _KINDS_TOLD else ""
    return "; ".join([*described, *([more] if more else [])])


def _acts_line(acts: aggregate.ActorActs) -> str:
    """Return how often an actor acted, how often it could not, and how late it was once it was called for."""
    could_not = f", {acts.could_not} times it could not" if acts.could_not else ""
    late = f" (p99 {shown_seconds(acts.late_p99)} late)" if acts.done else ""
    return f"{acts.actor} {acts.done}{late}{could_not}"


def little_effect(summary: Summary) -> str:
    """Return the actors most of whose acts changed nothing, with counts; empty if there is none."""
    weak = [f"{name} {each.effective} of {each.acts}" for name, each in summary.actors.items() if _is_weak(each)]
    return "; ".join(weak)


def _is_weak(totals: ActorTotals) -> bool:
    """Whether most of an actor's acts changed nothing or could not be done."""
    return totals.effective < totals.acts / 2


def graph_line(graph: GraphState) -> str:
    """Return whether the cache graph was consistent."""
    if graph.inconsistent:
        described = "; ".join(graph.faults[:_FAULTS_TOLD])
        return f"not consistent in {graph.inconsistent} of {graph.reads} reads: {described}"
    return f"consistent, {graph.reads} {'time' if graph.reads == 1 else 'times'} read"


def _audits(folder: RunFolder) -> int:
    return sum(1 for _ in folder.each(Audit)) if (folder.path / "run.db").exists() else 0


def leak_line(leak: Leak) -> str:
    """Return whether goroutines leak, and how many."""
    grown = f"{leak.per_iteration:.2g} goroutines an iteration, 95 % interval {leak.low95:.2g} to {leak.high95:.2g}"
    made = f", most of them made by {leak.bucket}" if leak.bucket else ""
    if leak.stayed and leak.verdict != "no":
        made = f"; of those that came while it was watched, {leak.stayed:,} stayed to the end{made}"
    more = f"; about {leak.more:,} more iterations would tell" if leak.more else ""
    return f"{leak.verdict}: {grown}{made}{more}"


def growing_line(growing: Growing) -> str:
    """Return whether something grows, and by how much a build."""
    slope, low, high = (
        _amount(value, growing.unit) for value in (growing.per_iteration, growing.low95, growing.high95)
    )
    more = f"; about {growing.more:,} more iterations would tell" if growing.more else ""
    grows = "grows" if growing.per_iteration >= 0 else "changes"
    return f"{growing.verdict}: {grows} by {slope} an iteration, 95 % interval {low} to {high}{more}"


def _amount(value: float, unit: str) -> str:
    if unit == "B":
        return f"{'-' if value < 0 else ''}{format_size(round(abs(value)))}"
    return f"{value:.2g}{f' {unit}' if unit else ''}"


def finding_line(finding: Finding) -> str:
    """Return one line that says what was found, where, and after what wait."""
    waited = format_duration(round(finding.waited, 1))
    said = shorten(finding.detail.strip().partition("\n")[0], _LONGEST)
    held = f"the daemon has held the build for {waited} after its client was timed out"
    what = {
        (Outcome.HANG, "client"): f"HANG: export completed, and the client has not returned for {waited}",
        (Outcome.STALL, "client"): f"STALL: no progress for {waited}, in phase {finding.phase}",
        (Outcome.HANG, "history"): f"HANG: every step has ended, and {held}",
        (Outcome.STALL, "history"): f"STALL: {held}, in phase {finding.phase}",
        (Outcome.LATE_FAILURE, "client"): f"LATE FAILURE: export completed, and the client said: {said}",
        (Symptom.FAILURE, "client"): f"FAILURE: {said}",
        (Symptom.DEATH, "client"): f"DEATH: {said}",
        (Symptom.ACT, "client"): f"ACT: {said} has not come back for {waited}",
        (Symptom.GROWTH, "client"): f"GROWTH: {said}",
        (Symptom.INCONSISTENCY, "client"): f"INCONSISTENCY: the cache graph contradicts itself: {said}",
        (Symptom.CONTENT, "client"): f"WRONG CONTENT: {said}",
        (Symptom.MISS, "client"): f"CACHE MISS: {said}",
        (Symptom.SLOW, "client"): f"SLOW: {said}",
    }[finding.kind, finding.seen_by]
    args = f" {json.dumps(dict(finding.args))}" if finding.is_builds else ""
    return f"iteration {finding.iteration} at {finding.at:.1f} s  {what}  ({finding.actor}{args})"


def moment(at: datetime | None) -> str:
    """Return a moment to a person: in UTC, to the second, and said so."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at else "–"


def moment_of(text: str) -> datetime | None:
    """Return a moment as a record has it; None where it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)


def shown_seconds(value: float | None) -> str:
    """Return seconds to a person: milliseconds below one second."""
    if value is None:
        return "–"
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.1f} s"
