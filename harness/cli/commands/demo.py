"""`repro demo`: a hang made on purpose, found, and walked through, on any machine."""

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import anyio
import typer

from harness.cli.commands.report import report_at_the_end
from harness.cli.console import Console
from harness.cli.display.run import on_signal, screen
from harness.cli.display.summary import tell_verdict
from harness.cli.options import RESULTS, SPECS, Results, Seed, complete_spec
from harness.cli.trust import load_trusted
from harness.core.outcome import ExitCode
from harness.core.records import Finding, Summary
from harness.core.units import format_size
from harness.report.words import finding_line
from harness.run.engine import run_scenario
from harness.run.plan import RunOptions
from harness.store.folder import RunFolder

_SETTINGS: Final = ("on_hang.probe=false",)
"""What a frozen daemon still does is nothing, and asking takes a minute."""
_SHOWS: Final = {
    "process.json": "the daemon's process as the kernel has it: its state, threads, CPU",
    "progress.jsonl": "the last that the build said",
    "goroutines-0.txt": "where the daemon's goroutines were, the first of three dumps",
    "client-goroutines.txt": "where the client's were: it waits for the daemon",
    "host.json": "what else the host was doing",
    "captured.json": "what could be had, and why the rest could not",
}


def demo(
    daemon: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help=f"The daemon's binaries: {SPECS}.", autocompletion=complete_spec),
    ] = None,
    seed: Seed = 8,
    results: Results = RESULTS,
) -> int:
    """Freeze a real daemon as a build's export completes, and walk through what is found, in under a minute.

    It shows that a hang would be found here, and what one looks like. The daemon is private, and gone afterwards. Exits
    with 0 where the hang was found; else as `repro run` does, and with 125 where that is 0.
    """
    scenario = load_trusted(Path("control-hang"), _SETTINGS, trust=False, toolchain=daemon)
    out = Console(highlight=False)

    def say(line: str, style: str = "") -> None:
        out.print(line, style=style, markup=False, soft_wrap=True)

    say("A private daemon is started, and builds something small again and again. The moment an export completes, the")
    say("daemon is stopped (SIGSTOP): the build has printed its last step, and its client never returns. That is what")
    say("the hang of moby/buildkit#6209 looks like from outside, made on purpose here, so that it must be found.")
    options = RunOptions(results=results, toolchain=daemon, seed=seed, argv=tuple(sys.argv))
    with screen(as_json=False, several=False) as audience_of:
        audience = audience_of("")
        [(summary, folder)] = anyio.run(run_scenario, scenario, options, audience_of, on_signal(audience))
        report_at_the_end([folder])
        audience.leave()
    for line in _walk(folder, summary):
        say(line)
    say("")
    tell_verdict(out, folder, summary)
    if summary.first_hang:
        return ExitCode.CLEAN
    return summary.exit_code or ExitCode.INCONCLUSIVE


def _walk(folder: RunFolder, summary: Summary) -> Iterator[str]:
    """Yield what was found, where it is, and what reads it."""
    found = folder.read(Finding)
    if not found:
        return
    first, run = found[0], shlex.quote(str(folder.path))
    yield ""
    yield f"1. It was found: {finding_line(first)}"
    yield "2. While it lasted, everything was captured that can be taken without the daemon's help:"
    evidence = folder.path / "findings" / str(first.iteration)
    for name, what in _SHOWS.items():
        file = evidence / name
        if file.exists():
            yield f"     {file.relative_to(folder.path)}  {format_size(file.stat().st_size)}: {what}"
    if summary.diagnosis:
        yield f"3. Read together, they say: {summary.diagnosis.sentence}"
    yield f"4. All of it again: `repro show {run}`, `repro diagnose {run}`, and report.html in a browser."
    yield "5. The real one, within half a minute: `repro run merged-and-killed --daemon buildkit:v0.23.2`"
    yield "   Your own daemon: `repro affected --daemon host`"
