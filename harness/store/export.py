"""A run's records for other programs: one file of JSON, or tables of CSV; row by row, for a night has millions."""

import csv
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final, TextIO

from harness.core.errors import StoreError
from harness.core.records import Action, Audit, Birth, Finding, Iteration, Sample
from harness.store.folder import RunFolder

TABLES: Final[Mapping[str, type[Any]]] = {
    "daemons": Birth,
    "iterations": Iteration,
    "actions": Action,
    "samples": Sample,
    "findings": Finding,
    "audits": Audit,
}
"""What is exported, by the name that it has in `run.db`."""


def export_json(run: RunFolder, file: Path) -> None:
    """Write one object: `summary` (null where there is none), and a list of objects for each of `TABLES`.

    Raises:
        StoreError: the run cannot be read, or the file cannot be written.
    """
    with _written(file) as out:
        summary = run.summary()
        out.write(f'{{"summary": {json.dumps(asdict(summary) if summary else None, default=str)}')
        for name, kind in TABLES.items():
            out.write(f',\n"{name}": [')
            for number, record in enumerate(run.each(kind)):
                out.write(f"{',' * (number > 0)}\n{json.dumps(asdict(record), default=str)}")
            out.write("]")
        out.write("}\n")


def export_csv(run: RunFolder, folder: Path) -> list[Path]:
    """Write a file of CSV for each of `TABLES` into a folder; what is no plain value stands in it as JSON.

    Raises:
        StoreError: see `export_json`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(folder, f"cannot be made: {error.strerror}") from error
    files = []
    for name, kind in TABLES.items():
        files.append(folder / f"{name}.csv")
        with _written(files[-1]) as out:
            table = csv.writer(out, lineterminator="\n")
            heads = [field.name for field in fields(kind)]
            table.writerow(heads)
            for record in run.each(kind):
                row = asdict(record)
                table.writerow([_cell(row[head]) for head in heads])
    return files


@contextmanager
def _written(file: Path) -> Iterator[TextIO]:
    """Yield a file to write that stands there whole in the end, or not at all."""
    draft = file.with_name(f"{file.name}.draft")
    try:
        with draft.open("w", encoding="utf-8", errors="backslashreplace", newline="") as out:
            yield out
        draft.replace(file)
    except OSError as error:
        raise StoreError(file, f"cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _cell(value: object) -> object:
    return json.dumps(value, default=str) if isinstance(value, dict | list | tuple) else value
