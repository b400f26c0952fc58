"""Whether a run's cache graph was consistent: from its audits, and from the copies at its findings."""

import shutil
from pathlib import Path

from harness.core.records import Audit, GraphState
from harness.run.graph_state import state_of
from tests.buildkit.test_bbolt import REAL

CYCLE = "cycle: 6tb8rb6g2h8ff3cm3jyziiaup -> 6tb8rb6g2h8ff3cm3jyziiaup"


def audit(keys: int | None, *faults: str) -> Audit:
    """Return an audit that read a graph of so many keys, or none."""
    return Audit(1, 1, 0.0, 0.0, True, None, None, (), None, None, None, graph_keys=keys, graph_faults=faults)


def test_never_read(tmp_path: Path) -> None:
    """Of a graph that was never read, and of copies that cannot be, nothing is said."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cache.db").write_bytes(b"no database")
    assert state_of([audit(None)], tmp_path) is None


def test_consistent(tmp_path: Path) -> None:
    """Each read counts, also one of a graph that is empty."""
    assert state_of([audit(0), audit(5), audit(None)], tmp_path) == GraphState(2, 0, ())


def test_inconsistent(tmp_path: Path) -> None:
    """Reads in which something contradicted itself are counted, and what did is told once."""
    for number in ("7", "10"):
        (tmp_path / number).mkdir()
        shutil.copyfile(REAL, tmp_path / number / "cache.db")
    found = state_of([audit(5), audit(5, "link to nowhere: a -> b")], tmp_path)
    assert found == GraphState(4, 3, ("link to nowhere: a -> b", CYCLE))
