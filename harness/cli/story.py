"""A run told to a person: verdict first, then what it rests on."""

import json
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.text import Text

from harness.cli.against import told_against
from harness.cli.attach import kept_lines
from harness.errors import StoreError
from harness.outcome import Outcome, Verdict
from harness.progress import told
from harness.records import Action, Finding, Leak, Sample, Summary
from harness.stats import Rate, quantile
from harness.store import RunFolder
from harness.units import format_duration, format_size

_COLOURS: dict[Verdict, str] = {Verdict.HANG: "bold red", Verdict.CLEAN: "bold green", Verdict.INCONCLUSIVE: "yellow"}
_LAST_STEPS = 6
_FINDINGS_TOLD = 5


def tell(console: Console, folder: RunFolder, summary: Summary | None, against: str | None = None) -> None:
    """Print a run, held against a rate if one is given; one that has no summary is told as what it is."""
    story = folder.read_json("run.json")
    if summary is None:
        what = (
            f"the run goes on (pid {story['pid']})"
            if folder.goes_on
            else "the run died; `repro resume` goes on with it"
        )
        _say(console, f"NO VERDICT  {what}; {folder.path}", "yellow")
        _say(console, f"started {story['started']}, seed {story['seed']}: {' '.join(story['argv'])}")
        return
    console.print(Text(f"{summary.verdict.upper()}  ", _COLOURS[summary.verdict]) + summary.because, soft_wrap=True)
    if summary.diagnosis:
        _say(console, summary.diagnosis.sentence, "bold")
        if summary.diagnosis.known:
            _say(console, f"    {summary.diagnosis.because}")
    for name, value in _facts(folder, summary, story).items():
        _say(console, f"{name:<14} {value}")
        if name == "hang rate" and against:
            _say(console, f"{'against':<14} {told_against(summary, against)}")
    findings = folder.read(Finding)
    for finding in findings[:1]:
        _tell_finding(console, folder, finding)
    for finding in findings[1:_FINDINGS_TOLD]:
        _say(console, finding_line(finding), "red")
    if len(findings) > _FINDINGS_TOLD:
        _say(console, f"and {len(findings) - _FINDINGS_TOLD} more findings", "red")
    if summary.aftermath:
        _say(console, "aftermath: what the daemon did after the hang")
    for question, answer in summary.aftermath.items():
        seconds = "" if answer.said == "not asked" else f"  after {answer.seconds:.1f} s"
        detail = f"  ({answer.detail.splitlines()[0]})" if answer.detail else ""
        _say(console, f"    {question.replace('_', ' '):<24} {answer.said}{seconds}{detail}")
    for line in kept_lines(folder):
        _say(console, line)
    for problem in summary.left_behind:
        _say(console, f"left behind: {problem}; try `repro clean`", "red")


def _facts(folder: RunFolder, summary: Summary, story: Mapping[str, object]) -> dict[str, str]:
    rate: Rate = summary.rate
    minute = f"{summary.iterations_per_minute:.0f} a minute"
    daemon = summary.daemon
    named = f"{daemon['name']}: " if daemon.get("name") else ""
    facts = {
        "scenario": f"{summary.scenario}, seed {summary.seed}, started {story['started']}",
        "daemon": f"{named}{daemon['kind'] or 'none'} {daemon['version'] or ''}, {daemon['toolchain']}",
        "iterations": f"{summary.iterations} in {format_duration(round(summary.seconds, 1))}, {minute}",
        "outcomes": ", ".join(f"{name} {count}" for name, count in summary.outcomes.items()) or "none",
        "hang rate": f"{rate.hangs} in {rate.trials} trials; 95 % interval {rate.low95:.2g} to {rate.high95:.2g}",
        "tail": "  ".join(f"{name} {shown_seconds(value)}" for name, value in summary.tail_seconds.items()),
    }
    actions = _told_actions(folder.read(Action))
    if actions:
        facts["actions"] = actions
    samples = folder.read(Sample)
    counts = [sample.goroutines for sample in samples if sample.goroutines is not None]
    if counts:
        facts["goroutines"] = f"{counts[0]} at first, {counts[-1]} at last"
    memory = [sample.rss for sample in samples if sample.rss is not None]
    if memory:
        facts["daemon memory"] = f"{format_size(memory[0])} at first, {format_size(memory[-1])} at last"
    if summary.leak:
        facts["leak"] = _told_leak(summary.leak)
    if summary.unattended_seconds >= 1:
        facts["unattended"] = (
            f"{format_duration(round(summary.unattended_seconds, 1))} did not count: the host was held up"
        )
    return facts | {"folder": str(folder.path)}


def _told_leak(leak: Leak) -> str:
    grown = f"{leak.per_iteration:.2g} goroutines an iteration, 95 % interval {leak.low95:.2g} to {leak.high95:.2g}"
    return f"{leak.verdict}: {grown}" + (f", most of them made by {leak.bucket}" if leak.bucket else "")


def _told_actions(actions: Sequence[Action]) -> str:
    """Return how often each actor acted, how often it could not, and how late it was once it was called for."""
    told = []
    for name in dict.fromkeys(action.actor for action in actions):
        lags = [action.lag for action in actions if action.actor == name]
        done = [lag for lag in lags if lag is not None]
        could_not = f", {len(lags) - len(done)} times it could not" if len(done) < len(lags) else ""
        late = f" (p99 {shown_seconds(quantile(done, 0.99))} late)" if done else ""
        told.append(f"{name} {len(done)}{late}{could_not}")
    return "; ".join(told)


def _tell_finding(console: Console, folder: RunFolder, finding: Finding) -> None:
    _say(console, finding_line(finding), "red")
    said = [line for item in finding.last_progress for line in told(item)]
    for line in said[-_LAST_STEPS:]:
        _say(console, f"    {line}")
    if finding.kind is Outcome.HANG:
        due = "the client should have returned" if finding.seen_by == "client" else "the daemon should have been done"
        _say(console, f"    <- here {due}")
    try:
        captured = folder.read_json(f"findings/{finding.iteration}/captured.json")
    except StoreError:
        captured = {}
    had = [name for name, result in captured.items() if result == "captured"]
    where = folder.path / "findings" / str(finding.iteration)
    _say(console, f"    evidence: {len(had)} of {len(captured)} kinds captured; {where}")


def _say(console: Console, line: str, style: str = "") -> None:
    console.print(Text(line, style=style), soft_wrap=True)


def finding_line(finding: Finding) -> str:
    """Return one line that says what was found, where, and after what wait."""
    waited = format_duration(round(finding.waited, 1))
    held = f"the daemon has held the build for {waited} after its client was timed out"
    what = {
        (Outcome.HANG, "client"): f"HANG: export completed, and the client has not returned for {waited}",
        (Outcome.STALL, "client"): f"STALL: no progress for {waited}, in phase {finding.phase}",
        (Outcome.HANG, "history"): f"HANG: every step has ended, and {held}",
        (Outcome.STALL, "history"): f"STALL: {held}, in phase {finding.phase}",
    }[finding.kind, finding.seen_by]
    args = json.dumps(dict(finding.args))
    return f"iteration {finding.iteration} at {finding.at:.1f} s  {what}  ({finding.actor} {args})"


def shown_seconds(value: float | None) -> str:
    """Return seconds to a person: milliseconds below one second."""
    if value is None:
        return "–"
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.1f} s"
