"""A run's database: records to rows of SQLite and back."""

import json
import os
import sqlite3
import types
import typing
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import MISSING, astuple, dataclass, field, fields
from enum import Enum
from functools import cache
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from harness.core.errors import StoreError
from harness.core.outcome import Outcome, Phase, Symptom, finding_kind
from harness.core.records import Action, Audit, Begun, Birth, Finding, Iteration, Sample

Record = Birth | Begun | Iteration | Action | Sample | Finding | Audit
R = TypeVar("R", Birth, Begun, Iteration, Action, Sample, Finding, Audit)

_TABLES: Final[Mapping[type[Record], str]] = {
    Birth: "daemons",
    Begun: "in_flight",
    Iteration: "iterations",
    Action: "actions",
    Sample: "samples",
    Finding: "findings",
    Audit: "audits",
}
_COLUMN_TYPES: Final = {int: "INTEGER", bool: "INTEGER", float: "REAL", str: "TEXT"}


@dataclass(frozen=True)
class RunDatabase:
    """A run's open database: write-ahead log, one transaction a record.

    A process that dies at any moment loses no record; a host that loses power may lose what was not yet hardened.
    """

    folder: Path
    connection: sqlite3.Connection
    files: ExitStack = field(default_factory=ExitStack)
    """Of its owner, who closes it once the connection is closed."""
    _open: dict[str, IO[bytes]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = NORMAL")
        with self._transaction():  # who is killed meanwhile leaves no tables, and not some of them
            for kind, table in _TABLES.items():
                self._have(table, {field.name: _column_type(kind, field.name) for field in fields(kind)})
            self.connection.execute("CREATE INDEX IF NOT EXISTS iterations_by_number ON iterations (number)")

    def add(self, record: Record) -> None:
        """Write one record; that of an iteration takes the place of the one that says it has begun.

        Raises:
            StoreError: the disk is full, or the file is gone.
        """
        try:
            if isinstance(record, Iteration):
                with self._transaction():
                    self.connection.execute("DELETE FROM in_flight WHERE number = ?", (record.number,))
                    self._insert(record)
            else:
                self._insert(record)
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

    def harden(self) -> None:
        """Wait until the disk has what was recorded so far, so that a power cut does not undo it.

        The files stay open as long as the connection is. With one that a process closes go all the locks that it has on
        it (fcntl(2)), SQLite's among them; another program that reads the database meanwhile would think itself the
        last one to close it, and remove the log that we write to.
        """
        for name in ("run.db-wal", "run.db"):
            with suppress(FileNotFoundError):
                file = self._open.get(name) or self.files.enter_context((self.folder / name).open("rb"))
                self._open[name] = file
                os.fsync(file.fileno())

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Have what is done inside written whole or not at all; within a transaction of the caller's, with that."""
        self.connection.execute("SAVEPOINT one")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):  # a disk that is full may have rolled it back already
                self.connection.execute("ROLLBACK TO one")
                self.connection.execute("RELEASE one")
            raise
        self.connection.execute("RELEASE one")

    def _insert(self, record: Record) -> None:
        kind = type(record)
        names = [field.name for field in fields(kind)]
        marks = ", ".join("?" for _ in names)
        values = [_written(getattr(record, name)) for name in names]
        into = f"{_TABLES[kind]} ({', '.join(names)})"
        self.connection.execute(f"INSERT INTO {into} VALUES ({marks})", values)  # noqa: S608 — our own names

    def _have(self, table: str, columns: Mapping[str, str]) -> None:
        """Make a table, or add to one of an earlier version the columns that have come since."""
        self.connection.execute(
            f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(f'{name} {kind}' for name, kind in columns.items())})"
        )
        there = {name for _, name, *_ in self.connection.execute(f"PRAGMA table_info({table})")}
        for name in columns.keys() - there:
            self.connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {columns[name]}")


def is_bare(connection: sqlite3.Connection) -> bool:
    """Whether a database has no tables at all, as one whose run was killed while it was made."""
    return bool(connection.execute("SELECT count(*) FROM main.sqlite_schema").fetchone() == (0,))


def _complete(connection: sqlite3.Connection, kind: type[Record], table: str) -> None:
    """Let queries see what an earlier version did not write: tables without rows, columns with the record's default.

    A database in which nothing stands at all is of a run that was killed as it was made; one without iterations alone
    is damaged, or none of ours.
    """
    there = {name for _, name, *_ in connection.execute(f"PRAGMA main.table_info({table})")}
    if not there and (kind is not Iteration or is_bare(connection)):
        names = ", ".join(f"NULL AS {field.name}" for field in fields(kind))
        connection.execute(f"CREATE TEMP VIEW {table} AS SELECT 0 AS rowid, {names} WHERE FALSE")
    later = {field.name: field.default for field in fields(kind) if field.name not in there}
    if there and later and MISSING not in later.values():
        quoted = connection.execute(f"SELECT {', '.join('quote(?)' for _ in later)}", [*map(_written, later.values())])
        added = ", ".join(f"{value} AS {name}" for name, value in zip(later, quoted.fetchone(), strict=True))
        connection.execute(f"CREATE TEMP VIEW {table} AS SELECT rowid, *, {added} FROM main.{table}")  # noqa: S608 — our own names


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


def record_of(kind: type[R], row: sqlite3.Row) -> R:
    """Return a row as its record; what an earlier version did not write has the record's default."""
    cls: type = kind
    there = set(row.keys())
    wanted = [
        field.name
        for field in fields(kind)
        if field.default is MISSING or (field.name in there and (row[field.name] is not None))
    ]
    return kind(**{name: _read(_parts(cls, name), row[name]) for name in wanted})


def _read(parts: tuple[Any, ...], value: Any) -> Any:
    if value is None:
        return None
    if Symptom in parts:
        return finding_kind(value)
    main = next(part for part in parts if part is not type(None))
    if main in (Outcome, Phase, bool):
        return main(value)
    if main in (int, float, str):
        return value
    read = json.loads(value)
    if not isinstance(read, list):
        return read
    kind = typing.get_args(main)[0]
    return tuple(kind(*map(_frozen, each)) if isinstance(each, list) else each for each in read)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
