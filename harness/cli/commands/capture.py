"""`repro capture`: takes all evidence of a running daemon without changing it."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer

from harness.attach.capture import Captured, capture_daemon
from harness.attach.daemon import locate, open_found
from harness.cli.console import Console
from harness.cli.options import RESULTS
from harness.cli.output import on_the_way
from harness.core.outcome import ExitCode
from harness.host.interrupt import interruptible
from harness.store.folders import new_folder

Where = Annotated[
    str, typer.Option("--daemon", metavar="host|SOCKET|PID", help="The host's Docker, a unix socket, or a process.")
]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the folders of captures are kept.")]
OUTPUT = RESULTS / "captures"


def capture(
    daemon: Where,
    output: Output = OUTPUT,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> int:
    """Capture all evidence of a running dockerd or buildkitd within a minute, also of a frozen one; change nothing."""
    captured = anyio.run(_capture, daemon, output, (lambda _: None) if as_json else on_the_way)
    if captured is None:
        return ExitCode.INTERRUPTED
    if as_json:
        print(json.dumps(as_object(captured), indent=1))  # noqa: T201 — for machines
    else:
        tell(Console(highlight=False), captured)
    return ExitCode.CLEAN


async def _capture(spec: str, output: Path, doing: Callable[[str], None]) -> Captured | None:
    captured = None
    async with interruptible() as interrupt:
        with interrupt.cancellable():
            place = await locate(spec)
            doing(f"asking the daemon at {spec} what it is")
            async with open_found(place) as daemon:
                folder = new_folder(output, option="--output")
                doing(f"taking the evidence, which takes up to a minute, into {folder}")

                def stage_begins(number: int, of: int) -> None:
                    doing(f"step {number} of {of}")

                why = f"repro capture --daemon {spec}"
                captured = await capture_daemon(daemon, place, folder, why, stage_begins)
    return captured


def as_object(captured: Captured) -> dict[str, Any]:
    """Return a capture for machines."""
    return {
        "folder": str(captured.folder),
        "seconds": round(captured.seconds, 1),
        "captured": dict(captured.results),
        "diagnosis": asdict(captured.diagnosis) if captured.diagnosis else None,
    }


def tell(console: Console, captured: Captured) -> None:
    """Print a capture: the diagnosis first, then what could not be taken, and the folder."""

    def say(line: str, style: str = "") -> None:
        console.print(line, style=style, markup=False, soft_wrap=True)

    if captured.diagnosis:
        say(captured.diagnosis.sentence, "bold")
        if captured.diagnosis.known:
            say(f"    {captured.diagnosis.because}")
    else:
        say("no goroutine dump was had, so nothing is diagnosed", "bold")
    for name, result in captured.results.items():
        if result != "captured":
            say(f"no {name}: {result}")
    count, kinds = captured.captured_kinds, len(captured.results)
    say(f"{count} of {kinds} kinds captured in {captured.seconds:.1f} s; {captured.folder}")
