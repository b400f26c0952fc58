"""`repro affected`: of releases, of binaries, and of a process that goes for a dockerd that hangs."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli.main import _exit_code
from harness.core.outcome import ExitCode
from tests.support.pretend_daemon import start

Start = Callable[..., subprocess.Popen[str]]
Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("spec", "code", "told"),
    [
        ("buildkit:v0.23.2", ExitCode.HANG, "take        BuildKit v0."),
        ("docker:28.4.0", ExitCode.HANG, "daemon      Engine 28.4.0 with BuildKit v0.24.0"),
        ("image:moby/buildkit:v0.24.0", ExitCode.HANG, "AFFECTED    by "),
        ("image:docker:28.4.0", ExitCode.HANG, "daemon      Engine 28.4.0 with BuildKit v0.24.0"),
        ("buildkit:v99.0.0", ExitCode.CLEAN, "NOT AFFECTED  by any known bug"),
        ("no/such", ExitCode.USAGE, ""),
    ],
)
def test_of_a_release(spec: str, code: ExitCode, told: str, capsys: Captured) -> None:
    """A release that says its version is answered without being fetched, the verdict last."""
    assert _exit_code(["affected", "--daemon", spec]) == code
    assert told in capsys.readouterr().out


def test_only_what_is_asked_for(capsys: Captured) -> None:
    """With --only, a release is judged by that bug alone; a name that is none is refused with those that are."""
    words = ["affected", "--only", "export-livelock", "--daemon"]
    assert _exit_code([*words, "buildkit:v0.24.0"]) == ExitCode.HANG
    assert _exit_code([*words, "buildkit:v0.25.1"]) == ExitCode.CLEAN
    assert "NOT AFFECTED  by export-livelock" in capsys.readouterr().out
    assert _exit_code(["affected", "--only", "export-lifelock", "--daemon", "buildkit:v0.25.1"]) == ExitCode.USAGE
    assert "did you mean 'export-livelock'?" in capsys.readouterr().err


def test_of_a_folder(tmp_path: Path, capsys: Captured) -> None:
    """Of a folder, its daemon says its version; one that says none is not called free of anything."""
    program = tmp_path / "buildkitd"
    program.write_text("#!/bin/sh\necho buildkitd github.com/moby/buildkit v0.24.0 x\n")
    program.chmod(0o755)
    assert _exit_code(["affected", "--daemon", str(tmp_path)]) == ExitCode.HANG
    program.write_text("#!/bin/sh\necho buildkitd github.com/moby/buildkit v0.0.0+unknown x\n")
    assert _exit_code(["affected", "--daemon", f"path:{tmp_path}"]) == ExitCode.INCONCLUSIVE
    assert "UNKNOWN" in capsys.readouterr().out


def test_of_a_daemon_that_hangs(process: Start, tmp_path: Path, capsys: Captured) -> None:
    """What runs is looked at: that it hangs now is told with its name, and the process is as it was."""
    daemon = start(process, tmp_path / "d.sock", "--busy")
    assert _exit_code(["affected", "--daemon", str(daemon.pid), "--json"]) == ExitCode.HANG
    told = json.loads(capsys.readouterr().out)
    assert told["release"] == {"buildkit": "v0.23.2", "engine": "28.3.3"}
    assert told["now"]["hangs"]
    assert told["now"]["diagnosis"]["signature"] == "export-livelock"
    assert told["exit_code"] == ExitCode.HANG
    assert daemon.poll() is None
    assert [path.name for path in tmp_path.iterdir()] == ["d.sock"]
