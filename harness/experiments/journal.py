"""A file with a line of JSON for each thing that was done, added as it is done: what is read again after a crash."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from harness.core.errors import StoreError

E = TypeVar("E")


def line_of(entry: Any) -> str:
    """Return the line of an entry, which is a dataclass."""
    return json.dumps(asdict(entry)) + "\n"


def entries(file: Path, kind: type[E]) -> list[E]:
    """Return the entries that a file has; a last line that a crash cut short is none, and is taken away.

    Raises:
        StoreError: a line is no entry of that kind.
    """
    whole, end, torn = (file.read_text() if file.exists() else "").rpartition("\n")
    if torn:
        draft = file.with_suffix(".draft")
        draft.write_text(whole + end)
        draft.replace(file)
    try:
        return [TypeAdapter(kind).validate_json(line) for line in whole.splitlines()]
    except ValidationError as error:
        raise StoreError(file, f"cannot be read: {error}") from error
