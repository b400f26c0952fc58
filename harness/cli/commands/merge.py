"""`repro merge`: runs from several hosts, added up."""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table

from harness.analysis.merge import merge
from harness.cli.console import Console
from harness.cli.display.against import format_against, hold_against, require_rate
from harness.cli.options import RESULTS, AgainstOption, Results
from harness.core.errors import StoreError, UsageError
from harness.core.files import read_text
from harness.core.manifest import Addends
from harness.core.records import Summary
from harness.core.units import format_duration
from harness.report.words import rate_line
from harness.store.find import find_run
from harness.store.folder import RunFolder
from harness.store.merge_inputs import Member, read_members

SUM_WIDTH: Final = 120
"""Columns that the table has at least: on a narrow terminal it is wrapped, and no name and no figure is cut."""


class Occupied(UsageError):
    """A folder that is there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} is there already: name a new folder with -o")


def merge_(
    runs: Annotated[list[str], typer.Argument(metavar="RUN", help="Run folders, or the ends of their names.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Keep the sum as a run folder of its own.")
    ] = None,
    results: Results = RESULTS,
    against: AgainstOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The sum and its parts as one JSON object.")] = False,
) -> int:
    """Add up runs of one scenario on one daemon's binaries; exits like one run with the verdict of them all."""
    against = require_rate(against)
    folders = [find_run(run, results) for run in runs]
    members = read_members(folders)
    summary = merge([member.part for member in members])
    if output:
        write_sum(output, folders, members, summary)
    if as_json:
        held = {"against": asdict(hold_against(summary, against))} if against else {}
        parts = [{"run": str(member.path)} | asdict(member.summary) for member in members]
        print(json.dumps(asdict(summary) | held | {"parts": parts}))  # noqa: T201 — machine lines
    else:
        width = max(Console().width, SUM_WIDTH)
        tell_sum(Console(highlight=False, width=width), members, summary, against)
    return summary.exit_code


def write_sum(output: Path, folders: Sequence[RunFolder], members: Sequence[Member], summary: Summary) -> None:
    """Write a folder that `repro show` reads; the records stay with the runs."""
    try:
        output.mkdir(mode=0o700, parents=True)
        (output / "scenario.yaml").write_text(read_text(folders[0].path / "scenario.yaml"))
        if (folders[0].path / "dockerfiles").is_dir():
            shutil.copytree(folders[0].path / "dockerfiles", output / "dockerfiles")
    except FileExistsError as error:
        raise Occupied(output) from error
    except OSError as error:
        raise StoreError(output, f"{error.strerror}") from error
    manifests = [folder.manifest() for folder in folders]
    addends = Addends(
        runs=tuple(sorted(name for member in members for name in member.runs)),
        seeds=tuple(sorted(seed for member in members for seed in member.seeds)),
    )
    target = RunFolder(output)
    started = min(manifest.started for manifest in manifests)
    argv = tuple(sys.argv)
    target.write_manifest(replace(manifests[0], argv=argv, started=started, kept=None, resumed=(), merged=addends))
    with target.database():
        pass
    target.write_json("summary.json", asdict(summary))


def tell_sum(console: Console, members: Sequence[Member], summary: Summary, against: str | None) -> None:
    """Print the verdict, each run, and the sum."""
    console.print(f"{summary.verdict.upper()}  {summary.because}", soft_wrap=True, markup=False)
    table = Table(box=None, pad_edge=False)
    for column in ("run", "verdict", "seed", "iterations", "hangs", "trials", "first hang", "time"):
        table.add_column(column, no_wrap=True)
    for member in members:
        each, first = member.summary, member.summary.first_hang
        table.add_row(
            member.path.name,
            each.verdict,
            str(each.seed),
            str(each.iterations),
            str(each.rate.hangs),
            f"{each.rate.trials:,}",
            f"iteration {first.iteration}, {first.seconds:.1f} s" if first else "–",
            format_duration(round(each.seconds, 1)),
        )
    console.print(table)
    rate = summary.rate
    facts = {
        "scenario": summary.scenario,
        "daemon": f"{summary.daemon['kind'] or 'none'} {summary.daemon['version'] or ''}",
        "iterations": f"{summary.iterations} in {format_duration(round(summary.seconds, 1))} on all {len(members)}",
        "outcomes": ", ".join(f"{name} {count}" for name, count in summary.outcomes.items()) or "none",
        "hang rate": rate_line(rate),
    }
    if against:
        facts["against"] = format_against(summary, against)
    for name, value in facts.items():
        console.print(f"{name:<14} {value}", soft_wrap=True, markup=False)
