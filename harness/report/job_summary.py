"""A run as the summary of a CI's job: Markdown that GitHub shows on the page of the workflow's run."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from harness.core.outcome import Verdict
from harness.core.records import Finding, Summary
from harness.report.door import redactor_of
from harness.report.junit import CaseState, JunitCase
from harness.report.words import facts, finding_line, verdict_word
from harness.store.folder import RunFolder

_FINDINGS_TOLD: Final = 5
_STATES: Final[Mapping[Verdict, CaseState]] = {
    Verdict.HANG: "failure",
    Verdict.CLEAN: "passed",
    Verdict.INCONCLUSIVE: "error",
}
_MARKS: Final[Mapping[CaseState, str]] = {"failure": "❌", "error": "⚠️", "passed": "✅"}
"""By gravity: the mark is that of the gravest of the verdict and the thresholds, as the job ends so."""
_LONGEST: Final = 60_000
"""Characters; GitHub takes one MiB of a step in all."""


def job_summary(folder: RunFolder, summary: Summary, thresholds: Sequence[JunitCase] = ()) -> str:
    """Return Markdown: the verdict, the first findings, what they come to, and the figures; without secrets."""
    findings = folder.read(Finding)
    states = {_STATES[summary.verdict], *(each.state for each in thresholds)}
    mark = next(mark for state, mark in _MARKS.items() if state in states)
    lines = [f"### {mark} {summary.scenario}: {verdict_word(summary)}", "", summary.because, ""]
    lines += [f"- `{_inline(finding_line(each))}`" for each in findings[:_FINDINGS_TOLD]]
    if len(findings) > _FINDINGS_TOLD:
        lines.append(f"- and {len(findings) - _FINDINGS_TOLD} more findings")
    lines += [f"- {each.message}" for each in thresholds]
    if summary.diagnosis:
        lines += ["", f"**{summary.diagnosis.sentence}**"]
    lines_of = facts(folder, summary, folder.manifest())
    lines += ["", "| | |", "|---|---|", *(f"| {key} | {_cell(value)} |" for key, value in lines_of.items()), ""]
    return redactor_of(folder.path).clean("\n".join(lines))[:_LONGEST] + "\n"


def write_job_summary(
    folder: RunFolder,
    summary: Summary,
    thresholds: Sequence[JunitCase] = (),
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Add it to the file that `$GITHUB_STEP_SUMMARY` names, where it names one.

    Raises:
        OSError: it cannot be written.
        StoreError: the run cannot be read.
    """
    if name := environment.get("GITHUB_STEP_SUMMARY"):
        text = job_summary(folder, summary, thresholds)
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")


def _inline(text: str) -> str:
    return text.replace("`", "'")


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
