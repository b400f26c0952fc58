"""What `minimize` has made of a run: its result, found by what its own folder says that it was made from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.core.errors import StoreError
from harness.core.files import read_json
from harness.store.folder import RunFolder

BEGUN: Final = "begun.json"
"""What was asked, and of which run: the first file of a minimization."""
RESULT: Final = "result"
"""The folder of what it found, within its own."""
SCRIPT: Final = "reproduce.sh"
RATE: Final = "RATE.md"
"""How often that hangs: the last file of a result."""
SCENARIO: Final = "scenario.yaml"


@dataclass(frozen=True)
class Reproducer:
    """A minimized reproducer."""

    folder: Path

    @property
    def name(self) -> str:
        """The minimization's."""
        return self.folder.parent.name

    def text(self, file: str) -> str:
        """Return the text of a file; empty if there is no file of that name."""
        path = self.folder / file
        return path.read_text(errors="replace") if path.is_file() else ""


def reproducer_of(run: RunFolder) -> Reproducer | None:
    """Return the newest reproducer that was made from a run; None where there is none.

    It lies beside the run, and its own record names that. One that was made from the scenario alone, or from another
    run of it, or that is not yet whole, does not count.
    """
    made = [
        Reproducer(folder / RESULT)
        for folder in sorted(run.path.resolve().parent.glob("minimize-*"), key=lambda path: path.name)
        if (folder / RESULT / RATE).is_file() and _made_from(folder) == run.path.resolve().name
    ]
    return made[-1] if made else None


def _made_from(folder: Path) -> object:
    try:
        asked = read_json(folder / BEGUN, dict[str, Any]).get("asked")
    except StoreError:
        return None
    return asked.get("run") if isinstance(asked, dict) else None
