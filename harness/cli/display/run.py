"""What a run shows while it goes on: a live view on a terminal, plain lines elsewhere, or machine lines."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Protocol

from harness.cli.console import Console
from harness.cli.display.lines import JsonLines, PlainLines
from harness.cli.display.live import LiveView
from harness.cli.display.preflight import tell_limits
from harness.cli.output import at_once
from harness.core.outcome import ExitCode
from harness.core.records import Summary
from harness.run.observer import Reporter
from harness.store.folder import RunFolder


class Screen(Reporter, Protocol):
    """An audience that is also told the end."""

    def interrupted(self, what: str) -> None:
        """Tell that the run ends now, what is still to be done, and how to go on."""
        ...

    def leave(self) -> None:
        """Show nothing more of what goes on."""
        ...

    def finished(self, summary: Summary, folder: RunFolder) -> None:
        """Tell the verdict, and nothing more of what goes on."""
        ...


@contextmanager
def screen(
    *, as_json: bool, several: bool, against: str | None = None, resumed: str = ""
) -> Iterator[Callable[[str], Screen]]:
    """Yield what shows a run to the user, by its daemon's name: machine lines, a live view, or plain lines.

    What this host limits is said first. What goes on is shown on standard error, the verdict and machine lines on
    standard output. The live view is for a terminal; several runs side by side share it in plain lines. Each is held
    against a rate if one is given.
    """
    console = Console(stderr=True)
    tell_limits(console, as_json=as_json, resumed=resumed)
    if as_json:
        yield cache(lambda name: JsonLines(name, against))
    elif console.is_terminal and not console.is_dumb_terminal and not several:
        view = LiveView(console, against)
        try:
            yield lambda _: view
        finally:
            view.leave()
    else:
        yield cache(lambda name: PlainLines(console, name, against))


def on_signal(screen_: Screen) -> Callable[[int], None]:
    """Return what tells of Ctrl-C, and of the second one, which ends it at once."""

    def announce(times: int) -> None:
        if times == 1:
            screen_.interrupted(
                "interrupted: ending builds and daemon, then comes the verdict; `repro resume` goes on with the run; "
                "Ctrl-C again ends at once"
            )
            return
        kept = "what was recorded is kept: `repro resume` goes on, `repro clean` removes what is left on this host"
        at_once(ExitCode.INTERRUPTED, f"repro: ended at once; {kept}")

    return announce
