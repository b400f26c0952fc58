"""A run as Markdown, for an issue: the verdict, what it rests on, and what was found."""

from collections.abc import Iterable, Sequence
from typing import Final

from harness.core.units import format_size
from harness.report.account import Account, Evidence
from harness.report.hazard_figure import caption, hazard_rows
from harness.report.words import shown_seconds

SHARDS: Final = ("shard", "cores", "daemons", "iterations", "ok", "hung", "goroutines at last", "memory at last")


def markdown(account: Account) -> str:
    """Return the text; `bundle` has one that asks a maintainer, this one tells a colleague."""
    summary = account.summary
    parts = [f"# {account.verdict}: {account.because}"]
    parts += [f"Damaged, and not in this report: {each}" for each in account.damaged]
    if summary and summary.diagnosis:
        frames = summary.diagnosis.frames
        parts += [f"**{summary.diagnosis.sentence}**", summary.diagnosis.because]
        parts += ["\n".join(["```", *frames, "```"])] if frames else []
    parts.append(_table(("", ""), account.facts.items()))
    total = sum(account.outcomes.values())
    shares = [(name, count, f"{count / total:.2%}") for name, count in account.outcomes.items()]
    parts += ["## Outcomes", _table(("outcome", "iterations", "share"), shares) if shares else "No iteration is over."]
    if len(account.shards) > 1:
        parts += ["## Side by side", _table(SHARDS, shard_rows(account))]
    tails = account.tails
    if tails.n:
        row = (tails.n, *(shown_seconds(value) for value in (tails.p50, tails.p99, tails.longest)))
        parts += ["## From the export's completion to the client's exit", _table(("n", "p50", "p99", "longest"), [row])]
    if account.survival:
        parts += ["## Daemons without a hang", *survival_lines(account)]
    if account.hazards:
        parts.append("## Which moment is deadly")
    for each in account.hazards:
        heads, cells = hazard_rows(each)
        parts += [account.clean(caption(each)), _table(heads, [[*map(account.clean, row)] for row in cells])]
    if account.findings:
        parts += ["## Findings", *(_finding(each) for each in account.findings)]
        parts += ["\n".join(f"- {line}" for line in account.more_findings)] if account.more_findings else []
        parts += [f"And {account.untold_findings} more."] if account.untold_findings else []
    if summary and summary.aftermath:
        rows = [
            (question.replace("_", " "), answer.said, f"{answer.seconds:.1f} s", account.clean(answer.detail))
            for question, answer in summary.aftermath.items()
        ]
        parts += ["## What the daemon did after the hang", _table(("", "", "after", ""), rows)]
    parts += [
        "## Scenario",
        f"`repro {account.command}`",
        f"<details><summary>scenario.yaml</summary>\n\n```yaml\n{account.scenario.strip()}\n```\n\n</details>",
        "## Versions",
        account.versions,
    ]
    return "\n\n".join(parts) + "\n"


def shard_rows(account: Account) -> list[tuple[object, ...]]:
    """Return what each of the daemons side by side came to, under the heads of `SHARDS`."""
    return [
        (
            *(each.shard, ", ".join(map(str, each.cores)) or "all", each.daemons, each.iterations, each.ok, each.hung),
            "–" if each.goroutines is None else each.goroutines,
            "–" if each.rss is None else format_size(each.rss),
        )
        for each in account.shards
    ]


def survival_lines(account: Account) -> list[str]:
    """Return how many of several daemons hung, and within what; of one daemon, the verdict says it."""
    lines = []
    for curve, unit in ((account.survival, "builds"), (account.survival_seconds, "s")):
        if curve and curve.n > 1:
            share, low, high = (1 - each for each in curve.at(curve.times[-1]))
            lines.append(
                f"{curve.hung} of {curve.n} daemons hung; of those that come to {curve.times[-1]:.6g} {unit}, "
                f"{share:.0%} have hung by then ({high:.0%} to {low:.0%}, 95 % sure)."
            )
    return lines


def _finding(found: Evidence) -> str:
    lines = [f"### {found.line}"]
    if found.steps:
        lines += ["```", *found.steps, "```"]
    if found.why:
        lines += ["", "Why, as far as the evidence says:", "", *(f"- {line}" for line in found.why)]
        lines += ["", "```", *found.timeline, "```"]
    if found.captured:
        lines += ["", f"Captured while it was seen: {', '.join(found.captured)}."]
    if found.missing:
        lines += ["", "Not captured:", "", *(f"- {name}: {why}" for name, why in found.missing.items())]
    if found.buckets:
        head = ("goroutines", "state", "at")
        lines += ["", f"{found.goroutines} goroutines; the fullest places:", "", _table(head, found.buckets)]
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; what a cell must not hold is written so that it stays in it."""
    cells = [[" ".join(str(cell).replace("|", "\\|").split()) for cell in row] for row in rows]
    marks = "|".join("---" for _ in head)
    return "\n".join([f"| {' | '.join(head)} |", f"|{marks}|", *(f"| {' | '.join(row)} |" for row in cells)])
