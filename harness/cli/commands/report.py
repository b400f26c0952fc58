"""`repro report`: runs as a page that works offline, and as Markdown for an issue."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.console import Console
from harness.cli.options import RESULTS, Results, RunNames
from harness.core.outcome import ExitCode
from harness.core.units import format_size
from harness.store.find import find_run, runs_below
from harness.store.folder import RunFolder


def report(
    runs: RunNames = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Without it, the run's folder; of several runs, here."),
    ] = None,
    results: Results = RESULTS,
) -> int:
    """Write report.html and report.md: of one run, or of several side by side; also of one that goes on or died.

    Of a folder of runs, such as `results`, it writes a page of all: what was found, by what it is, and each run.
    """
    from harness.report.write import write_overview, write_report  # noqa: PLC0415 — as below

    console = Console(highlight=False)
    places = [Path(run) for run in runs or () if _holds_runs(Path(run))]
    if places and len(places) == len(runs or ()):
        page = write_overview(places, output or places[0])
        console.print(f"{page}  {format_size(page.stat().st_size)}", soft_wrap=True, markup=False)
        return ExitCode.CLEAN
    folders = [find_run(run, results) for run in runs or ["last"]]
    target = output or (folders[0].path if len(folders) == 1 else Path())
    for file in write_report(folders, target):
        console.print(f"{file}  {format_size(file.stat().st_size)}", soft_wrap=True, markup=False)
    return ExitCode.CLEAN


def _holds_runs(folder: Path) -> bool:
    """Whether a folder is no run, and has some."""
    return not (folder / "run.json").exists() and bool(runs_below(folder))


def report_at_the_end(folders: Iterable[RunFolder]) -> None:
    """Write the report of each run that has ended; what goes wrong is said, and changes no verdict."""
    from harness.report.write import write_report  # noqa: PLC0415 — what `repro run` starts without: its end needs it

    for folder in folders:
        try:
            write_report([folder], folder.path)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            again = f"`repro report {folder.path}` tries again"
            print(f"repro: no report of this run: {why}; {again}", file=sys.stderr)  # noqa: T201 — the user's screen
