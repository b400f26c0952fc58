"""Arguments and options that several commands share, and what a shell offers for them; files it knows by itself."""

from pathlib import Path
from typing import Annotated, Final

import typer

from harness.core.errors import UsageError
from harness.core.units import parse_duration
from harness.scenario.load import shipped_scenarios
from harness.scenario.places import Override

RESULTS: Final = Path("results")
SPECS: Final = "auto, path:DIR, buildkit:VERSION, docker:VERSION, debian:SUITE, image:REPOSITORY:TAG or host"
_KINDS: Final = ("auto", "buildkit:", "debian:", "docker:", "host", "image:", "path:")


def complete_scenario(incomplete: str) -> list[str]:
    """Return the shipped scenarios that begin so."""
    return [file.stem for file in shipped_scenarios() if file.stem.startswith(incomplete)]


def complete_run(incomplete: str) -> list[str]:
    """Return the runs in the usual folder that begin so, the latest first, and `last`."""
    found = sorted((path.parent.name for path in RESULTS.glob("*/*/run.json")), reverse=True)
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


def ends(iterations: int | None, time: str | None) -> list[Override]:
    """Return what ``--iterations`` and ``--time`` set in a scenario."""
    said = {"iterations": iterations, "time": time}
    return [Override.of(f"stop.{key}={it}", f"--{key} {it}") for key, it in said.items() if it is not None]


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
