"""`reproduce.sh` as upstream runs it: in an environment that has nothing but PATH, on upstream's own daemons."""

import subprocess
import tempfile
from pathlib import Path

import anyio
import pytest

from harness.cli.kinds import VOCABULARY
from harness.experiments.minimize.case import case_of
from harness.experiments.minimize.orders import Around, orders
from harness.experiments.minimize.result import write
from harness.scenario import load
from harness.store.minimized import SCRIPT
from tests.system.conftest import SCENARIOS, folder_from

SOCKETS = Path("/tmp")  # noqa: S108 — where the script has its socket, whatever TMPDIR is


@pytest.mark.parametrize(
    ("scenario", "act", "variable", "code"),
    [
        ("prune-race", "loop", "REPRO_AFFECTED", 1),
        ("prune-race", "loop", "REPRO_FIXED", 0),
        ("merged-and-killed", "cleanup", "REPRO_AFFECTED", 1),
    ],
    ids=["affected", "fixed", "merged-and-killed"],
)
def test_it_hangs_where_it_should(tmp_path: Path, scenario: str, act: str, variable: str, code: int) -> None:
    """It exits with 1 on an affected daemon and with 0 on a fixed one, says so, and leaves nothing on the host."""
    programs = folder_from(variable).removeprefix("path:")
    case = anyio.run(case_of, load(SCENARIOS / f"{scenario}.yaml", VOCABULARY), tmp_path / "contexts")
    change = next(iter(orders(case, [Around("second killed", act)])))
    assert write(tmp_path / "result", change.case, "A test.") == ""
    (tmp_path / "tmp").mkdir()
    sockets = {*SOCKETS.glob("repro-??????")}
    done = subprocess.run(
        ["/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"BUILDKIT_BIN={programs}", "HANG_SECONDS=5",
         f"TMPDIR={tmp_path / 'tmp'}", str(tmp_path / "result" / SCRIPT)],
        cwd=tempfile.gettempdir(), capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert ("HANG: build first has not returned" in done.stdout) == (code == 1)
    assert [*(tmp_path / "tmp").iterdir()] == []
    assert {*SOCKETS.glob("repro-??????")} <= sockets
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
