"""Arguments and options that several commands share, and what a shell offers for them; files it knows by itself.

Nothing is loaded for them but what declares them, so that a command can show its help, and refuse an option, at once.
"""

from pathlib import Path
from typing import Annotated, Final

import typer

from harness.core.errors import UsageError
from harness.core.units import parse_duration

RESULTS: Final = Path("results")
SPECS: Final = "auto, path:DIR, buildkit:VERSION, docker:VERSION, debian:SUITE, image:REPOSITORY:TAG or host"
_KINDS: Final = ("auto", "buildkit:", "debian:", "docker:", "host", "image:", "path:")


def complete_scenario(incomplete: str) -> list[str]:
    """Return the shipped scenarios that begin so."""
    from harness.scenario.load import shipped_scenarios  # noqa: PLC0415 — a shell alone asks for them

    return [file.stem for file in shipped_scenarios() if file.stem.startswith(incomplete)]


def complete_run(incomplete: str) -> list[str]:
    """Return the runs in the usual folder that begin so, the latest first, and `last`."""
    from harness.store.find import runs_at  # noqa: PLC0415 — as above

    found = sorted((run.name for run in runs_at(RESULTS, "*/*")), reverse=True)
    return [name for name in ("last", *found) if name.startswith(incomplete)]


def complete_spec(incomplete: str) -> list[str]:
    """Return the kinds of toolchain that begin so."""
    return [kind for kind in _KINDS if kind.startswith(incomplete)]


ScenarioFile = Annotated[
    Path,
    typer.Argument(
        metavar="SCENARIO",
        show_default=False,
        help="A shipped scenario's name (`repro list`), or a YAML file.",
        autocompletion=complete_scenario,
    ),
]
RunName = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run's folder, the end of its name, or `last`.", autocompletion=complete_run),
]
RunNames = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RUN", help="Runs' folders, the ends of their names, or `last`.", autocompletion=complete_run
    ),
]
Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="Where run folders are kept.")]
Seed = Annotated[int | None, typer.Option("--seed", metavar="N", help="The source of all chance.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set a key, such as actors.ci.parallel=8.")
]

On = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="CLUSTER",
        help="Where short runs are made: a Dask cluster's tcp://HOST:8786 or tls://HOST:8786, or local:N; else here.",
    ),
]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="With --on: speak to a scheduler elsewhere without encryption.")
]
Trust = Annotated[
    bool, typer.Option("--trust", help="Let a scenario from elsewhere execute on this host what it says it will.")
]
AgainstOption = Annotated[
    str | None,
    typer.Option(
        "--against", metavar="RATE", help="What it says of this hang rate per build: 1/16141, 0.006% or 6.2e-05."
    ),
]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="NAME",
        help="Go on with an earlier one: its folder, the end of its name, or `last`; the rest as then.",
    ),
]
AtTheEnd = Annotated[
    bool,
    typer.Option(
        "--report/--no-report", envvar="REPRO_REPORT", help="Write report.html and report.md at the end of the run."
    ),
]
JUnit = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="For CI: write what it came to as JUnit XML, too.")
]
FailIf = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-if",
        metavar="CONDITION",
        help="For CI: exit with 1 if it holds of the summary, such as 'rate.high95 > 0.01'; again for more.",
    ),
]


class BadOption(UsageError):
    """An option with a value that it cannot have."""

    def __init__(self, option: str, why: str) -> None:
        super().__init__(f"{option}: {why}")


def seconds_of(option: str, text: str) -> float:
    """Return the seconds that an option says.

    Raises:
        BadOption: it is no duration.
    """
    try:
        return parse_duration(text)
    except ValueError as error:
        raise BadOption(option, str(error)) from error
