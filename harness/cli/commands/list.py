"""`repro list`: the scenarios there are."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from harness.cli.kinds import VOCABULARY
from harness.core.errors import ScenarioError
from harness.scenario import load
from harness.scenario.load import shipped_scenarios


def list_scenarios(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="A folder of scenarios; the shipped ones without it.")
    ] = None,
) -> None:
    """List scenarios, with what each is about. Every command that takes a scenario takes the shipped ones by name."""
    table = Table("scenario", "actors", "about", box=None, pad_edge=False, header_style="bold")
    for file in sorted(folder.glob("*.yaml")) if folder else shipped_scenarios():
        try:
            scenario = load(file, VOCABULARY)
        except ScenarioError as error:
            table.add_row(
                file.stem, "", f"[red]{len(error.problems)} problems[/]; the first: {error.problems[0].message}"
            )
            continue
        actors = ", ".join(f"{type(actor).__name__.lower()} {actor.name}" for actor in scenario.actors)
        table.add_row(file.stem, actors, " ".join(scenario.about.split()))
    Console().print(table)
