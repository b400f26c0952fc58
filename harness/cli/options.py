"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Final

import typer

from harness.core.errors import UsageError
from harness.core.units import parse_duration

Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="Where run folders are kept.")]
RESULTS: Final = Path("results")


Seed = Annotated[int | None, typer.Option("--seed", metavar="N", help="The source of all chance.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set a key, such as actors.ci.parallel=8.")
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
