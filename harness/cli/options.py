"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Final

import typer

Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="Where run folders are kept.")]
RESULTS: Final = Path("results")
