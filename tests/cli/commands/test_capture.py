"""`repro capture`: of a process that goes for a dockerd, through the real program; and of what is none."""

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.pretend_daemon import start

Start = Callable[..., subprocess.Popen[str]]


def repro(*words: str) -> subprocess.CompletedProcess[str]:
    """Run `repro` with words."""
    argv = [sys.executable, "-m", "harness", *words]
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=environment, timeout=180)


def test_capture_and_diagnose(process: Start, tmp_path: Path) -> None:
    """A daemon is captured into a folder of its own and diagnosed; `repro diagnose` reads the folder again."""
    daemon = start(process, tmp_path / "d.sock", "--busy")
    ended = repro("capture", "--daemon", str(daemon.pid), "--output", str(tmp_path / "captures"), "--json")
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    [folder] = (tmp_path / "captures").iterdir()
    assert told["folder"] == str(folder)
    assert told["diagnosis"]["signature"] == "export-livelock"
    assert told["captured"] == json.loads((folder / "captured.json").read_text())
    had = {name for name, result in told["captured"].items() if result == "captured"}
    assert {"process", "host", "goroutines", "info"} <= had
    about = json.loads((folder / "daemon.json").read_text())
    assert about["daemon"]["pid"] == daemon.pid
    assert about["daemon"]["version"] == "28.3.3"
    assert len(about["toolchain"]["binaries"]["dockerd"]["sha256"]) == 64
    assert about["host"]["cores"] == os.cpu_count()
    again = repro("diagnose", str(folder), "--json")
    assert json.loads(again.stdout) == told["diagnosis"]


def test_bundle(process: Start, tmp_path: Path) -> None:
    """A capture becomes an archive for a report, with the text of an issue, and without secrets."""
    start(process, tmp_path / "d.sock", "--busy", "--token=hunter2222")
    code = repro("capture", "--daemon", str(tmp_path / "d.sock"), "-o", str(tmp_path / "captures")).returncode
    [folder] = (tmp_path / "captures").iterdir()
    ended = repro("bundle", str(folder), "-o", str(tmp_path / "b.tgz"))
    assert (code, ended.returncode) == (0, 0), ended.stderr
    with tarfile.open(tmp_path / "b.tgz") as archive:
        contents = {member.name: archive.extractfile(member) for member in archive}
        texts = {
            name.partition("/")[2]: file.read().decode(errors="replace") for name, file in contents.items() if file
        }
    assert texts["ISSUE.md"].startswith("# dockerd 28.3.3: livelock\n")
    assert "dockerd: 28.3.3 (sha256 " in texts["ISSUE.md"]
    assert {"daemon.json", "captured.json", "process.json", "goroutines.txt", "goroutines-2.txt"} <= {*texts}
    assert "hunter2222" in (folder / "process.json").read_text()
    assert "hunter2222" not in "".join(texts.values())


def test_told_to_a_person(process: Start, tmp_path: Path) -> None:
    """The diagnosis comes first, what could not be had stands with its reason, and the folder last."""
    start(process, tmp_path / "d.sock", "--busy")
    ended = repro("capture", "--daemon", str(tmp_path / "d.sock"), "-o", str(tmp_path / "captures"))
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("livelock in solver.(*exporter).ExportTo (export-livelock)")
    assert any(line.startswith("no daemon log: ") for line in lines)
    assert lines[-1].endswith(str(next((tmp_path / "captures").iterdir())))


@pytest.mark.parametrize("words", [["--daemon", "/no/such.sock"], ["--daemon", "4194304"], [], ["--daemon", ""]])
def test_no_such_daemon(words: list[str], tmp_path: Path) -> None:
    """A daemon that is not there is the user's error, and no folder is made for it."""
    ended = repro("capture", *words, "--output", str(tmp_path / "captures"))
    assert ended.returncode == 129, ended.stderr
    assert ended.stderr.startswith("repro: ")
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "captures").exists()
