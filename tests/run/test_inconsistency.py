"""A cache graph that contradicts itself is a finding where the scenario looks for one, and only if it goes on to."""

import shutil
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.actors.base import Unanswered
from harness.core.manifest import DaemonFacts
from harness.core.outcome import Symptom
from harness.core.records import Finding
from harness.report.words import finding_line
from harness.run import finding_recorder
from harness.run.conductor import Conductor
from harness.run.finding_recorder import FindingRecorder
from harness.run.observer import NullObserver
from harness.scenario import Scenario
from harness.store.folder import RunFolder
from tests.buildkit.test_bbolt import REAL
from tests.buildkit.test_cache_db import GRAPH
from tests.run.test_audit import Told
from tests.run.test_graph_state import CYCLE
from tests.support.bolt import bolt

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("cache")]

SOUND = bolt(GRAPH)


async def found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *databases: bytes, **parts: Any
) -> tuple[RunFolder, bool]:
    """Let a recorder look twice at a daemon that has this database, then that; return the run, and whether it ends."""
    root = tmp_path / "root"
    root.mkdir()
    left = [*databases]

    async def sleep(_: float) -> None:
        (root / "cache.db").write_bytes(left.pop(0) if len(left) > 1 else left[0])

    monkeypatch.setattr(finding_recorder, "_APART_SECONDS", 0.0)
    daemon = Told()
    daemon.facts = DaemonFacts("told", "", "", "", private=True, root=root)
    given = {"name": "mine", "actors": [{"name": "ci"}], "stop": {"iterations": 5}, **parts}
    folder = RunFolder.create(tmp_path, "mine")
    with folder.database() as database:
        conductor = Conductor(Scenario.model_validate(given), folder, database, NullObserver())
        recorder = FindingRecorder(conductor, daemon, 1, {})
        await sleep(0)
        with monkeypatch.context() as patch:
            patch.setattr("anyio.sleep", sleep)
            await recorder.inconsistency()
            await recorder.inconsistency()
    return folder, recorder.hung


@pytest.mark.parametrize("hunted", [True, False])
async def test_contradiction_that_lasts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hunted: bool) -> None:
    """It is found once, with what contradicts itself, the database, a drawing of the part and a diagnosis."""
    on = {"stop": {"iterations": 5, "on": ["inconsistency"]}} if hunted else {"detect": {"inconsistency": True}}
    folder, hung = await found(tmp_path, monkeypatch, REAL.read_bytes(), **on)
    (finding,) = folder.read(Finding)
    assert (finding.kind, finding.detail, finding.hunted, hung) == (Symptom.INCONSISTENCY, CYCLE, hunted, hunted)
    assert f"INCONSISTENCY: the cache graph contradicts itself: {CYCLE}" in finding_line(finding)
    evidence = folder.path / "findings" / f"{finding.iteration}-inconsistency"
    assert evidence == folder.path / finding.place
    assert (evidence / "cache.db").read_bytes() == REAL.read_bytes()
    told = (evidence / "inconsistency.txt").read_text()
    assert told.startswith(CYCLE)
    assert "== 6tb8rb6g2h8f" in told
    assert folder.evidence(finding).captured()["cache.db"] == "captured"
    diagnosis = folder.evidence(finding).diagnosis({})
    assert diagnosis
    assert diagnosis.sentence == "inconsistent cache graph, not known: 1 × cycle"


SILENT: dict[str, tuple[list[bytes], dict[str, Any]]] = {
    "sound": ([SOUND], {"detect": {"inconsistency": True}}),
    "passing": ([REAL.read_bytes(), SOUND], {"detect": {"inconsistency": True}}),
    "not asked": ([REAL.read_bytes()], {}),
    "no database": ([b"nothing"], {"detect": {"inconsistency": True}}),
}


@pytest.mark.parametrize(("databases", "parts"), SILENT.values(), ids=[*SILENT])
async def test_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, databases: list[bytes], parts: dict[str, Any]
) -> None:
    """Nothing is found of a sound graph, of a contradiction that passes, and where nobody asked; nothing is left."""
    folder, hung = await found(tmp_path, monkeypatch, *databases, **parts)
    assert folder.read(Finding) == []
    assert not hung
    assert [*(folder.path / "findings").iterdir()] == []


async def test_beside_another_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph is looked at whenever something else is found."""
    monkeypatch.setattr(finding_recorder, "_APART_SECONDS", 0.0)
    root = tmp_path / "root"
    root.mkdir()
    shutil.copyfile(REAL, root / "cache.db")
    daemon = Told(*[None] * 9)
    daemon.facts = DaemonFacts("told", "", "", "", private=True, root=root)
    given = {"name": "mine", "actors": [{"name": "ci"}], "stop": {"iterations": 5}, "detect": {"inconsistency": True}}
    folder = RunFolder.create(tmp_path, "mine")
    with folder.database() as database:
        conductor = Conductor(Scenario.model_validate(given), folder, database, NullObserver())
        recorder = FindingRecorder(conductor, daemon, 1, {})
        monkeypatch.setattr(conductor, "may_capture", lambda kind: kind is Symptom.INCONSISTENCY)
        with anyio.fail_after(20):
            await recorder.unanswered(Unanswered("loop", "prune", 9.0))
    assert [finding.kind for finding in folder.read(Finding)] == [Symptom.ACT, Symptom.INCONSISTENCY]
