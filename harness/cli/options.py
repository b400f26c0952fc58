"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Final

import typer

from harness.actors.table import ACTORS
from harness.daemons.table import DAEMONS
from harness.scenario import Vocabulary

VOCABULARY: Final = Vocabulary(ACTORS, tuple(DAEMONS))

Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="Where run folders are kept.")]
RESULTS: Final = Path("results")
