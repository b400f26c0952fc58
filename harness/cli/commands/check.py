"""`repro check`: what scenarios will do, and what is wrong with them; nothing is run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from harness.cli.console import Console
from harness.cli.kinds import VOCABULARY
from harness.cli.options import RESULTS, Results, Settings, complete_scenario
from harness.cli.overrides import ends
from harness.cli.trust import host_commands
from harness.core.errors import ScenarioError
from harness.core.outcome import ExitCode
from harness.run.forecast import doubts, in_words
from harness.scenario import Scenario, load
from harness.scenario.load import find_scenario, left_open_in
from harness.scenario.vary import first_of_each


def check(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="SCENARIO",
            show_default=False,
            help="YAML files, or shipped scenarios' names.",
            autocompletion=complete_scenario,
        ),
    ],
    iterations: Annotated[int | None, typer.Option(metavar="N", help="As `repro run` takes it.")] = None,
    time: Annotated[str | None, typer.Option(metavar="T", help="As `repro run` takes it.")] = None,
    settings: Settings = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="For CI: exit with 125 where something will have no effect.")
    ] = False,
    results: Results = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, by file.")] = False,
) -> int:
    """Check scenarios, and say in plain words what they will do. No daemon is started or asked.

    Exits with 0: they can be run; 129: they cannot, and every problem is listed with its line; with --strict 125: they
    can, and a part of one will never have an effect.
    """
    overrides = [*(settings or ()), *ends(iterations, time)]
    console, checked, code = Console(highlight=False), {}, ExitCode.CLEAN
    for file in files:
        try:
            left_open = left_open_in(find_scenario(file), overrides)
            scenario = load(find_scenario(file), VOCABULARY, overrides, first_of_each(left_open))
        except ScenarioError as error:
            code = ExitCode.USAGE
            checked[str(file)] = {"problems": [each.line_in(error.file) for each in error.problems]}
        else:
            checked[str(file)] = _of(scenario, results) | {"open": {each.name: each.in_words for each in left_open}}
            if strict and checked[str(file)]["warnings"] and code is ExitCode.CLEAN:
                code = ExitCode.INCONCLUSIVE
        if not as_json:
            _tell(console, str(file), checked[str(file)])
    if as_json:
        print(json.dumps(checked, indent=1))  # noqa: T201 — for machines
    return code


def _of(scenario: Scenario, results: Path) -> dict[str, Any]:
    return {
        "problems": [],
        "does": dict(in_words(scenario, results)),
        "executes": [line for _, line in host_commands(scenario)],
        "warnings": [f"{key}: {why}" for key, why in doubts(scenario)],
    }


def _tell(console: Console, name: str, checked: dict[str, Any]) -> None:
    problems: Sequence[str] = checked["problems"]
    if problems:
        console.print(Text(f"{name} cannot be run:", "bold red"), soft_wrap=True)
        for line in problems:
            console.print(f"  {line}", markup=False, soft_wrap=True)
        return
    if checked["open"]:
        head = (f"{name} can be explored", "bold green")
        console.print(Text.assemble(head, f" (`repro explore {name}`), and leaves open:"), soft_wrap=True)
        for key, between in checked["open"].items():
            console.print(f"  {key}: {between}", markup=False, soft_wrap=True)
        console.print("  with the first of each, it will:", soft_wrap=True)
    else:
        console.print(Text.assemble((f"{name} can be run", "bold green"), "; it will:"), soft_wrap=True)
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for part, does in checked["does"].items():
        table.add_row(Text(f"  {part}"), Text(does))
    console.print(table)
    for line in checked["executes"]:
        console.print(f"  executes on this host: {line}", markup=False, soft_wrap=True, style="yellow")
    for line in checked["warnings"]:
        console.print(f"  warning: {line}", markup=False, soft_wrap=True, style="yellow")
