"""A fleet in one process, whose workers do as told: what one does not make another does, and nothing counts twice."""

import asyncio
import os
import shutil
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import pytest
from distributed import Worker, get_worker

from harness.analysis.exposure import Exposure
from harness.analysis.silence import Silence
from harness.analysis.strata import strata_of
from harness.cli.kinds import VOCABULARY
from harness.core.outcome import Verdict
from harness.experiments.fleet import runner as fleet_runner_module
from harness.experiments.fleet.cluster import NotACluster, NotEncrypted, fleet
from harness.experiments.fleet.errors import NeverMade, NoWorkers, Refused
from harness.experiments.fleet.host import Greeting, greet
from harness.experiments.fleet.job import Delivery, Job, pack
from harness.experiments.fleet.runner import FleetRunner, FleetTimeouts
from harness.experiments.recorded import runs_in
from harness.experiments.runner import LocalRunner
from harness.run.observer import NullObserver
from harness.run.plan import RunOptions
from harness.scenario import load
from harness.store.find import runs_below
from harness.store.folder import RunFolder
from harness.store.folders import host_in
from tests.support.stub_runs import write_scenario

pytestmark = pytest.mark.usefixtures("cache")

QUICK: Final = FleetTimeouts(silent=60.0, workers=1.0, answer=30.0, ending=5.0, poll=0.05)
HURRY: Final = replace(QUICK, silent=3.0)
DELIVERY: Final[list[Delivery]] = []
MADE: Final[Counter[str]] = Counter()
"""By worker, the runs that it was given."""
BAD: Final[dict[str, Callable[[], Awaitable[Delivery]]]] = {}
"""What workers do instead, by their name."""


async def made(job: Job, key: str, topic: str) -> Delivery:  # noqa: ARG001 — as it is asked
    """Stand in for what a host does."""
    worker = get_worker()
    name = str(worker.name)
    MADE[name] += 1
    message = {"key": key, "host": name, "lines": [], "ended": False}
    worker.log_event(topic, message)
    if name in BAD:
        return await BAD[name]()
    await asyncio.sleep(0.05)
    return DELIVERY[0]


async def sleeps() -> Delivery:
    """Say nothing any more."""
    await asyncio.sleep(60)
    return Delivery()


async def is_full() -> Delivery:
    """Have no disk left."""
    return Delivery(refusal="host", because="No space left on device")


async def breaks() -> Delivery:
    """Fail as a bug of ours would."""
    raise RuntimeError("broken")


async def refuses() -> Delivery:
    """Say that it cannot be obtained as asked."""
    return Delivery(refusal="usage", because="no such toolchain")


async def greets_of_a_boot_of_its_own(dask_worker: Worker) -> Greeting:
    """Say that each worker is on a machine of its own."""
    greeting = await greet(dask_worker)
    return replace(greeting, boot=greeting.boot and f"boot {dask_worker.name}")


@pytest.fixture(autouse=True)
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have hosts do as told, and give back a run that was made before."""
    monkeypatch.setattr(fleet_runner_module, "make", made)
    MADE.clear()
    BAD.clear()
    if not DELIVERY:
        scenario = load(write_scenario(tmp_path), VOCABULARY, ("stop.iterations=2",))
        options = RunOptions(tmp_path / "before", seed=1)
        _, folder = anyio.run(LocalRunner().make, scenario, options, NullObserver())
        DELIVERY.append(Delivery(pack(folder.path)))


@asynccontextmanager
async def hosts(count: int, said: list[str], patience: FleetTimeouts = QUICK) -> AsyncIterator[FleetRunner]:
    """Have a fleet of so many hosts."""
    async with fleet(f"local:{count}", insecure=False, say=said.append, patience=patience) as runner:
        yield runner


def runs(folder: Path, count: int, of: int, said: list[str], patience: FleetTimeouts = QUICK) -> list[RunFolder]:
    """Make so many runs on so many hosts; return the folders of those that were made."""
    scenario = load(write_scenario(folder), VOCABULARY, ("stop.iterations=2",))
    found: list[RunFolder] = []

    async def one(runner: FleetRunner) -> None:
        summary, run = await runner.make(scenario, RunOptions(folder / "results", seed=1), NullObserver())
        assert summary.verdict is Verdict.CLEAN
        found.append(run)

    async def all_of_them() -> None:
        async with hosts(of, said, patience) as runner, anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(one, runner)

    anyio.run(all_of_them)
    return found


def test_all_workers_make_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run is kept once, whole, below `results/`, in a folder that its host is named in: all are of one here."""
    monkeypatch.setattr(socket, "gethostname", lambda: "here")
    said: list[str] = []
    found = runs(tmp_path, 6, 3, said)
    assert len({run.path for run in found}) == 6
    assert {*MADE} == {"0", "1", "2"}
    assert MADE.total() == 6
    assert {host_in(run.name) for run in found} == {"here"}
    assert {f"here-{number} has come (1 at once)" for number in range(3)} <= {*said}
    assert [*(tmp_path / "results" / "stubbed").glob(".*")] == []
    assert len(runs_below(tmp_path / "results")) == 6
    assert found[0].scenario()["actors"][0]["dockerfile"] == str(tmp_path / "dockerfiles" / "one")


def test_what_a_killed_client_had_begun_to_lay_out(tmp_path: Path) -> None:
    """It is no run, in no list; where it is long ago, it goes as the next run arrives."""
    [first] = runs(tmp_path, 1, 1, [])
    drafts = [first.path.with_name(f".2026010{day}T000000Z-one-00ff") for day in (1, 2)]
    for draft in drafts:
        shutil.copytree(first.path, draft)
    os.utime(drafts[0], (0, 0))
    [second] = runs(tmp_path, 1, 1, [])
    assert [draft.exists() for draft in drafts] == [False, True]
    assert {run.path for run in runs_below(tmp_path / "results")} == {first.path, second.path}
    assert {run.path for run in runs_in(first.path.parent)} == {first.path, second.path}


@pytest.mark.parametrize(
    ("does", "why"),
    [
        (sleeps, "it has said nothing for 3 s"),
        (is_full, "No space left on device"),
        (breaks, "RuntimeError: broken"),
    ],
    ids=["hangs", "has no disk", "breaks"],
)
def test_a_host_that_does_not_make_its_run(tmp_path: Path, does: Callable[[], Awaitable[Delivery]], why: str) -> None:
    """What one host does not make, another does, and each run is there once; why is said."""
    BAD["1"] = does
    said: list[str] = []
    found = runs(tmp_path, 4, 2, said, HURRY if does is sleeps else QUICK)
    assert len(found) == len([*(tmp_path / "results").glob("*/*/summary.json")]) == 4
    assert MADE["0"] == 4
    assert any("-1 did not make its run" in line and why in line for line in said), said


def test_the_workers_of_a_machine_are_one_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks of `local:N` are not held apart, and B's builds are not counted by the worker that has fewest."""
    monkeypatch.setattr(socket, "gethostname", lambda: "here")

    async def ask() -> None:
        async with hosts(3, []) as runner:
            while runner.slots < 3:
                await anyio.sleep(0.05)
            assert [*runner.hosts] == ["here"]

    anyio.run(ask)
    found = runs(tmp_path, 6, 3, [])
    looks = [Exposure(10, True, host_in(run.name)) for run in found]
    assert len(strata_of(looks[:3], looks[3:], 1.0)) == 1
    assert Silence.of(looks[:3], looks[3:], ["here"]).matched == 30


def test_two_machines_that_are_called_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second makes no run, which says how to tell them apart; what was named on purpose makes runs."""
    monkeypatch.setattr(fleet_runner_module, "greet", greets_of_a_boot_of_its_own)
    said: list[str] = []
    assert len(runs(tmp_path, 4, 2, said)) == 4
    assert len(MADE) == 1
    assert sum("is left out: another machine is called" in line and "set REPRO_HOST" in line for line in said) == 1
    monkeypatch.setenv("REPRO_HOST", "rack-3")
    assert {host_in(run.name) for run in runs(tmp_path, 4, 2, said)} == {"rack-3"}
    assert len(MADE) == 2


def test_a_worker_that_fails_three_times_is_left_out(tmp_path: Path) -> None:
    """It is asked three times, said to be left out once, and not asked again."""
    BAD["0"] = is_full
    said: list[str] = []
    assert len(runs(tmp_path, 10, 2, said)) == 10
    assert MADE["0"] == 3
    assert sum("is left out from now on" in line for line in said) == 1


def test_what_no_host_makes(tmp_path: Path) -> None:
    """A run moves twice at most; what is refused for what was asked does not move at all."""
    BAD.update(dict.fromkeys("0123", is_full))
    with pytest.raises(NeverMade, match="given to 3 workers, and none made it"):
        runs(tmp_path, 1, 4, [])
    assert MADE.total() == 3
    BAD.update(dict.fromkeys("0123", refuses))
    with pytest.raises(Refused, match="says: no such toolchain"):
        runs(tmp_path, 1, 4, [])
    assert MADE.total() == 4


def test_nobody_is_there(tmp_path: Path) -> None:
    """Once all hosts are left out, it says why, and how to start one, and does not wait for ever."""
    BAD["0"] = is_full
    scenario = load(write_scenario(tmp_path), VOCABULARY)

    async def twice() -> None:
        async with hosts(1, []) as runner:
            for _ in range(2):
                with suppress(NeverMade):
                    await runner.make(scenario, RunOptions(tmp_path / "results", seed=1), NullObserver())

    with pytest.raises(NoWorkers, match=r"No space left on device; start one, .* --resources repro=1"):
        anyio.run(twice)


@pytest.mark.parametrize(
    ("on", "error"),
    [
        ("here", NotACluster),
        ("local:many", NotACluster),
        ("tcp://:8786", NotACluster),
        ("tcp://192.0.2.1:8786", NotEncrypted),
    ],
)
def test_addresses(on: str, error: type[Exception]) -> None:
    """What is no cluster is refused with what is; one elsewhere needs TLS, or a word that says otherwise."""

    async def ask() -> None:
        async with fleet(on, insecure=False, say=lambda _: None):
            pass

    with pytest.raises(error, match=r"tls://"):
        anyio.run(partial(ask))
