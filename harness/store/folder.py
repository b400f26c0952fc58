"""The run folder: what the run was, what happened in it (SQLite), what it came to. Written and read here only."""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml

from harness.core.bounded_yaml import MOST_CHARACTERS, parse_yaml
from harness.core.errors import StoreError
from harness.core.files import Damaged, read_json, read_text
from harness.core.manifest import RunManifest
from harness.core.records import FORMAT, Finding, Summary
from harness.store.database import _TABLES, R, RunDatabase, _complete, is_bare, record_of
from harness.store.evidence import EvidenceFolder
from harness.store.folders import Folder, new_folder

V = TypeVar("V", RunManifest, Summary)

_PLACE: Final = re.compile(r"(\d{1,18})(-[a-z_]+)?")
"""The name of a finding's folder: its iteration, and its kind where it is no build's."""
_RESERVED: Final = "room-for-the-summary"
_RESERVED_BYTES: Final = 2**20


class RunFolder(Folder):
    """One run on disk: ``results/<scenario>/<UTC time>-<4 hex>/``."""

    @classmethod
    def create(cls, results: Path, scenario: str) -> "RunFolder":
        """Make a new folder for a run of `scenario`."""
        return cls(new_folder(results / scenario, "daemon", "findings"))

    def manifest(self) -> RunManifest:
        """Return what the run is: `run.json`.

        Raises:
            StoreError: it is damaged, or a newer version wrote it.
        """
        return self._versioned(self.path / "run.json", RunManifest)

    def write_manifest(self, manifest: RunManifest) -> None:
        """Write what the run is, in place of what stood there."""
        self.write_json("run.json", manifest)

    def summary(self) -> Summary | None:
        """Return what the run came to; None where it has not ended, or died.

        Raises:
            StoreError: it is damaged, or a newer version wrote it.
        """
        file = self.path / "summary.json"
        return self._versioned(file, Summary) if os.path.lexists(file) else None

    def scenario(self) -> dict[str, Any]:
        """Return the scenario as it is written in `scenario.yaml`; empty before that is written.

        Raises:
            StoreError: it is damaged.
        """
        file = self.path / "scenario.yaml"
        if not os.path.lexists(file):
            return {}
        try:
            content = parse_yaml(read_text(file, 4 * MOST_CHARACTERS))
        except yaml.YAMLError as error:
            raise Damaged(file, " ".join(str(error).split())) from error
        if not isinstance(content, dict):
            raise Damaged(file, "it holds no mapping")
        return content

    def evidence(self, finding: Finding) -> EvidenceFolder:
        """Return the folder of what was captured at a finding."""
        return EvidenceFolder(self.path / finding.place)

    def evidences(self) -> list[EvidenceFolder]:
        """Return those that there are, in the order of their iterations."""
        found = {path: _PLACE.fullmatch(path.name) for path in self.path.glob("findings/*") if path.is_dir()}
        placed = sorted((int(match[1]), path) for path, match in found.items() if match)
        return [EvidenceFolder(path) for _, path in placed]

    def _versioned(self, file: Path, kind: type[V]) -> V:
        content = read_json(file, kind)
        if content.format > FORMAT:
            raise StoreError(file, f"was written by a newer version (format {content.format}, known: {FORMAT})")
        return content

    def reserve(self) -> None:
        """Set room aside for the run's last file, which is to be written also on a disk that has filled up."""
        with suppress(OSError), (self.path / _RESERVED).open("wb") as file:  # full already: then it cannot be obtained
            os.posix_fallocate(file.fileno(), 0, _RESERVED_BYTES)

    def release(self) -> None:
        """Give back the room that was set aside."""
        (self.path / _RESERVED).unlink(missing_ok=True)

    @contextmanager
    def database(self) -> Iterator["RunDatabase"]:
        """Open the run's database for writing, and make it where it is not there."""
        try:
            with (
                ExitStack() as files,
                closing(sqlite3.connect(self.path / "run.db", isolation_level=None)) as connection,
            ):
                yield RunDatabase(self.path, connection, files)
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
            if not source.is_file():
                raise StoreError(source, "cannot be read: there is no such file")
            with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as connection:
                connection.execute("BEGIN")
                if is_bare(connection) and (self.path / "summary.json").exists():
                    raise StoreError(source, "is damaged: it is empty, though the run has ended")
                for kind, table in _TABLES.items():
                    _complete(connection, kind, table)
                yield connection
        except (sqlite3.Error, LookupError, ValueError, TypeError, ArithmeticError) as error:
            raise StoreError(source, f"cannot be read: {error}") from error

    def each(self, kind: type[R]) -> Iterator[R]:
        """Yield every record of a kind, in the order in which they were written."""
        with self.reading() as connection:
            connection.row_factory = sqlite3.Row
            for row in connection.execute(f"SELECT * FROM {_TABLES[kind]} ORDER BY rowid"):  # noqa: S608 — our own names
                yield record_of(kind, row)

    def read(self, kind: type[R]) -> list[R]:
        """Return every record of a kind, in the order in which they were written."""
        return list(self.each(kind))
