"""The run folder: what the run was, what happened in it (SQLite), what it came to. Written and read here only."""

import json
import secrets
import sqlite3
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, astuple, dataclass, fields
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

from harness.errors import StoreError, UsageError
from harness.outcome import Ending, ExitCode, Outcome, Phase, Verdict
from harness.records import (
    FORMAT,
    Action,
    Answer,
    Audit,
    Diagnosis,
    Finding,
    FirstHang,
    Iteration,
    Leak,
    Sample,
    Summary,
)
from harness.stats import Rate

Record = Iteration | Action | Sample | Finding | Audit
R = TypeVar("R", Iteration, Action, Sample, Finding, Audit)

_TABLES: Final[Mapping[type[Record], str]] = {
    Iteration: "iterations",
    Action: "actions",
    Sample: "samples",
    Finding: "findings",
    Audit: "audits",
}
_COLUMN_TYPES: Final = {int: "INTEGER", bool: "INTEGER", float: "REAL", str: "TEXT"}


class NoSuchRun(UsageError):
    """A run that is not there."""

    def __init__(self, run: str, results: Path, matching: Sequence[Path]) -> None:
        several = f"it ends the names of {', '.join(path.name for path in matching)}; say more of it"
        none = f"it is no run folder, nor the end of the name of one below {results}"
        super().__init__(f"no run {run!r}: {several if matching else none}")


class RunFolder:
    """One run on disk: ``results/<scenario>/<UTC time>-<4 hex>/``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, results: Path, scenario: str) -> "RunFolder":
        """Make a new folder for a run of `scenario`."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = results / scenario / f"{stamp}-{secrets.token_hex(2)}"
        try:
            (path / "daemon").mkdir(parents=True)
            (path / "findings").mkdir()
        except OSError as error:
            raise StoreError(path, f"{error.strerror}; give another folder with --results") from error
        return cls(path)

    @property
    def name(self) -> str:
        """Name of the run, unique on this host."""
        return self.path.name

    def write_json(self, name: str, content: object) -> None:
        """Write `content` to the file `name`, whole or not at all."""
        draft = self.path / f"{name}.draft"
        try:
            draft.write_text(json.dumps(content, indent=1, default=_plain, ensure_ascii=False) + "\n")
            draft.replace(self.path / name)
        except OSError as error:
            raise StoreError(self.path / name, f"{error.strerror}") from error

    def read_json(self, name: str) -> dict[str, Any]:
        """Return the content of the file `name`."""
        try:
            content: dict[str, Any] = json.loads((self.path / name).read_text())
        except (OSError, ValueError) as error:
            raise StoreError(self.path / name, f"cannot be read: {error}") from error
        return content

    def summary(self) -> Summary | None:
        """Return what the run came to; None where it has not ended, or died."""
        if not (self.path / "summary.json").exists():
            return None
        try:
            return self._summary(self.read_json("summary.json"))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(self.path / "summary.json", f"is damaged: {type(error).__name__} {error}") from error

    def _summary(self, written: dict[str, Any]) -> Summary:
        if written.get("format", 0) > FORMAT:
            raise StoreError(self.path, f"was written by a newer version (format {written['format']}, known: {FORMAT})")
        first = {key: FirstHang(**written[key]) if written[key] else None for key in ("first_hang", "first_stall")}
        known = {field.name for field in fields(Summary)}
        values = {key: value for key, value in written.items() if key in known} | first
        values |= {
            "rate": Rate(**written["rate"]),
            "verdict": Verdict(written["verdict"]),
            "ending": Ending(written["ending"]),
            "exit_code": ExitCode(written["exit_code"]),
            "aftermath": {name: Answer(**answer) for name, answer in written.get("aftermath", {}).items()},
            "diagnosis": _diagnosis(written.get("diagnosis")),
            "left_behind": tuple(written["left_behind"]),
            "leak": Leak(**written["leak"]) if written.get("leak") else None,
        }
        return Summary(**values)

    @contextmanager
    def database(self) -> Iterator["Database"]:
        """Open the run's database for writing, and make it where it is not there."""
        try:
            with closing(sqlite3.connect(self.path / "run.db", isolation_level=None)) as connection:
                yield Database(self.path, connection)
        except sqlite3.Error as error:
            raise StoreError(self.path / "run.db", str(error)) from error

    def read(self, kind: type[R]) -> list[R]:
        """Return every record of a kind, in the order in which they were written."""
        source = self.path / "run.db"
        try:
            with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as connection:
                connection.row_factory = sqlite3.Row
                rows = connection.execute(f"SELECT * FROM {_TABLES[kind]} ORDER BY rowid")  # noqa: S608 — our own table names
                return [_record(kind, row) for row in rows]
        except (sqlite3.Error, IndexError, ValueError) as error:
            raise StoreError(source, f"cannot be read: {error}") from error


@dataclass(frozen=True)
class Database:
    """A run's open database: write-ahead log, one transaction a record.

    A process that dies at any moment loses no record; a host that loses power may lose the last few.
    """

    folder: Path
    connection: sqlite3.Connection

    def __post_init__(self) -> None:
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = NORMAL")
        for kind, table in _TABLES.items():
            columns = ", ".join(f"{field.name} {_column_type(kind, field.name)}" for field in fields(kind))
            self.connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")

    def add(self, record: Record) -> None:
        """Write one record.

        Raises:
            StoreError: the disk is full, or the file is gone.
        """
        kind = type(record)
        marks = ", ".join("?" for _ in fields(kind))
        values = [_written(getattr(record, field.name)) for field in fields(kind)]
        try:
            self.connection.execute(f"INSERT INTO {_TABLES[kind]} VALUES ({marks})", values)  # noqa: S608 — our own names
        except sqlite3.Error as error:
            raise StoreError(self.folder / "run.db", f"{error}; what was recorded before stays readable") from error

    def amend(self, number: int, **changed: object) -> None:
        """Change fields of an iteration that is written already: what became of it was seen only later.

        Raises:
            StoreError: see `add`.
        """
        marks = ", ".join(f"{name} = ?" for name in changed)
        values = [*map(_written, changed.values()), number]
        try:
            self.connection.execute(f"UPDATE {_TABLES[Iteration]} SET {marks} WHERE number = ?", values)  # noqa: S608 — our own names
        except sqlite3.Error as error:
            raise StoreError(self.folder / "run.db", f"{error}; what was recorded before stays readable") from error


def find_run(run: str, results: Path) -> RunFolder:
    """Return the run that `run` names: a folder, the end of a folder's name, or ``last``.

    Raises:
        NoSuchRun: none, or several.
    """
    if (Path(run) / "run.json").exists():
        return RunFolder(Path(run))
    runs = sorted((path.parent for path in results.glob("*/*/run.json")), key=lambda path: path.name)
    matching = runs[-1:] if run == "last" else [path for path in runs if path.name.endswith(run)]
    if len(matching) != 1:
        raise NoSuchRun(run, results, matching)
    return RunFolder(matching[0])


def _diagnosis(written: dict[str, Any] | None) -> Diagnosis | None:
    if written is None:
        return None
    lists = {key: tuple(written[key]) for key in ("goroutines", "frames")}
    return Diagnosis(**{**written, **lists})


def _column_type(kind: type, name: str) -> str:
    return next((_COLUMN_TYPES[part] for part in _parts(kind, name) if part in _COLUMN_TYPES), "TEXT")


@cache
def _parts(kind: type, name: str) -> tuple[Any, ...]:
    """Return the types of a field: itself, or the members of its union."""
    hint = typing.get_type_hints(kind)[name]
    return typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)


def _written(value: object) -> object:
    if isinstance(value, Mapping | tuple):
        return json.dumps(value, default=astuple)
    return str(value) if isinstance(value, Enum) else value


def _record(kind: type[R], row: sqlite3.Row) -> R:
    cls: type = kind
    return kind(**{field.name: _read(_parts(cls, field.name), row[field.name]) for field in fields(kind)})


def _read(parts: tuple[Any, ...], value: Any) -> Any:
    if value is None:
        return None
    main = next(part for part in parts if part is not type(None))
    if main in (Outcome, Phase, bool):
        return main(value)
    if main in (int, float, str):
        return value
    read = json.loads(value)
    if not isinstance(read, list):
        return read
    kind = typing.get_args(main)[0]
    return tuple(kind(*each) if isinstance(each, list) else each for each in read)


def _plain(value: object) -> object:
    if hasattr(value, "__dataclass_fields__"):
        return asdict(value)  # type: ignore[call-overload]
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)
