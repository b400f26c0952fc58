"""The run folder: what is written is read back, also after a SIGKILL; what is newer or broken is refused."""

import fcntl
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import StoreError
from harness.core.outcome import Ending, ExitCode, Outcome, Phase, Verdict
from harness.core.records import (
    FORMAT,
    Action,
    Arrivals,
    Audit,
    Begun,
    Finding,
    FirstHang,
    GoroutineGroup,
    GraphState,
    Iteration,
    Leak,
    Rate,
    Sample,
    Summary,
)
from harness.store.database import RunDatabase
from harness.store.find import NoSuchRun, find_run
from harness.store.folder import RunFolder
from harness.store.folders import RunGoesOn

Process = Callable[..., subprocess.Popen[str]]
R = TypeVar("R", Iteration, Action, Sample, Finding, Audit)

SUMMARY = Summary(
    format=FORMAT,
    scenario="s",
    daemon={"kind": "buildkitd", "version": None},
    seed=2**32 - 1,
    verdict=Verdict.INCONCLUSIVE,
    because="it was interrupted",
    ending=Ending.INTERRUPTED,
    exit_code=ExitCode.INTERRUPTED,
    iterations=7,
    outcomes={"ok": 6, "stall": 1},
    first_hang=None,
    first_stall=FirstHang(3, 1.5, "ci", {"N": "é"}, Outcome.STALL),
    rate=Rate(0, 6, 0.0, 0.45),
    tail_seconds={"p50": 0.005, "p99": None},
    seconds=12.25,
    iterations_per_minute=34.2,
    unattended_seconds=0.0,
    left_behind=("a folder",),
    leak=Leak("yes", 0.85, 0.8, 0.9, "grpc.newClientStreamWithParams"),
    graph=GraphState(3, 1, ("cycle: a -> a",)),
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-(2**63), 2**63 - 1)
times = st.floats(allow_nan=False, allow_infinity=False)
maybe_times = st.none() | times
arguments = st.dictionaries(texts, texts, max_size=3)

ITERATIONS = st.builds(
    Iteration,
    number=numbers,
    actor=texts,
    args=arguments,
    outcome=st.sampled_from(Outcome),
    started=times,
    solving=maybe_times,
    exporting=maybe_times,
    exported=maybe_times,
    exited=maybe_times,
    killed=maybe_times,
    returncode=st.none() | numbers,
    error=texts,
    seen_by=texts,
    released=maybe_times,
)
ACTIONS = st.builds(
    Action,
    actor=texts,
    kind=texts,
    count=numbers,
    due=times,
    started=times,
    acted=maybe_times,
    ended=times,
    succeeded=st.booleans(),
    detail=texts,
)
SAMPLES = st.builds(
    Sample,
    at=times,
    cpu=maybe_times,
    rss=st.none() | numbers,
    goroutines=st.none() | numbers,
    running=numbers,
    lag=times,
    unattended=times,
    own_cpu=times,
    own_rss=numbers,
)
FINDINGS = st.builds(
    Finding,
    iteration=numbers,
    kind=st.sampled_from([Outcome.HANG, Outcome.STALL]),
    at=times,
    actor=texts,
    args=arguments,
    phase=st.sampled_from(Phase),
    waited=times,
    completed_steps=numbers,
    last_progress=st.lists(texts, max_size=3).map(tuple),
    hunted=st.booleans(),
    seen_by=texts,
)
AUDITS = st.builds(
    Audit,
    iteration=numbers,
    series=numbers,
    at=times,
    held=times,
    quiet=st.booleans(),
    goroutines=st.none() | numbers,
    lasting=st.none() | numbers,
    groups=st.lists(st.builds(GoroutineGroup, texts, texts, texts, numbers), max_size=3).map(tuple),
    came=st.lists(st.builds(Arrivals, texts, st.lists(numbers, max_size=3).map(tuple)), max_size=3).map(tuple),
    gone=st.lists(numbers, max_size=3).map(tuple),
    open_files=st.none() | numbers,
    rss=st.none() | numbers,
    running=st.none() | numbers,
    cache=st.none() | numbers,
)


def build(number: int) -> Iteration:
    """Return an iteration of which only the number matters."""
    return Iteration(number, "ci", {}, Outcome.OK, 0.0, None, None, None, None, None, None)


def shapes(record: object) -> list[type]:
    """Return the types of a record's values: an enum's member equals its text, and True equals 1."""
    return [type(value) for value in vars(record).values()]


@pytest.fixture(scope="module")
def module_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for runs of many examples."""
    return tmp_path_factory.mktemp("results")


def round_trip(results: Path, kind: type[R], records: list[R]) -> None:
    """Write records to a new run and read them back."""
    folder = RunFolder.create(results, "s")
    with folder.database() as database:
        for record in records:
            database.add(record)
        assert folder.read(kind) == records  # while the run goes on
    back = folder.read(kind)
    assert back == records
    assert [shapes(record) for record in back] == [shapes(record) for record in records]
    shutil.rmtree(folder.path)


@given(st.lists(ITERATIONS, max_size=4))
def test_iterations_come_back(module_folder: Path, records: list[Iteration]) -> None:
    """Whatever is known of a build, and what is not, is read as it was written, in order."""
    round_trip(module_folder, Iteration, records)


@given(st.lists(ACTIONS, max_size=4))
def test_actions_come_back(module_folder: Path, records: list[Action]) -> None:
    """Whatever an actor did is read as it was written, in order."""
    round_trip(module_folder, Action, records)


@given(st.lists(SAMPLES, max_size=4))
def test_samples_come_back(module_folder: Path, records: list[Sample]) -> None:
    """Whatever was measured, and what could not be, is read as it was written, in order."""
    round_trip(module_folder, Sample, records)


@given(st.lists(FINDINGS, max_size=4))
def test_findings_come_back(module_folder: Path, records: list[Finding]) -> None:
    """Whatever was found is read as it was written, in order."""
    round_trip(module_folder, Finding, records)


@given(st.lists(AUDITS, max_size=4))
def test_audits_come_back(module_folder: Path, records: list[Audit]) -> None:
    """Whatever a daemon held, its groups of goroutines among it, is read as it was written, in order."""
    round_trip(module_folder, Audit, records)


@pytest.mark.parametrize(
    "summary",
    [
        SUMMARY,
        replace(
            SUMMARY,
            verdict=Verdict.HANG,
            ending=Ending.FINDINGS,
            exit_code=ExitCode.HANG,
            first_hang=FirstHang(16141, 172800.5, "ci", {}, Outcome.HANG),
            first_stall=None,
            left_behind=(),
        ),
    ],
    ids=["inconclusive", "hang"],
)
def test_a_summary_comes_back(tmp_path: Path, summary: Summary) -> None:
    """A summary is read as it was written, with its enums and records, and stands in the file as plain JSON."""
    folder = RunFolder.create(tmp_path, "s")
    assert folder.summary() is None
    folder.write_json("summary.json", asdict(summary))
    back = folder.summary()
    assert back == summary
    assert back is not None
    assert shapes(back) == shapes(summary)
    plain = folder.read_json("summary.json")
    assert (plain["verdict"], plain["exit_code"]) == (str(summary.verdict), int(summary.exit_code))
    assert [path.name for path in folder.path.glob("summary*")] == ["summary.json"]


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    """A summary that a later version wrote is refused with both numbers, not misread."""
    folder = RunFolder.create(tmp_path, "s")
    folder.write_json("summary.json", asdict(SUMMARY) | {"format": FORMAT + 1})
    with pytest.raises(StoreError, match=rf"newer version \(format {FORMAT + 1}, known: {FORMAT}\)"):
        folder.summary()


@pytest.mark.parametrize(
    "written",
    [
        "{}",
        "[]",
        "null",
        '"text"',
        '{"format": "new"}',
        json.dumps(asdict(SUMMARY) | {"rate": 5}),
        json.dumps(asdict(SUMMARY) | {"rate": {}}),
        json.dumps(asdict(SUMMARY) | {"verdict": "maybe"}),
        json.dumps(asdict(SUMMARY) | {"first_hang": [1]}),
        json.dumps({key: value for key, value in asdict(SUMMARY).items() if key != "seconds"}),
    ],
    ids=["empty", "list", "null", "text", "format", "rate", "bare-rate", "verdict", "first-hang", "key-less"],
)
def test_a_damaged_summary(tmp_path: Path, written: str) -> None:
    """A summary that is JSON and no summary is an error that names the file, and no crash."""
    folder = RunFolder.create(tmp_path, "s")
    (folder.path / "summary.json").write_text(written)
    with pytest.raises(
        StoreError, match=r"summary\.json: is damaged: (format|rate|verdict|first_hang|seconds|the whole)"
    ):
        folder.summary()


def test_a_key_that_is_not_known_is_left_out(tmp_path: Path) -> None:
    """What a later version adds to the same format does not keep this one from reading it."""
    folder = RunFolder.create(tmp_path, "s")
    folder.write_json("summary.json", asdict(SUMMARY) | {"added_later": 1})
    assert folder.summary() == SUMMARY


WRITER = """
import sys
import threading
from pathlib import Path
from harness.core.outcome import Outcome
from harness.core.records import Iteration
from harness.store.folder import RunFolder

with RunFolder(Path(sys.argv[1])).database() as database:
    number = 0
    while True:
        number += 1
        database.add(Iteration(number, "ci", {}, Outcome.OK, 0.0, None, None, None, None, None, None, "x" * 5000))
        print(number, flush=True)
"""


@pytest.mark.parametrize("after", [1, 40, 400])
def test_a_killed_writer_loses_nothing(tmp_path: Path, process: Process, after: int) -> None:
    """A process that is SIGKILLed while it writes leaves every record that it had committed, fit to go on with."""
    folder = RunFolder.create(tmp_path, "s")
    writer = process(sys.executable, "-c", WRITER, folder.path)
    assert writer.stdout is not None
    committed = 0
    while committed < after:
        committed = int(writer.stdout.readline())
    writer.kill()
    for line in writer.stdout:
        committed = int(line) if line.endswith("\n") else committed
    assert writer.wait() == -signal.SIGKILL
    left = [iteration.number for iteration in folder.read(Iteration)]
    assert left in ([*range(1, committed + 1)], [*range(1, committed + 2)])
    with folder.database() as database:
        database.add(build(0))
    assert [iteration.number for iteration in folder.read(Iteration)] == [*left, 0]


HALF_WRITER = """
import sys, time
from pathlib import Path
from harness.core.outcome import Outcome
from harness.core.records import Iteration
from harness.store.folder import RunFolder

with RunFolder(Path(sys.argv[1])).database() as database:
    for number in range(1, 2001):
        if number == 4:
            database.connection.execute("BEGIN")  # what comes is one record, larger than SQLite keeps in memory
        database.add(Iteration(number, "ci", {}, Outcome.OK, 0.0, None, None, None, None, None, None, "x" * 5000))
    print("half", flush=True)
    time.sleep(1000)
"""


def test_a_writer_killed_in_the_middle_of_one_record(tmp_path: Path, process: Process) -> None:
    """What was half written at the SIGKILL is not there, and has not damaged what was."""
    folder = RunFolder.create(tmp_path, "s")
    writer = process(sys.executable, "-c", HALF_WRITER, folder.path)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "half\n"
    assert [iteration.number for iteration in folder.read(Iteration)] == [1, 2, 3]  # readers need not wait for it
    writer.kill()
    writer.wait()
    with folder.database() as database:
        database.add(build(4))
    assert [iteration.number for iteration in folder.read(Iteration)] == [1, 2, 3, 4]


def test_a_reader_beside_a_writer(tmp_path: Path) -> None:
    """Another program that reads the database while a run goes on, and closes it, takes nothing of what comes later."""
    folder = RunFolder.create(tmp_path, "s")
    query = "SELECT count(*) FROM iterations"
    look = f"import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute({query!r}).fetchone()[0])"
    with folder.database() as database:
        for number in (1, 2):
            database.add(build(number))
            database.harden()
            command = [sys.executable, "-c", look, str(folder.path / "run.db")]
            assert int(subprocess.run(command, capture_output=True, check=True).stdout) == number
            assert [each.number for each in folder.read(Iteration)] == [*range(1, number + 1)]
        database.add(build(3))
    assert [each.number for each in folder.read(Iteration)] == [1, 2, 3]


def test_a_writer_killed_as_the_database_is_made(tmp_path: Path) -> None:
    """Whenever the kill comes, the database has all of its tables or none: it reads as empty, and is gone on with."""
    places: list[Path] = []

    def killed(_: str) -> None:
        """Keep what a kill right now would leave."""
        places.append(tmp_path / f"{len(places):03}")
        shutil.copytree(folder.path, places[-1])

    folder = RunFolder.create(tmp_path / "results", "s")
    with closing(sqlite3.connect(folder.path / "run.db", isolation_level=None)) as connection:
        killed("before all")
        connection.set_trace_callback(killed)
        RunDatabase(folder.path, connection)
    assert len(places) > 10

    for place in places:
        left = RunFolder(place)
        assert not (place / "run.db").exists() or [*left.read(Iteration), *left.read(Finding)] == []
        with left.database() as database:
            database.add(build(1))
        assert [each.number for each in left.read(Iteration)] == [1]


def test_a_database_that_is_none(tmp_path: Path) -> None:
    """A run without a database, or with another file in its place, is an error that names the file."""
    folder = RunFolder.create(tmp_path, "s")
    with pytest.raises(StoreError, match=r"run\.db: cannot be read: there is no such file"):
        folder.read(Iteration)
    assert not (folder.path / "run.db").exists()
    (folder.path / "run.db").write_text("no database " * 100)
    with pytest.raises(StoreError, match=r"run\.db: cannot be read: file is not a database"):
        folder.read(Iteration)
    with pytest.raises(StoreError, match=r"run\.db: file is not a database"), folder.database():
        pass


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("ALTER TABLE iterations DROP COLUMN outcome", "No item with that key"),
        ("UPDATE iterations SET outcome = 'maybe'", "'maybe' is not a valid Outcome"),
        ("UPDATE iterations SET args = '{'", "Expecting property name"),
        ("UPDATE iterations SET args = x'00'", ""),
        ("DROP TABLE iterations", "no such table"),
    ],
    ids=["column", "outcome", "half-args", "bytes", "table"],
)
def test_a_damaged_database(tmp_path: Path, damage: str, said: str) -> None:
    """A database that another version or accident changed is an error that names the file, and no crash."""
    folder = RunFolder.create(tmp_path, "s")
    with folder.database() as database:
        database.add(build(1))
        database.connection.execute(damage)
    with pytest.raises(StoreError, match=rf"run\.db: cannot be read: .*{said}"):
        folder.read(Iteration)


def test_a_record_that_cannot_be_written(tmp_path: Path) -> None:
    """A full database is our own error, says that what was recorded stays, and it does."""
    folder = RunFolder.create(tmp_path, "s")
    with folder.database() as database:
        database.add(build(1))
        pages = database.connection.execute("PRAGMA page_count").fetchone()[0]
        database.connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="full; what was recorded before stays readable"):
            database.add(replace(build(2), error="x" * 100_000))
    assert folder.read(Iteration) == [build(1)]


def test_a_broken_json_file(tmp_path: Path) -> None:
    """A file of the run that is absent or no JSON is an error that names it."""
    folder = RunFolder.create(tmp_path, "s")
    with pytest.raises(StoreError, match=r"run\.json: cannot be read: No such file"):
        folder.read_json("run.json")
    (folder.path / "run.json").write_text('{"half": ')
    with pytest.raises(StoreError, match=r"run\.json: is damaged: EOF"):
        folder.read_json("run.json")


def test_a_file_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where writing fails half-way, what stood in the file before stays."""
    folder = RunFolder.create(tmp_path, "s")
    folder.write_json("run.json", {"seed": 1})

    def fail(descriptor: int, mode: str) -> None:
        os.write(descriptor, mode.encode())
        os.close(descriptor)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdopen", fail)
        with pytest.raises(StoreError, match=r"run\.json: cannot be written: No space left on device"):
            folder.write_json("run.json", {"seed": 2})
    assert folder.read_json("run.json") == {"seed": 1}


def test_what_json_cannot_say(tmp_path: Path) -> None:
    """Paths, records, enums and read-only mappings are written as what they are read as."""
    folder = RunFolder.create(tmp_path, "s")
    folder.write_json("run.json", {"log": Path("a/b"), "rate": Rate(0, 1, 0.0, 1.0), "phase": Phase.EXPORTED})
    assert folder.read_json("run.json") == {
        "log": "a/b",
        "rate": {"hangs": 0, "trials": 1, "low95": 0.0, "high95": 1.0, "unsettled": 0},
        "phase": "exported",
    }


def test_a_results_folder_that_cannot_be(tmp_path: Path) -> None:
    """Where no run folder can be made, the error says why and what to do."""
    (tmp_path / "results").write_text("a file")
    with pytest.raises(StoreError, match="Not a directory; give another folder with --results"):
        RunFolder.create(tmp_path / "results", "s")


@pytest.fixture
def runs(tmp_path: Path) -> Callable[..., Path]:
    """Make run folders by name."""

    def make(*names: str) -> Path:
        for name in names:
            (tmp_path / name).mkdir(parents=True)
            (tmp_path / name / "run.json").write_text("{}")
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("last", "a/20260301T000000Z-0001"),
        ("ffff", "b/20260201T000000Z-ffff"),
        ("20260101T000000Z-aaaa", "b/20260101T000000Z-aaaa"),
        ("{}/b/20260101T000000Z-aaaa", "b/20260101T000000Z-aaaa"),
    ],
    ids=["last", "end", "name", "folder"],
)
def test_a_run_by_its_name(runs: Callable[..., Path], told: str, found: str) -> None:
    """A run is found by its folder, by the end of its name, or as the last one of all scenarios."""
    results = runs("b/20260101T000000Z-aaaa", "b/20260201T000000Z-ffff", "a/20260301T000000Z-0001")
    assert find_run(told.format(results), results).path == results / found


@pytest.mark.parametrize(
    ("told", "several"),
    [("", True), ("a", True), ("0000", False), ("nosuch", False)],
    ids=["empty", "several", "absent", "unlike"],
)
def test_no_run_by_that_name(runs: Callable[..., Path], told: str, several: bool) -> None:
    """A name that fits no run is a usage error that says where was looked; one that fits several lists them."""
    results = runs("b/20260101T000000Z-aaaa", "a/20260301T000000Z-bbba")
    both = "it ends the names of 20260101T000000Z-aaaa, 20260301T000000Z-bbba; say more of it"
    none = f"it is no run folder, nor the end of the name of one below {results}"
    with pytest.raises(NoSuchRun) as caught:
        find_run(told, results)
    assert str(caught.value) == f"no run {told!r}: {both if several else none}"


def test_no_run_at_all(tmp_path: Path) -> None:
    """Where there is no run yet, there is no last one."""
    (tmp_path / "s" / "half-made").mkdir(parents=True)
    with pytest.raises(NoSuchRun, match=f"there is none below {tmp_path}; `repro run` makes one, and `--results`"):
        find_run("last", tmp_path)


def test_a_database_is_gone_on_with(tmp_path: Path) -> None:
    """A database that is opened again keeps what it has."""
    folder = RunFolder.create(tmp_path, "s")
    for number in (1, 2):
        with folder.database() as database:
            database.add(build(number))
    assert [iteration.number for iteration in folder.read(Iteration)] == [1, 2]


def test_what_became_of_an_iteration_later(tmp_path: Path) -> None:
    """An iteration can be amended after it was written, and no other is."""
    folder = RunFolder.create(tmp_path, "s")
    with folder.database() as database:
        for number in (1, 2, 3):
            database.add(build(number))
        database.amend(2, outcome=Outcome.HANG, seen_by="history", released=4.5)
    changed = replace(build(2), outcome=Outcome.HANG, seen_by="history", released=4.5)
    assert folder.read(Iteration) == [build(1), changed, build(3)]


def test_a_database_from_before_a_field(tmp_path: Path) -> None:
    """A run that was recorded before a field was added is read, with what the field is by default."""
    folder = RunFolder.create(tmp_path, "s")
    with folder.database() as database:
        database.add(replace(build(1), seen_by="history", released=4.5))
        database.connection.execute("ALTER TABLE iterations DROP COLUMN released")
        database.connection.execute("ALTER TABLE iterations DROP COLUMN seen_by")
    assert folder.read(Iteration) == [build(1)]


def test_every_record_is_a_transaction(tmp_path: Path) -> None:
    """No record waits for the next one: another reader sees each as soon as it is added."""
    folder = RunFolder.create(tmp_path, "s")
    with folder.database() as database, sqlite3.connect(folder.path / "run.db") as reader:
        for number in (1, 2):
            database.add(build(number))
            assert reader.execute("SELECT count(*) FROM iterations").fetchone() == (number,)
    reader.close()


def test_columns_of_a_later_version(tmp_path: Path) -> None:
    """What an earlier version wrote is read with the defaults of what has come since, and is gone on with."""
    folder = RunFolder.create(tmp_path, "s")
    with folder.database() as database:
        database.add(build(1))
        database.connection.execute("ALTER TABLE iterations DROP COLUMN generation")
    assert [iteration.generation for iteration in folder.read(Iteration)] == [1]
    with folder.database() as database:
        database.add(replace(build(2), generation=3))
    assert [iteration.generation for iteration in folder.read(Iteration)] == [1, 3]


def test_queries_see_an_earlier_version_complete(tmp_path: Path) -> None:
    """Queries in SQL see a table that came later as empty, and a column that did as the record's default."""
    folder = RunFolder.create(tmp_path, "s")
    with folder.database() as database:
        for number in (1, 2):
            database.add(build(number))
        for column in ("generation", "seen_by"):
            database.connection.execute(f"ALTER TABLE iterations DROP COLUMN {column}")
        database.connection.execute("DROP TABLE daemons")
    with folder.reading() as connection:
        query = "SELECT rowid, number, generation, seen_by, exited FROM iterations WHERE rowid > 1"
        assert connection.execute(query).fetchall() == [(2, 2, 1, "client", build(2).exited)]
        assert connection.execute("SELECT max(generation) FROM daemons").fetchone() == (None,)


def test_an_iteration_replaces_its_beginning(tmp_path: Path) -> None:
    """What has begun is there until its iteration is recorded, and no longer."""
    folder = RunFolder.create(tmp_path, "s")
    with folder.database() as database:
        for number in (1, 2):
            database.add(Begun(number, "ci", {"N": "1"}, 0.5))
        database.add(build(1))
    assert folder.read(Begun) == [Begun(2, "ci", {"N": "1"}, 0.5)]
    assert [iteration.number for iteration in folder.read(Iteration)] == [1]


def test_who_looks_does_not_lock_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run can begin in the moment in which somebody asks whether it goes on."""
    folder = RunFolder.create(tmp_path, "s")
    looker = os.open(folder.path, os.O_RDONLY)
    fcntl.flock(looker, fcntl.LOCK_SH)
    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", lambda _: os.close(looker))  # it is gone as the lock is tried again
        with folder.locked():
            assert folder.is_locked
    with folder.locked(), pytest.raises(RunGoesOn), folder.locked():
        pass
    assert not folder.is_locked


def test_a_folder_is_its_owners(tmp_path: Path) -> None:
    """What builds print is in a run's folder, so nobody else may look; those above it are as usual."""
    folder = RunFolder.create(tmp_path / "results", "s")
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert folder.path.parent.stat().st_mode & 0o777 == 0o777 & ~_umask()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_under_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whom sudo was called by can read what the run left."""
    monkeypatch.setenv("SUDO_UID", "4711")
    monkeypatch.setenv("SUDO_GID", "4712")
    status = RunFolder.create(tmp_path, "s").path.stat()
    assert (status.st_uid, status.st_gid) == (4711, 4712)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
