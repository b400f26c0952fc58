"""`repro bundle`: a run as one archive for a report."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness.cli.options import RESULTS, Results
from harness.core.outcome import ExitCode
from harness.core.units import format_size
from harness.report.bundle import bundle, bundle_capture
from harness.store.find import find_run


def bundle_(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run, the end of its name, `last`, or a capture.")
    ] = "last",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Without it, <scenario>-<run>.tgz here.")
    ] = None,
    results: Results = RESULTS,
) -> int:
    """Write a run's evidence, or a capture, without secrets, and an issue's text, to one archive that GitHub takes."""
    if (Path(run) / "daemon.json").is_file():
        target = output or Path(f"capture-{Path(run).resolve().name}.tgz")
        omitted = bundle_capture(Path(run), target)
    else:
        folder = find_run(run, results)
        target = output or Path(f"{folder.path.parent.name}-{folder.name}.tgz")
        omitted = bundle(folder, target)
    console = Console(highlight=False)
    console.print(f"{target}  {format_size(target.stat().st_size)}; ISSUE.md in it is the text to send", soft_wrap=True)
    for name, why in omitted.items():
        console.print(f"left out {name}: {why}", soft_wrap=True, markup=False)
    return ExitCode.CLEAN
