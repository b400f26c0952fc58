"""How near to its ideal a fleet comes: runs of five seconds on hosts that only wait, in simulated time.

``python -m tests.benchmarks.fleet [ROUNDS]`` prints a line for 2, 8, 32 and 128 workers: each makes so many runs. The
ideal is the rounds times five seconds. The clock counts the CPU time of the client, not that of Dask and the hosts,
which are other processes, mostly elsewhere; so neither the cores nor the load of this host decide. What Dask's client
takes beside that, with a scheduler and hosts in a process of their own, is measured apart: CPU time a run.
"""

import multiprocessing
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import anyio
from distributed import Client, LocalCluster, get_worker

from harness.cli.kinds import VOCABULARY
from harness.experiments.fleet import runner as fleet_runner_module
from harness.experiments.fleet.cluster import fleet
from harness.experiments.fleet.job import Delivery, pack
from harness.experiments.fleet.runner import RESOURCE, FleetRunner
from harness.experiments.runner import LocalRunner
from harness.run.observer import NullObserver
from harness.run.plan import RunOptions
from harness.scenario import Scenario, load
from tests.support.simulated_fleet import SimulatedCluster, simulated
from tests.support.stub_runs import write_scenario

SECONDS = 5.0
WORKERS = (2, 8, 32, 128)


def prepared(folder: Path) -> tuple[Scenario, Delivery]:
    """Return a scenario, and a run of it as hosts give it back."""
    scenario = load(write_scenario(folder), VOCABULARY, ("stop.iterations=2",))
    _, run = anyio.run(LocalRunner().make, scenario, RunOptions(folder / "before", seed=1), NullObserver())
    return scenario, Delivery(pack(run.path))


def efficiency(folder: Path, scenario: Scenario, delivery: Delivery, workers: int, rounds: int) -> float:
    """Return the ideal time for so many runs a worker, as a share of what was simulated."""

    async def all_of_them(runner: FleetRunner) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(workers * rounds):
                tasks.start_soon(runner.make, scenario, RunOptions(folder / "results", seed=1), NullObserver())

    _, took = simulated(all_of_them, SimulatedCluster(workers, SECONDS, delivery))
    return rounds * SECONDS / took


async def _stands_in(job: object, key: str, topic: str) -> Delivery:  # noqa: ARG001 — as it is asked
    """Be a host that has its run at once."""
    worker = get_worker()
    worker.log_event(topic, {"key": key, "host": str(worker.name), "lines": [], "ended": True})
    return worker.delivery  # type: ignore[no-any-return]


def _cluster(pipe: Connection, delivery: Delivery) -> None:
    """Be a scheduler and hosts, until told to end."""

    async def until_told() -> None:
        local = LocalCluster(n_workers=4, threads_per_worker=1, resources={RESOURCE: 1}, processes=False, protocol="tcp://",
                             dashboard_address="127.0.0.1:0", asynchronous=True)  # fmt: skip
        async with local as cluster, Client(cluster, asynchronous=True) as client:
            for worker in cluster.workers.values():
                worker.delivery = delivery
            pipe.send(client.scheduler.address)
            while not pipe.poll():
                await anyio.sleep(0.1)

    anyio.run(until_told)


def cpu_of_a_run(folder: Path, scenario: Scenario, delivery: Delivery, runs: int) -> float:
    """Return the CPU seconds that a client takes for a run, Dask's part included; the cluster is another process."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    cluster = multiprocessing.get_context("spawn").Process(target=_cluster, args=(there, delivery), daemon=True)
    cluster.start()
    took = 0.0

    async def through(address: str) -> None:
        nonlocal took
        async with fleet(address, insecure=True, say=lambda _: None) as runner:
            began = time.process_time()
            async with anyio.create_task_group() as tasks:
                for _ in range(runs):
                    tasks.start_soon(runner.make, scenario, RunOptions(folder / "real", seed=1), NullObserver())
            took = time.process_time() - began

    setattr(fleet_runner_module, "make", _stands_in)  # noqa: B010 — as a test patches it
    try:
        anyio.run(through, here.recv())
    finally:
        here.send("end")
        cluster.join(20)
        cluster.kill()
    return took / runs


def main() -> None:
    """Print a line for each number of workers."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with tempfile.TemporaryDirectory() as place:
        scenario, delivery = prepared(Path(place))
        for workers in WORKERS:
            share = efficiency(Path(place), scenario, delivery, workers, rounds)
            print(f"{workers:>4} workers, {workers * rounds} runs of {SECONDS:g} s: {share:.3f} of ideal", flush=True)
        runs = 100
        each = cpu_of_a_run(Path(place), scenario, delivery, runs)
        print(f"a client takes {1000 * each:.1f} ms of CPU a run with Dask ({runs} runs)")


if __name__ == "__main__":
    main()
