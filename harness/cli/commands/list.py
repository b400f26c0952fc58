"""`repro list`: the scenarios there are."""

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from harness.cli.console import Console
from harness.cli.kinds import VOCABULARY
from harness.core.errors import ScenarioError
from harness.scenario import load
from harness.scenario.load import shipped_scenarios


def list_scenarios(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="A folder of scenarios; the shipped ones without it.")
    ] = None,
) -> None:
    """List scenarios, with the kinds of actors and what each is about.

    Every command that takes a scenario takes the shipped ones by name.
    """
    table = Table("scenario", "actors", "about", box=None, pad_edge=False, header_style="bold")
    for file in sorted(folder.glob("*.yaml")) if folder else shipped_scenarios():
        try:
            scenario = load(file, VOCABULARY)
        except ScenarioError as error:
            table.add_row(
                file.stem, "", f"[red]{len(error.problems)} problems[/]; the first: {error.problems[0].message}"
            )
            continue
        actors = ", ".join(dict.fromkeys(actor.key() for actor in scenario.actors))
        table.add_row(file.stem, actors, _first_sentence(scenario.about))
    Console().print(table)


def _first_sentence(about: str) -> str:
    """Return the first sentence of a scenario's `about`."""
    return re.split(r"(?<=[.?]) ", " ".join(about.split()), maxsplit=1)[0]
