"""`repro minimize`: what it is given is a scenario, or a run, or it says what it is not."""

from pathlib import Path

import pytest

from harness.cli.main import _exit_code
from harness.core.outcome import ExitCode


def test_neither_scenario_nor_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt name may be meant as that of either: both are said to be missing, and the nearest is named."""
    asked = ["minimize", "merged-and-kiled", "--daemon", "path:/nowhere", "--results", str(tmp_path)]
    assert _exit_code(asked) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "merged-and-kiled: no such scenario or file, and no run below" in said
    assert "did you mean 'merged-and-killed'?" in said
    assert not list(tmp_path.iterdir())


def test_a_daemon_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said before a folder for the result is made."""
    asked = ["minimize", "merged-and-killed", "--daemon", "path:/nowhere", "--results", str(tmp_path)]
    assert _exit_code(asked) == ExitCode.USAGE
    assert "/nowhere" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
