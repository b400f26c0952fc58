"""`repro new`: a scenario of the user's own, to be changed."""

import shlex
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from harness.cli.console import Console
from harness.cli.kinds import VOCABULARY
from harness.cli.options import BadOption, complete_scenario
from harness.core.outcome import ExitCode
from harness.scenario import load
from harness.scenario.load import find_scenario
from harness.scenario.model import Name
from harness.scenario.new import new_scenario


def new(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", show_default=False, help="Its name, or the file to write: DIR/NAME.yaml."),
    ],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="SCENARIO",
            help="Begin with a shipped scenario (`repro list`), or with a file.",
            autocompletion=complete_scenario,
        ),
    ] = None,
) -> int:
    """Write a scenario that can be run, with comments, for you to change. Nothing is overwritten."""
    file = Path(name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")
    try:
        TypeAdapter(Name).validate_python(file.stem)
    except ValidationError as error:
        raise BadOption("NAME", f"{file.stem!r} is no name: lower-case letters, digits, - and _") from error
    original = find_scenario(source) if source else None
    if original:
        load(original, VOCABULARY)  # what is wrong with it is told of its own lines
    try:
        with file.open("x") as stream:
            stream.write(new_scenario(file.stem, original, shlex.quote(str(file))))
    except FileExistsError as error:
        raise BadOption("NAME", f"{file} is there already, and is left as it is; give another name") from error
    except OSError as error:
        raise BadOption("NAME", f"{file} cannot be written: {error.strerror}") from error
    load(file, VOCABULARY)
    shown = shlex.quote(str(file))
    Console(highlight=False).print(
        f"{file} is written: `repro check {shown}` says what it will do, `repro run {shown}` does it",
        markup=False,
        soft_wrap=True,
    )
    return ExitCode.CLEAN
