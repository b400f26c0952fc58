"""`repro watch`: beside a daemon that others load, until something is wrong with it, which is captured."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import anyio
import typer

from harness.attach.checks import HealthThresholds
from harness.attach.monitor import Event, Monitor
from harness.cli.commands.capture import OUTPUT, Output, Where, as_object
from harness.cli.console import Console
from harness.cli.display.json_lines import machine_line
from harness.cli.options import BadOption, seconds_of
from harness.core.outcome import ExitCode
from harness.host.interrupt import interruptible

_LEAST_PAUSE = 1.0
_LEAST_LOOKS = 30


def watch(
    daemon: Where,
    output: Output = OUTPUT,
    export_hang: Annotated[
        str, typer.Option(metavar="T", help="How long a build that has nothing left to do may take to return.")
    ] = "60s",
    stall: Annotated[str, typer.Option(metavar="T", help="How long a build may make no progress.")] = "10m",
    every: Annotated[str, typer.Option(metavar="T", help="Between two looks.")] = "10s",
    leak_after: Annotated[
        int, typer.Option(metavar="N", help="Looks at which no build ran that a leak is judged by.")
    ] = 60,
    once: Annotated[bool, typer.Option("--once", help="End with the first capture; 1 if it is a hang.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> int:
    """Watch a running dockerd or buildkitd, and capture it at the first build that does not return, or at a leak.

    It builds nothing and changes nothing. Everything is captured three times at most; the watch goes on until Ctrl-C.
    """
    patience = HealthThresholds(
        seconds_of("--export-hang", export_hang),
        seconds_of("--stall", stall),
        seconds_of("--every", every),
        leak_after,
    )
    if patience.every < _LEAST_PAUSE:
        raise BadOption("--every", "a look more than once a second would be a load; give 1s or more")
    if leak_after < _LEAST_LOOKS:
        raise BadOption("--leak-after", f"fewer than {_LEAST_LOOKS} looks cannot tell a leak from chance")
    tell = _tell_machines if as_json else _tell_people(Console(highlight=False))
    return anyio.run(_watch, Monitor(daemon, patience, output, tell, once))


async def _watch(watchman: Monitor) -> int:
    code = ExitCode.INTERRUPTED
    async with interruptible() as interrupt:
        with interrupt.cancellable():
            code = await watchman.watch()
    return code


def _tell_people(console: Console) -> Callable[[Event], None]:
    def tell(event: Event) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds").removesuffix("+00:00")
        console.print(f"{now}Z  {event.kind}  {event.text}", markup=False, soft_wrap=True)

    return tell


def _tell_machines(event: Event) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    captured = as_object(event.captured) if event.captured else {}
    machine_line(event.kind, **({"at": now, "text": event.text} | captured))
