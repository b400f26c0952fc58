"""A file with a line of JSON for each thing that was done, added as it is done: what is read again after a crash."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from harness.core.errors import StoreError
from harness.core.files import read_bytes, write_whole

E = TypeVar("E")


def line_of(entry: Any) -> str:
    """Return the line of an entry, which is a dataclass."""
    return json.dumps(asdict(entry)) + "\n"


def entries(file: Path, kind: type[E]) -> list[E]:
    """Return the entries that a file has; a last line that a crash cut short is none, and is taken away.

    Raises:
        StoreError: a line is no entry of that kind.
    """
    whole, end, torn = (read_bytes(file) if file.exists() else b"").rpartition(b"\n")
    if torn:
        write_whole(file, whole + end)
    try:
        adapter = TypeAdapter(kind)
        return [adapter.validate_json(line) for line in whole.splitlines()]
    except ValidationError as error:
        raise StoreError(file, f"cannot be read: {error}") from error
