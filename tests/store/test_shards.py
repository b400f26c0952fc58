"""Several daemons side by side as one run: one count, one verdict, each on its share of the host."""

import os
from pathlib import Path

import pytest

from harness.core.outcome import Ending, Outcome
from harness.core.records import Action, Birth, Finding, Iteration, Sample
from harness.host.hostinfo import MEMORY_FLOOR
from harness.host.partition import ALL, allocations
from harness.store.shards import shards_of
from tests.support.eventually import reached
from tests.support.stub_runs import recorded, repro, run, start, write_scenario

pytestmark = pytest.mark.usefixtures("cache")


@pytest.mark.parametrize(
    ("cores", "count", "divided"),
    [
        ({0, 1}, 2, [(0,), (1,)]),
        ({2, 3, 5}, 2, [(2, 3), (5,)]),
        ({0, 1}, 3, [(0,), (1,), (0,)]),
        ({0, 1, 2, 3, 4, 5, 6, 7}, 3, [(0, 1, 2), (3, 4, 5), (6, 7)]),
    ],
)
def test_the_host_is_divided(
    monkeypatch: pytest.MonkeyPatch, cores: set[int], count: int, divided: list[tuple[int, ...]]
) -> None:
    """Every core that we may use is somebody's, none is two daemons' unless there are too few, and memory is equal."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cores)
    had = allocations(count)
    assert [share.cores for share in had] == divided
    assert [share.shard for share in had] == [*range(1, count + 1)]
    (memory,) = {share.memory for share in had}
    assert memory is not None
    assert MEMORY_FLOOR / count < memory
    assert allocations(1) == (ALL,)


def test_one_run_of_several_daemons(tmp_path: Path) -> None:
    """Iterations are counted once over all daemons, each daemon has some of them, and runs on cores of its own."""
    scenario = write_scenario(
        tmp_path,
        build={"parallel": 2},
        clients={"default": "0.3"},
        stop={"iterations": 80},
        actors=[{"prune": "loop", "when": {"interval": "300ms"}}],
    )
    code, output, folder = run(scenario, "--shards", "2", "--report")
    summary = folder.summary()
    assert code == 0, output
    assert summary is not None
    assert (summary.ending, summary.iterations, summary.rate.trials) == (Ending.ITERATIONS, 80, 80)
    iterations = folder.read(Iteration)
    assert sorted(iteration.number for iteration in iterations) == [*range(1, 81)]
    births = folder.read(Birth)
    assert {birth.shard for birth in births} == {1, 2}
    assert len({birth.pid for birth in births}) == 2
    for birth in births:
        assert sum(iteration.generation == birth.generation for iteration in iterations) > 20
        assert birth.cores
    if len(os.sched_getaffinity(0)) > 1:
        assert not {*births[0].cores} & {*births[1].cores}
    generations = {birth.generation for birth in births}
    assert {action.generation for action in folder.read(Action)} == generations
    assert {sample.generation for sample in folder.read(Sample)} == generations
    for left in ("ledgers", "daemons", "staging"):
        assert not [*(tmp_path / "cache").glob(f"{left}/*")]
    told = shards_of(folder)
    assert [(shard.shard, shard.daemons, shard.hung) for shard in told] == [(1, 1, 0), (2, 1, 0)]
    assert sum(shard.iterations for shard in told) == sum(shard.ok for shard in told) == 80
    report = (folder.path / "report.md").read_text()
    for shard in told:
        cores = ", ".join(map(str, shard.cores))
        assert f"| {shard.shard} | {cores} | 1 | {shard.iterations} | {shard.ok} | 0 |" in report


def test_a_hang_on_one_ends_all(tmp_path: Path) -> None:
    """The first hang of any daemon is the run's verdict; the others are cut off, and their trials count."""
    clients = {"9": "hang", "default": "0.1"}
    code, output, folder = run(write_scenario(tmp_path, clients=clients, stop={"time": "1m"}), "--shards", "2")
    summary = folder.summary()
    assert code == 1, output
    assert summary is not None
    assert summary.first_hang is not None
    assert (summary.ending, summary.first_hang.iteration, summary.rate.hangs) == (Ending.FINDINGS, 9, 1)
    hung = folder.read(Finding)[0].generation
    others = [each for each in folder.read(Iteration) if each.generation != hung and each.outcome is Outcome.OK]
    mine = [each for each in folder.read(Iteration) if each.generation == hung and each.outcome is Outcome.OK]
    assert len(others) > 5
    assert summary.rate.trials == len(others) + len(mine) + 1


def test_hangs_are_counted_over_all(tmp_path: Path) -> None:
    """With `then: renew` each shard has a fresh daemon after a hang, and `stop.hangs` counts those of all shards."""
    clients = {"3": "hang", "11": "hang", "19": "hang", "default": "0.1"}
    scenario = write_scenario(
        tmp_path, clients=clients, stop={"time": "1m", "hangs": 3}, on_hang={"then": "renew", "probe": False}
    )
    code, output, folder = run(scenario, "--shards", "2")
    summary = folder.summary()
    assert code == 1, output
    assert summary is not None
    assert (summary.ending, summary.rate.hangs) == (Ending.FINDINGS, 3)
    assert len(folder.read(Birth)) == 4
    told = shards_of(folder)
    assert sum(shard.hung for shard in told) == 3
    assert sum(shard.daemons for shard in told) == 4


def test_a_killed_run_of_several_goes_on(tmp_path: Path) -> None:
    """Resumed after SIGKILL, it has as many daemons as before, and every iteration once."""
    scenario = write_scenario(
        tmp_path, build={"parallel": 2}, clients={"default": "0.3"}, stop={"iterations": 150}, detect={"stall": "1m"}
    )
    process = start(scenario, "--shards", "2")
    reached(process, lambda: recorded(scenario) > 10)
    assert process.poll() is None
    process.kill()
    process.communicate(timeout=180)
    done = repro("resume", "last", "--results", str(tmp_path / "results"))
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = tmp_path.glob("results/*/*/run.db")
    from_disk = repro("show", str(folder.parent), "--json")
    assert '"iterations": 150' in from_disk.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--daemon", "host"], "leave out `--daemon host`"), (["--shards", "0"], "greater than or equal to 1")],
)
def test_what_cannot_be(tmp_path: Path, options: list[str], said: str) -> None:
    """There is one host's daemon, and no run without any."""
    scenario = write_scenario(tmp_path, daemon={})
    process = start(scenario, "--shards", "2", *options)
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 129
    assert said in output
