"""Scratch folders: what a killed process left goes, and what is in use stays."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from harness.host.scratch import remove_dead, scratch

HOLDS = """
import sys, time
from pathlib import Path
from harness.host.scratch import scratch
with scratch(Path(sys.argv[1])) as folder:
    (folder / "file").touch()
    print(folder, flush=True)
    time.sleep(1000)
"""


def test_it_goes_with_its_context(tmp_path: Path) -> None:
    """A folder is there while it is used, and then is not, with all in it."""
    with scratch(tmp_path) as folder:
        assert folder.parent == tmp_path
        (folder / "below").mkdir()
    assert [*tmp_path.iterdir()] == []


def test_what_a_killed_process_left(tmp_path: Path, process: Callable[..., subprocess.Popen[str]]) -> None:
    """It goes with the next use, or with `repro clean`; a living process's stays, and so do other folders."""
    (tmp_path / ".other").mkdir()
    holder = process(sys.executable, "-c", HOLDS, tmp_path)
    assert holder.stdout is not None
    held = Path(holder.stdout.readline().strip())
    remove_dead(tmp_path)
    with scratch(tmp_path) as ours:
        assert {*tmp_path.iterdir()} == {held, ours, tmp_path / ".other"}
    holder.kill()
    holder.wait()
    assert (held / "file").exists()
    with scratch(tmp_path) as ours:
        assert {*tmp_path.iterdir()} == {ours, tmp_path / ".other"}
