"""What a CI asks of a run: thresholds of its own, a file of JUnit XML, and the summary of its job."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer

from harness.analysis.thresholds import Threshold
from harness.cli.display.json_lines import machine_line
from harness.cli.options import BadOption
from harness.core.errors import HarnessError
from harness.core.outcome import ExitCode
from harness.core.records import Summary
from harness.report.job_summary import write_job_summary
from harness.report.junit import CaseState, JunitCase, write_junit
from harness.store.folder import RunFolder

_STATES: Final[Mapping[bool | None, CaseState]] = {True: "failure", False: "passed", None: "error"}


@dataclass(frozen=True)
class Judged:
    """A threshold held against a run."""

    threshold: Threshold
    summary: Summary

    @property
    def holds(self) -> bool | None:
        """Whether its condition is met; None where the run does not tell."""
        return self.threshold.holds(self.summary)

    @property
    def code(self) -> ExitCode:
        """What it alone would exit with."""
        return {True: ExitCode.HANG, False: ExitCode.CLEAN, None: ExitCode.INCONCLUSIVE}[self.holds]

    def __str__(self) -> str:
        """Return it as a person reads it."""
        said = {True: "holds, so it fails", False: "does not hold", None: "cannot be told"}[self.holds]
        return f"--fail-if {self.threshold.format(self.summary)}: {said}"


def thresholds_of(texts: Sequence[str] | None) -> tuple[Threshold, ...]:
    """Return the thresholds that a command line says.

    Raises:
        BadOption: one is none.
    """
    try:
        return tuple(Threshold.parse(text) for text in texts or ())
    except ValueError as error:
        raise BadOption("--fail-if", str(error)) from error


def judged_by(thresholds: Sequence[Threshold], summaries: Sequence[Summary]) -> list[Judged]:
    """Return each threshold held against each run."""
    return [Judged(threshold, summary) for summary in summaries for threshold in thresholds]


def tell_thresholds(judged: Sequence[Judged], *, as_json: bool) -> None:
    """Tell what the user's own thresholds came to."""
    for each in judged:
        if as_json:
            machine_line("threshold", condition=each.threshold.text, scenario=each.summary.scenario, holds=each.holds)
        else:
            typer.echo(f"    {each}")


def hand_to_ci(
    runs: Sequence[tuple[RunFolder, Summary]], judged: Sequence[Judged], junit: Path | None, *, summarize: bool
) -> None:
    """Write JUnit XML where it is asked for, and the summary of GitHub's job; what goes wrong changes no verdict."""
    try:
        if junit is not None:
            write_junit(junit, runs, [*_cases(judged)])
        if summarize:
            for folder, summary in runs:
                cases = _cases([each for each in judged if each.summary is summary])
                write_job_summary(folder, summary, [*cases])
    except (HarnessError, OSError) as error:
        print(f"repro: not all was written for CI: {error}", file=sys.stderr)  # noqa: T201 — the user's screen


def _cases(judged: Sequence[Judged]) -> Iterator[JunitCase]:
    for each in judged:
        yield JunitCase(f"--fail-if {each.threshold.text}", _STATES[each.holds], "threshold", str(each))
