"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Final

import typer

from harness.errors import UsageError

Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="Where run folders are kept.")]
RESULTS: Final = Path("results")


class BadOption(UsageError):
    """An option with a value that it cannot have."""

    def __init__(self, option: str, why: str) -> None:
        super().__init__(f"{option}: {why}")
