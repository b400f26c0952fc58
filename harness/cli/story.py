"""A run told to a person: verdict first, then what it rests on."""

import json
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from harness.errors import StoreError
from harness.outcome import Outcome, Verdict
from harness.records import Finding, Sample, Summary
from harness.stats import Rate
from harness.store import RunFolder
from harness.units import format_duration, format_size

_COLOURS: dict[Verdict, str] = {Verdict.HANG: "bold red", Verdict.CLEAN: "bold green", Verdict.INCONCLUSIVE: "yellow"}
_LAST_STEPS = 3


def tell(console: Console, folder: RunFolder, summary: Summary | None) -> None:
    """Print a run; one that has no summary is told as what it is."""
    story = folder.read_json("run.json")
    if summary is None:
        console.print(f"[yellow]no verdict[/]: the run still goes on, or died (pid {story['pid']}); {folder.path}")
        console.print(f"started {story['started']}, seed {story['seed']}, {' '.join(story['argv'])}", highlight=False)
        return
    console.print(f"[{_COLOURS[summary.verdict]}]{summary.verdict.upper()}[/]  {summary.because}", highlight=False)
    table = Table.grid(padding=(0, 2))
    for name, value in _facts(folder, summary, story).items():
        table.add_row(name, value)
    console.print(table, highlight=False)
    for finding in folder.read(Finding):
        _tell_finding(console, folder, finding)
    for problem in summary.left_behind:
        console.print(f"[red]left behind[/] {problem}; try `repro clean`", highlight=False)


def _facts(folder: RunFolder, summary: Summary, story: Mapping[str, object]) -> dict[str, str]:
    rate: Rate = summary.rate
    minute = f"{summary.iterations_per_minute:.0f} a minute"
    daemon = summary.daemon
    facts = {
        "scenario": f"{summary.scenario}, seed {summary.seed}, started {story['started']}",
        "daemon": f"{daemon['kind'] or 'none'} {daemon['version'] or ''}, {daemon['toolchain']}",
        "iterations": f"{summary.iterations} in {format_duration(round(summary.seconds, 1))}, {minute}",
        "outcomes": ", ".join(f"{name} {count}" for name, count in summary.outcomes.items()) or "none",
        "hang rate": f"{rate.hangs} in {rate.trials} trials; 95 % interval {rate.low95:.2g} to {rate.high95:.2g}",
        "tail": "  ".join(f"{name} {shown_seconds(value)}" for name, value in summary.tail_seconds.items()),
    }
    samples = folder.read(Sample)
    counts = [sample.goroutines for sample in samples if sample.goroutines is not None]
    if counts:
        facts["goroutines"] = f"{counts[0]} at first, {counts[-1]} at last"
    memory = [sample.rss for sample in samples if sample.rss is not None]
    if memory:
        facts["daemon memory"] = f"{format_size(memory[0])} at first, {format_size(memory[-1])} at last"
    if summary.unattended_seconds >= 1:
        facts["unattended"] = (
            f"{format_duration(round(summary.unattended_seconds, 1))} did not count: the host was held up"
        )
    return facts | {"folder": str(folder.path)}


def _tell_finding(console: Console, folder: RunFolder, finding: Finding) -> None:
    console.print(f"[red]{finding_line(finding)}[/]", highlight=False)
    for line in finding.last_progress[-_LAST_STEPS:]:
        console.print(f"    {line}", highlight=False, markup=False, overflow="ellipsis", no_wrap=True)
    try:
        captured = folder.read_json(f"findings/{finding.iteration}/captured.json")
    except StoreError:
        captured = {}
    for name, result in captured.items():
        console.print(f"    evidence: {name} {result}", highlight=False)
    console.print(f"    {folder.path / 'findings' / str(finding.iteration)}", highlight=False)


def finding_line(finding: Finding) -> str:
    """Return one line that says what was found, where, and after what wait."""
    waited = format_duration(round(finding.waited, 1))
    what = {
        Outcome.HANG: f"HANG: export completed, and the client has not returned for {waited}",
        Outcome.STALL: f"STALL: no progress for {waited}, in phase {finding.phase}",
    }[finding.kind]
    args = json.dumps(dict(finding.args))
    return f"iteration {finding.iteration} at {finding.at:.1f} s  {what}  ({finding.actor} {args})"


def shown_seconds(value: float | None) -> str:
    """Return seconds to a person: milliseconds below one second."""
    if value is None:
        return "–"
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.1f} s"
