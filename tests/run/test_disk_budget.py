"""How much disk a run is going to take, by what an earlier one took; and that it is refused where there is none."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli.kinds import VOCABULARY
from harness.core.outcome import Outcome
from harness.core.records import Iteration, Sample
from harness.run.disk_budget import budget
from harness.scenario import Scenario, load
from harness.store.folder import RunFolder
from tests.support.stub_runs import start, write_scenario

GIB = 2**30
BUILD = Iteration(1, "ci", {}, Outcome.OK, 0.0, 0.1, 0.2, 0.3, 1.0, None, 0)
SAMPLE = Sample(0.0, None, None, None, 0, 0.0, 0.0, 0.0, 1)


def earlier(results: Path, iterations: int, *, taken: int) -> RunFolder:
    """Write an earlier run, one iteration a second, that took so many bytes."""
    folder = RunFolder.create(results, "stubbed")
    with folder.database() as database:
        database.connection.execute("BEGIN")
        for number in range(1, iterations + 1):
            database.add(replace(BUILD, number=number, exited=float(number)))
        for at, free in ((5.0, 500 * GIB), (iterations / 2, 500 * GIB - taken // 2), (iterations, 500 * GIB - taken)):
            database.add(replace(SAMPLE, at=float(at), disk_free=free))
        database.connection.execute("COMMIT")
    return folder


def scenario(folder: Path, **stop: object) -> Scenario:
    """Return a scenario of that name that ends as told."""
    return load(write_scenario(folder, stop=stop), VOCABULARY)


@pytest.mark.parametrize(
    ("stop", "iterations"),
    [({"iterations": 20_000}, 20_000), ({"time": "10h"}, 36_000), ({"time": "10h", "iterations": 100}, 100)],
)
def test_it_goes_by_the_earlier_run(tmp_path: Path, stop: dict[str, object], iterations: int) -> None:
    """What 300 iterations took, so many more take in proportion; a time is turned into iterations at their pace."""
    earlier(tmp_path, 300, taken=3 * GIB)
    reckoned = budget(scenario(tmp_path, **stop), tmp_path, tmp_path)
    assert reckoned is not None
    assert reckoned.iterations == iterations
    assert reckoned.bytes == pytest.approx(iterations * GIB / 100)
    assert reckoned.fits is (iterations == 100)


@pytest.mark.parametrize(("iterations", "taken"), [(100, GIB), (300, 0), (300, -GIB)])
def test_nothing_to_go_by(tmp_path: Path, iterations: int, taken: int) -> None:
    """A short run, and one that took nothing on the whole, tell nothing; neither do other files."""
    earlier(tmp_path, iterations, taken=taken)
    damaged = RunFolder.create(tmp_path, "stubbed")
    (damaged.path / "run.db").write_text("no database")
    assert budget(scenario(tmp_path, iterations=20_000), tmp_path, tmp_path) is None


@pytest.mark.usefixtures("cache")
def test_a_run_that_will_not_fit(tmp_path: Path) -> None:
    """It is refused before it begins, with the figures; `--anyway` begins it."""
    results = tmp_path / "results"
    earlier(results, 300, taken=300 * GIB)
    file = write_scenario(tmp_path, stop={"iterations": 1000})
    refused = start(file)
    output, _ = refused.communicate(timeout=180)
    assert refused.returncode == 129
    assert "1,000 iterations need about 1000.0 GiB of disk" in output
    assert len([*results.glob("*/*")]) == 1
    begun = start(file, "--anyway", "--time", "8s")
    output, _ = begun.communicate(timeout=180)
    assert begun.returncode == 0, output
