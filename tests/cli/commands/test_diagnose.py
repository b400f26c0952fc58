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
