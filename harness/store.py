"""The run folder: what the run was, what happened in it (SQLite), what it came to. Written and read here only."""

import fcntl
import json
import os
import secrets
import sqlite3
import time
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import MISSING, asdict, astuple, dataclass, fields
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
    Begun,
    Birth,
    Diagnosis,
    Finding,
    FirstHang,
    Iteration,
    Leak,
    Sample,
    Summary,
)
from harness.stats import Rate

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
_RESERVED: Final = "room-for-the-summary"
_RESERVED_BYTES: Final = 2**20
_LOCK_TRIES: Final = 5
_LOCK_PAUSE: Final = 0.02
_COLUMN_TYPES: Final = {int: "INTEGER", bool: "INTEGER", float: "REAL", str: "TEXT"}


class NoSuchRun(UsageError):
    """A run that is not there."""

    def __init__(self, run: str, results: Path, matching: Sequence[Path]) -> None:
        several = f"it ends the names of {', '.join(path.name for path in matching)}; say more of it"
        none = f"it is no run folder, nor the end of the name of one below {results}"
        super().__init__(f"no run {run!r}: {several if matching else none}")


class RunGoesOn(UsageError):
    """A run that another process is in the middle of."""

    def __init__(self, run: Path) -> None:
        super().__init__(f"{run} still goes on: wait for its end, or end it with Ctrl-C")


class RunFolder:
    """One run on disk: ``results/<scenario>/<UTC time>-<4 hex>/``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, results: Path, scenario: str) -> "RunFolder":
        """Make a new folder for a run of `scenario`."""
        return cls(new_folder(results / scenario, "daemon", "findings"))

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

    def reserve(self) -> None:
        """Set room aside for the run's last file, which is to be written also on a disk that has filled up."""
        with suppress(OSError), (self.path / _RESERVED).open("wb") as file:  # full already: then it cannot be had
            os.posix_fallocate(file.fileno(), 0, _RESERVED_BYTES)

    def release(self) -> None:
        """Give back the room that was set aside."""
        (self.path / _RESERVED).unlink(missing_ok=True)

    def harden(self) -> None:
        """Wait until the disk has what was recorded so far, so that a power cut does not undo it."""
        for name in ("run.db-wal", "run.db"):
            with suppress(FileNotFoundError), (self.path / name).open("rb") as file:
                os.fsync(file.fileno())

    @contextmanager
    def database(self) -> Iterator["Database"]:
        """Open the run's database for writing, and make it where it is not there."""
        try:
            with closing(sqlite3.connect(self.path / "run.db", isolation_level=None)) as connection:
                yield Database(self.path, connection)
        except sqlite3.Error as error:
            raise StoreError(self.path / "run.db", str(error)) from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open the run's database for queries, as it is now; a run that goes on meanwhile is not held up.

        Raises:
            StoreError: it cannot be read, or something in it is not what it should be.
        """
        source = self.path / "run.db"
        try:
            with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as connection:
                connection.execute("BEGIN")
                for kind, table in _TABLES.items():
                    _complete(connection, kind, table)
                yield connection
        except (sqlite3.Error, IndexError, ValueError) as error:
            raise StoreError(source, f"cannot be read: {error}") from error

    def each(self, kind: type[R]) -> Iterator[R]:
        """Yield every record of a kind, in the order in which they were written."""
        with self.reading() as connection:
            connection.row_factory = sqlite3.Row
            for row in connection.execute(f"SELECT * FROM {_TABLES[kind]} ORDER BY rowid"):  # noqa: S608 — our own names
                yield _record(kind, row)

    def read(self, kind: type[R]) -> list[R]:
        """Return every record of a kind, in the order in which they were written."""
        return list(self.each(kind))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Have the run to ourselves while it goes on; the lock goes with the process, however that ends.

        Raises:
            RunGoesOn: another process has it.
        """
        folder = os.open(self.path, os.O_RDONLY)
        try:
            for tries_left in reversed(range(_LOCK_TRIES)):
                try:
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if not tries_left:
                        raise RunGoesOn(self.path) from error
                    time.sleep(_LOCK_PAUSE)  # one who only asks whether it goes on has it for a moment
            yield
        finally:
            os.close(folder)

    @property
    def goes_on(self) -> bool:
        """Whether a process has it locked."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)  # many may look at once
        except BlockingIOError:
            return True
        finally:
            os.close(folder)
        return False


@dataclass(frozen=True)
class Database:
    """A run's open database: write-ahead log, one transaction a record.

    A process that dies at any moment loses no record; a host that loses power may lose what was not yet hardened.
    """

    folder: Path
    connection: sqlite3.Connection

    def __post_init__(self) -> None:
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = NORMAL")
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


def new_folder(parent: Path, *parts: str, kind: str = "", option: str = "--results") -> Path:
    """Make a folder of its own for something that begins now: ``<parent>/[<kind>-]<UTC time>-<4 hex>/``.

    Args:
        parent: made where it is not there.
        parts: names of folders in it.
        kind: stands before the time.
        option: by which the user can say another place.

    Raises:
        StoreError: it cannot be made.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = parent / f"{f'{kind}-' if kind else ''}{stamp}-{secrets.token_hex(2)}"
    try:
        path.mkdir(parents=True)
        for part in parts:
            (path / part).mkdir()
    except OSError as error:
        raise StoreError(path, f"{error.strerror}; give another folder with {option}") from error
    return path


def named(name: str, folders: Iterable[Path]) -> list[Path]:
    """Return the folders whose names end so, or the newest where it is ``last``; they are named by when they began."""
    ordered = sorted(folders, key=lambda path: path.name)
    return ordered[-1:] if name == "last" else [path for path in ordered if path.name.endswith(name)]


def the_one(name: str, mark: str, folders: Iterable[Path], refusal: Callable[[list[Path]], UsageError]) -> Path:
    """Return the folder that `name` names: itself, if `mark` lies in it, or the one of `folders` that `named` finds.

    Raises:
        UsageError: none, or several: what `refusal` makes of those that match.
    """
    if (Path(name) / mark).is_file():
        return Path(name)
    matching = named(name, folders)
    if len(matching) != 1:
        raise refusal(matching)
    return matching[0]


def find_run(run: str, results: Path) -> RunFolder:
    """Return the run that `run` names: a folder, the end of a folder's name, or ``last``.

    Raises:
        NoSuchRun: none, or several.
    """
    folders = (path.parent for path in results.glob("*/*/run.json"))
    return RunFolder(the_one(run, "run.json", folders, lambda matching: NoSuchRun(run, results, matching)))


def _diagnosis(written: dict[str, Any] | None) -> Diagnosis | None:
    if written is None:
        return None
    lists = {key: tuple(written[key]) for key in ("goroutines", "frames")}
    return Diagnosis(**{**written, **lists})


def _complete(connection: sqlite3.Connection, kind: type[Record], table: str) -> None:
    """Let queries see what an earlier version did not write: tables without rows, columns with the record's default."""
    there = {name for _, name, *_ in connection.execute(f"PRAGMA main.table_info({table})")}
    if not there and kind is not Iteration:
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


def _record(kind: type[R], row: sqlite3.Row) -> R:
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
