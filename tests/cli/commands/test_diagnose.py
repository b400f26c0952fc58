"""`repro diagnose`: anybody's dumps, and what is none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "data" / "goroutines"
HANG = [str(file) for file in sorted(DATA.glob("hang-*.txt"))]


def diagnose(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "harness", "diagnose", *words], check=False, capture_output=True, text=True
    )


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
