"""Searches that go on: the folder of an earlier one, which is the answer to what it was asked as it began."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.core.errors import UsageError
from harness.store.folders import the_one
from harness.store.minimized import BEGUN


class NoSuchSearch(UsageError):
    """A comparison, a verification, a minimization or an exploration that is not there."""

    def __init__(self, called: str, kind: str, name: str, parent: Path, matching: Sequence[Path]) -> None:
        several = f"it ends the names of {', '.join(path.name for path in matching)}; say more of it"
        none = f"it is no folder with a {BEGUN}, nor the end of the name of a {kind}-… below {parent}"
        super().__init__(f"no {called} {name!r} to go on with: {several if matching else none}")


class AskedElse(UsageError):
    """A search that is to go on as the answer to something else."""

    def __init__(self, path: Path, differ: Sequence[str]) -> None:
        super().__init__(
            f"{path} was asked something else (not the same: {', '.join(differ)}): what was "
            "seen there does not belong to what is asked now; say the same as then, or leave --resume out"
        )


def earlier_folder(name: str, parent: Path, kind: str, called: str = "") -> Path:
    """Return the folder of an earlier search.

    Args:
        name: the folder, the end of its name, or `last`.
        parent: where searches of this scenario are kept.
        kind: what the folder's name begins with, such as `verify`.
        called: what a person calls one of that kind, where that is another word.

    Raises:
        NoSuchSearch: there is none of that name, or several.
    """
    folders = (file.parent for file in parent.glob(f"{kind}-*/{BEGUN}"))
    return the_one(name, BEGUN, folders, lambda matching: NoSuchSearch(called or kind, kind, name, parent, matching))


def differing(begun: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Return by name what is asked now and was not asked so as a search began: `begun` is its `begun.json`."""
    return [word for word, value in asked.items() if begun["asked"].get(word) != value]
