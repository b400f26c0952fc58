"""`repro diagnose`: anybody's dumps, and what is none."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from harness.cli.commands.diagnose import NothingFound, diagnose_
from harness.cli.main import _exit_code
from harness.core.outcome import Phase, Symptom
from harness.core.records import Finding
from harness.store.folder import RunFolder
from tests.web.runs import FINDING, MANIFEST

DATA = Path(__file__).parents[2] / "data" / "goroutines"
HANG = [str(file) for file in sorted(DATA.glob("hang-*.txt"))]


def diagnose(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, in this process."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        code = _exit_code(["diagnose", *words])
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def test_dumps_that_somebody_hands_over() -> None:
    """Several files are dumps of one process; the verdict comes first, and the fullest buckets last."""
    ended = diagnose(*HANG, "--version", "BuildKit v0.23.2")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("livelock in solver.(*exporter).ExportTo (export-livelock)")
    assert "70 goroutines in 30 buckets" in ended.stdout


def test_a_pipe() -> None:
    """A dump may come through a pipe, as from `kubectl logs`; a minus is the standard input."""
    words = [sys.executable, "-m", "harness", "diagnose", "-"]
    ended = subprocess.run(words, check=False, capture_output=True, input=Path(HANG[0]).read_bytes())
    assert b"consistent with export-livelock" in ended.stdout, ended.stderr


def test_machine_lines() -> None:
    """`--json` is one object with the same."""
    ended = diagnose("--json", *HANG)
    assert json.loads(ended.stdout)["signature"] == "export-livelock"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no goroutine with a stack"),
        (b"{}\n" * 1000, "holds no goroutine with a stack"),
        (b"\x00" * 200_000, "holds no goroutine with a stack"),
        (b"goroutine profile: total 1\n1 @ 0x1\n#\t0x1\tmain.f+0x1\t/x.go:1\n", "counted form"),
        (None, "No such file"),
    ],
    ids=["empty", "text", "noise", "counted", "missing"],
)
def test_what_is_no_dump(tmp_path: Path, content: bytes | None, said: str) -> None:
    """What cannot be read is told with its name and what is wanted instead; it is the user's error, not a traceback."""
    file = tmp_path / "dump"
    if content is not None:
        file.write_bytes(content)
    ended = diagnose(HANG[0], str(file))
    assert ended.returncode == 129
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_cut_off_and_windows_line_ends(tmp_path: Path) -> None:
    """A dump that was cut off, or went through Windows, is read as far as it goes."""
    for number, file in enumerate(HANG):
        (tmp_path / str(number)).write_bytes(Path(file).read_bytes().replace(b"\n", b"\r\n")[:-1000])
    ended = diagnose(*(str(file) for file in sorted(tmp_path.iterdir())))
    assert ended.returncode == 0, ended.stderr
    assert "export-livelock" in ended.stdout


REPORTS = Path(__file__).parents[2] / "data" / "reports"


def test_a_log_of_a_crash_and_a_counted_dump() -> None:
    """A crash is told as one, and a dump in the counted form as the leak that it shows."""
    crashed = diagnose(str(REPORTS / "K9-crash-llb-map" / "dump.txt"))
    assert crashed.stdout.startswith("crashed in llb.mergeMetadata")
    counted = diagnose(str(REPORTS / "K14-debug1-leak" / "dump.txt"))
    assert counted.stdout.startswith("leak in grpc.newClientStreamWithParams")


def test_goroutines_without_frames(tmp_path: Path) -> None:
    """A dump whose frames are lost is refused, never told as idle."""
    file = tmp_path / "dump"
    file.write_text("goroutine 1 [select]:\n\ngoroutine 2 [chan receive, 9 minutes]:\n")
    ended = diagnose(str(file), str(file))
    assert ended.returncode == 129
    assert "frames cannot be read" in ended.stderr


def test_signatures_of_your_own(tmp_path: Path) -> None:
    """A file of the same form names what only its user knows, and a bad one is told with its name."""
    own = tmp_path / "own.yaml"
    own.write_text(
        "- name: our-lock\n  means: ours\n  kind: deadlock\n  link: https://example.org/1\n"
        "  stacks: [[github.com/docker/docker/daemon.(*Daemon).ContainerInspectCurrent]]\n"
    )
    files = [str(file) for file in sorted((REPORTS / "K6-container-lock").iterdir())]
    named = diagnose(*files, "--signatures", str(own))
    assert "our-lock" in named.stdout, named.stderr
    own.write_text("- name: 1\n  wrong: 2\n")
    bad = diagnose(*files, "--signatures", str(own))
    assert bad.returncode == 129
    assert str(own) in bad.stderr
    assert "Traceback" not in bad.stderr


DUMPS = {Path(file).name.replace("hang", "goroutines"): Path(file).read_bytes() for file in HANG}
PANIC = (REPORTS / "K9-crash-llb-map" / "dump.txt").read_bytes()
DEATH = replace(FINDING, kind=Symptom.DEATH, phase=Phase.EXITED, detail="it ended with signal 6 (SIGABRT)")
FAILURE = replace(
    FINDING, kind=Symptom.FAILURE, phase=Phase.SOLVING, detail="ERROR: parent snapshot abc does not exist: not found"
)
ACT = replace(FINDING, iteration=2, kind=Symptom.ACT, actor="cleanup", detail="`buildctl prune`", waited=600.0)


def run_with(results: Path, *findings: tuple[Finding, Mapping[str, bytes]]) -> RunFolder:
    """Return a run with findings, each with the files of its evidence."""
    folder = RunFolder.create(results, "s")
    folder.write_manifest(MANIFEST)
    with folder.database() as database:
        for finding, files in findings:
            database.add(finding)
            here = folder.evidence(finding).path
            here.mkdir(parents=True, exist_ok=True)
            for name, content in files.items():
                (here / name).write_bytes(content)
            (here / "captured.json").write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("finding", "files", "said"),
    [
        (
            FINDING,
            DUMPS,
            ["livelock in solver.(*exporter).ExportTo", "iteration 3", "HANG"],
        ),
        (DEATH, {"daemon.log": PANIC}, ["crashed in llb.mergeMetadata", "fatal error: concurrent map", "DEATH"]),
        (DEATH, {}, ["death, not known: it ended with signal 6", "no panic"]),
        (FAILURE, {}, ["failure (parent-snapshot-missing), known", "FAILURE"]),
        (ACT, DUMPS, ["`buildctl prune` did not come back: livelock in", "has not come back for 10m"]),
        (ACT, {}, ["act, not known: `buildctl prune` did not come back, and there is no dump"]),
    ],
    ids=["hang", "panic", "death", "failure", "act", "act without a dump"],
)
def test_each_kind_of_finding(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    finding: Finding,
    files: Mapping[str, bytes],
    said: list[str],
) -> None:
    """A run's finding is told whatever it is, and the same by the run and by the folder of its evidence."""
    folder = run_with(tmp_path, (finding, files))
    for what in (folder.path, folder.evidence(finding).path):
        diagnose_([str(what)], results=tmp_path)
        told = capsys.readouterr().out
        for words in said:
            assert words in told


def test_what_is_hunted_comes_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of several findings that which the run hunted is told whole, each other kind in a line, the same ones counted."""
    aside = replace(FAILURE, hunted=False, at=1.0)
    folder = run_with(tmp_path, (aside, {}), (replace(aside, iteration=4, at=2.0), {}), (DEATH, {"daemon.log": PANIC}))
    diagnose_([str(folder.path)], results=tmp_path)
    told = capsys.readouterr().out
    assert told.startswith("crashed in llb.mergeMetadata")
    assert "also           iteration 3 at 1.0 s  FAILURE" in told
    assert "and 1 more of the same" in told


def test_a_run_whose_records_are_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A hang's dumps say what they say without the run's records; one with nothing at all is refused in a sentence."""
    folder = run_with(tmp_path, (FINDING, DUMPS))
    (folder.path / "run.db").write_bytes(b"no database")
    diagnose_([str(folder.path)], results=tmp_path)
    assert capsys.readouterr().out.startswith("livelock in")
    shutil.rmtree(folder.path / "findings")
    with pytest.raises(NothingFound, match="nothing to diagnose"):
        diagnose_([str(folder.path)], results=tmp_path)
