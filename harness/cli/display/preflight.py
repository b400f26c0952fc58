"""What a run goes without on this host, said before it begins."""

from dataclasses import asdict

from harness.cli.console import Console
from harness.cli.display.json_lines import machine_line
from harness.run.preflight import look_around


def tell_limits(console: Console, *, as_json: bool, resumed: str = "") -> None:
    """Say what of this host limits a run; what makes it impossible is an error of its own.

    Args:
        console: where it is said.
        as_json: in machine lines.
        resumed: the name of a run that is resumed, if one is.

    Raises:
        UsageError: the cache has a name that it cannot have.
    """
    for check in look_around(resumed):
        if check.state != "limited":
            continue
        if as_json:
            machine_line("check", **asdict(check))
        else:
            console.print(
                f"{check.name}: {check.detail}", style="yellow", markup=False, highlight=False, soft_wrap=True
            )
