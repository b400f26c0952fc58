"""`repro bundle`: a run as one archive for a report."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.console import Console
from harness.cli.options import RESULTS, Results
from harness.core.outcome import ExitCode
from harness.core.units import format_size
from harness.report.bundle import Bundle, bundle, bundle_capture, text_beside
from harness.report.door import is_telling
from harness.store.find import find_run


def bundle_(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run, the end of its name, `last`, or a capture.")
    ] = "last",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Without it, <scenario>-<run>.tgz here.")
    ] = None,
    results: Results = RESULTS,
    with_databases: Annotated[
        bool,
        typer.Option("--with-databases", help="Pack also the databases that hold arguments and commands of builds."),
    ] = False,
    hide: Annotated[
        list[str],
        typer.Option("--hide", metavar="NAME", help="A build argument that is secret, whatever its name says."),
    ] = [],  # noqa: B006 — Typer copies it
) -> int:
    """Write a run's evidence, or a capture, without secrets, and an issue's text, to one archive that GitHub takes.

    Exits with 0; with 255 where a file is damaged, and the archive has the rest.
    """
    if (Path(run) / "daemon.json").is_file():
        target = output or Path(f"capture-{Path(run).resolve().name}.tgz")
        packed = bundle_capture(Path(run), target, databases=with_databases)
    else:
        folder = find_run(run, results)
        target = output or Path(f"{folder.path.parent.name}-{folder.name}.tgz")
        packed = bundle(folder, target, databases=with_databases, hidden=hide)
    for line in _result_lines(packed, target):
        Console(highlight=False).print(line, soft_wrap=True, markup=False)
    for problem in packed.damaged:
        print(f"repro: {problem}; what stood there is missing", file=sys.stderr)  # noqa: T201 — the user's screen
    return ExitCode.BROKEN if packed.damaged else ExitCode.CLEAN


def _result_lines(packed: Bundle, target: Path) -> Iterator[str]:
    """Yield what there is to know before the archive is sent."""
    if packed.advice:
        yield packed.advice
    yield f"{target}  {format_size(target.stat().st_size)}, for a report"
    yield f"{text_beside(target)}  its text, to read before it is sent; it is in the archive, too, as ISSUE.md"
    yield f"taken out: {', '.join(f'{kind} {count}' for kind, count in packed.taken.items()) or 'no secret was found'}"
    if packed.kept:
        yield f"left in: the values of {', '.join(packed.kept)}, which do not sound secret; --hide NAME takes one out"
    if packed.binary:
        yield f"binary, may hold secrets that nothing told apart: {', '.join(packed.binary)}"
    for name, why in packed.omitted.items():
        yield f"left out {name}: {why}"
    if any(is_telling(Path(name)) for name in packed.omitted):
        yield "with --with-databases, the databases go in as well, with what is known overwritten"
