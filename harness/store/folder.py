"""The run folder: what the run was, what happened in it (SQLite), what it came to. Written and read here only."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from harness.core.errors import StoreError
from harness.core.outcome import Ending, ExitCode, Verdict
from harness.core.records import (
    FORMAT,
    ActorTotals,
    Answer,
    Diagnosis,
    FirstHang,
    GraphState,
    Leak,
    Rate,
    Summary,
)
from harness.store.database import _TABLES, Database, R, _complete, _record
from harness.store.folders import Folder, new_folder

_RESERVED: Final = "room-for-the-summary"
_RESERVED_BYTES: Final = 2**20


class RunFolder(Folder):
    """One run on disk: ``results/<scenario>/<UTC time>-<4 hex>/``."""

    @classmethod
    def create(cls, results: Path, scenario: str) -> "RunFolder":
        """Make a new folder for a run of `scenario`."""
        return cls(new_folder(results / scenario, "daemon", "findings"))

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
            "graph": _graph_state(written.get("graph")),
            "actors": {name: ActorTotals(**totals) for name, totals in written.get("actors", {}).items()},
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


def _graph_state(written: dict[str, Any] | None) -> GraphState | None:
    return GraphState(**{**written, "faults": tuple(written["faults"])}) if written else None


def _diagnosis(written: dict[str, Any] | None) -> Diagnosis | None:
    if written is None:
        return None
    lists = {key: tuple(written[key]) for key in ("goroutines", "frames")}
    return Diagnosis(**{**written, **lists})
