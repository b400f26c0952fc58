"""What a run promises beside its verdict: records that outlive a power cut, evidence that does not fill the disk."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.core.records import Finding
from harness.run.conductor import TEND_SECONDS, Conductor
from harness.run.observer import NullObserver
from harness.scenario import Scenario
from harness.store.database import RunDatabase
from harness.store.folder import RunFolder
from tests.support.stub_runs import run, write_scenario

pytestmark = pytest.mark.usefixtures("cache")

SCENARIO: dict[str, Any] = {
    "name": "mine",
    "actors": [{"name": "ci"}],
    "stop": {"iterations": 5},
}


@pytest.mark.anyio
async def test_records_reach_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a run goes on its records are forced to the disk about once a second, so a power cut costs no more."""
    hardened: list[int] = []
    monkeypatch.setattr(RunDatabase, "harden", lambda _: hardened.append(1))
    folder = RunFolder.create(tmp_path, "mine")
    with folder.database() as database:
        conductor = Conductor(Scenario.model_validate(SCENARIO), folder, database, NullObserver())
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(conductor.watch_over)
            while len(hardened) < 3:  # not a time: a host may be held up
                await anyio.sleep(0.02)
            tasks.cancel_scope.cancel()
    assert anyio.current_time() - began >= 2 * TEND_SECONDS, "and no more often"
    assert TEND_SECONDS == 1.0


def test_hardening_is_of_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is forced to the disk is the database and its log, both of them."""
    synced: list[str] = []
    monkeypatch.setattr(
        "harness.store.database.os.fsync", lambda file: synced.append(Path(f"/proc/self/fd/{file}").readlink().name)
    )
    folder = RunFolder.create(tmp_path, "mine")
    with folder.database() as database:
        database.harden()
    assert synced == ["run.db-wal", "run.db"]


def test_evidence_of_the_first_three_findings(tmp_path: Path) -> None:
    """On a daemon that is renewed for each hang, three findings have evidence in full; later ones have the progress."""
    scenario = write_scenario(
        tmp_path,
        clients={str(number): "hang" for number in range(1, 6)},
        on_hang={"then": "renew"},
        stop={"iterations": 5, "hangs": 5},
    )
    _, output, folder = run(scenario)
    findings = folder.read(Finding)
    assert len(findings) == 5, output
    places = [folder.path / "findings" / str(finding.iteration) for finding in findings]
    assert [(place / "captured.json").exists() for place in places] == [True, True, True, False, False]
    assert all((place / "progress.jsonl").exists() for place in places)
