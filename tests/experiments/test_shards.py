"""Shards that are ended go on with those that came back: each counts once, with its seed."""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import anyio
import pytest

from harness.cli.commands.run import run
from harness.cli.kinds import VOCABULARY
from harness.cli.options import BadOption
from harness.core.errors import InfraError, Interrupted
from harness.core.records import Summary
from harness.experiments.earlier import AskedElse, NoSuchSearch
from harness.experiments.runner import LocalRunner
from harness.experiments.shards import NoShard, Shards
from harness.run.observer import NullObserver, Reporter
from harness.run.plan import RunOptions
from harness.scenario import Scenario, load
from harness.store.folder import RunFolder
from harness.store.searches import search_folders, search_of
from tests.support.eventually import until
from tests.support.stub_runs import repro, write_scenario

pytestmark = pytest.mark.usefixtures("cache")

Made = list[tuple[Summary, RunFolder]]


class Dying(LocalRunner):
    """Has so many runs as one that was made before, each with its own seed, then raises."""

    pattern: Path | None = None

    def __init__(self, runs: int, error: Exception) -> None:
        super().__init__()
        self.left, self.error, self.turn = runs, error, anyio.Lock()

    async def make(self, scenario: Scenario, options: RunOptions, reporter: Reporter) -> tuple[Summary, RunFolder]:
        """Make one, one at a time."""
        async with self.turn:
            if not self.left:
                raise self.error
            self.left -= 1
            if Dying.pattern is None:
                _, first = await super().make(scenario, replace(options, results=kept()), reporter)
                Dying.pattern = first.path
        folder = RunFolder.create(options.results, scenario.name)
        shutil.copytree(Dying.pattern, folder.path, dirs_exist_ok=True)
        assert options.seed is not None
        folder.write_manifest(replace(folder.manifest(), seed=options.seed, part_of=options.part_of))
        summary = folder.summary()
        assert summary
        return summary, folder


@cache
def kept() -> Path:
    """Return where that run is."""
    place = tempfile.mkdtemp(prefix="repro-test-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return Path(place)


def shards(folder: Path, *, resume: str | None = None, count: int = 3, seed: int | None = 5) -> Shards:
    """Begin some, or go on with them: three builds of a stub."""
    scenario = load(write_scenario(folder), VOCABULARY, ("stop.iterations=3",))
    options = RunOptions(folder / "results", "stub", seed, shards=count)
    return Shards.begin(scenario, options) if resume is None else Shards.resume(resume, scenario, options)


def made(of: Shards, runs: int = 99, error: Exception | None = None, known: list[int] | None = None) -> Made:
    """Make them, until something dies."""

    def told(number: int, _: RunFolder) -> None:
        if known is not None:
            known.append(number)

    runner = Dying(runs, error or Interrupted())
    return anyio.run(partial(of.run, runner, lambda _: NullObserver(), told))


def test_they_go_on(tmp_path: Path) -> None:
    """Ended after any shard, they make the others, each once, and come to what comes of those that were not ended."""
    whole = made(shards(tmp_path))
    first = shards(tmp_path)
    with pytest.raises(Interrupted):
        made(first, 2)
    known: list[int] = []
    again = made(shards(tmp_path, resume=first.path.name, seed=None), known=known)
    assert known == [1, 2]
    assert [run.manifest().seed for _, run in again] == [run.manifest().seed for _, run in whole]
    assert [summary.rate for summary, _ in again] == [summary.rate for summary, _ in whole]
    assert not {run.name for _, run in whole} & {run.name for _, run in again}
    assert len(again) == len({run.path for _, run in again}) == 3


def test_a_scheduler_that_dies_leaves_what_came_back(tmp_path: Path) -> None:
    """Where no more can be made those that were count; where none was, that is an error; both go on later."""
    with pytest.raises(NoShard, match="gone"):
        made(shards(tmp_path), 0, InfraError("gone"))
    assert len(made(shards(tmp_path, resume="last"), 1, InfraError("gone"))) == 1
    assert len(made(shards(tmp_path, resume="last"))) == 3


def test_only_the_same_goes_on(tmp_path: Path) -> None:
    """Other words are refused by name, and so is what is not there."""
    made(shards(tmp_path))
    with pytest.raises(AskedElse, match="--shards"):
        shards(tmp_path, resume="last", count=4)
    with pytest.raises(AskedElse, match="--seed"):
        shards(tmp_path, resume="last", seed=6)
    with pytest.raises(NoSuchSearch, match="run in shards"):
        shards(tmp_path, resume="elsewhere")


def test_the_page_has_them_as_one(tmp_path: Path) -> None:
    """They are one search there, with a row for each that came back, also after it went on."""
    with pytest.raises(Interrupted):
        made(shards(tmp_path), 1)
    made(shards(tmp_path, resume="last"))
    [folder] = search_folders(tmp_path / "results")
    found = search_of(folder)
    assert (found.kind, found.damaged, found.is_over) == ("shards", "", False)
    assert [(look.of, look.said) for look in found.looks] == [(f"shard {number}", "clean") for number in (1, 2, 3)]


def test_a_client_that_is_killed(tmp_path: Path) -> None:
    """On a cluster, killed with one shard back, the same with --resume makes the others and adds up all, once each."""
    file = write_scenario(tmp_path)
    results = tmp_path / "results"
    words = ("run", str(file), "--shards", "3", "--iterations", "3", "--on", "local:1", "--results", str(results))
    client = subprocess.Popen(
        [sys.executable, "-m", "harness", *words], stderr=subprocess.DEVNULL, start_new_session=True
    )
    until(lambda: any(results.glob("*/2*/summary.json")), 60)
    os.killpg(client.pid, signal.SIGKILL)
    client.wait()
    before = {file.parent for file in results.glob("*/2*/summary.json")}
    again = repro(*words, "--resume", "last")
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("came back before") == len(before) >= 1
    runs = [RunFolder(file.parent) for file in results.glob("*/2*/summary.json")]
    assert before <= {run.path for run in runs}
    assert len(runs) == len({run.manifest().seed for run in runs}) == 3


def test_a_run_on_this_host_goes_on_otherwise(tmp_path: Path) -> None:
    """Without a cluster `--resume` is refused, and the command that goes on with a run is named."""
    with pytest.raises(BadOption, match="repro resume RUN"):
        run(write_scenario(tmp_path), earlier="last")
