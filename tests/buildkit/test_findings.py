"""What a daemon died of, out of its log."""

from pathlib import Path

import pytest

from harness.buildkit.findings import LOG, diagnosis_of
from harness.core.outcome import Phase, Symptom
from harness.core.records import Finding

HOW = "buildkitd ended by itself with signal 9"
STACK = "goroutine 1 [running]:\nmain.main()\n\t/src/main.go:10 +0x1\n"
DEATHS = {
    "panic": (
        f"panic: assignment to entry in nil map\n\n{STACK}",
        ("crashed", "panic: assignment to entry in nil map"),
    ),
    "abort": (f"SIGABRT: abort\nPC=0x1 m=0 sigcode=0\n\n{STACK}\nrax 0x0\n", ("crashed", "SIGABRT: abort")),
    "asked before": (f"SIGQUIT: quit\n\n{STACK}\nSIGABRT: abort\n\n{STACK}", ("crashed", "SIGABRT: abort")),
    "said why": (
        'level=info msg="auto snapshotter"\nbuildkitd: invalid database\n---- repro: captured here\n',
        ("death", f"{HOW}: buildkitd: invalid database"),
    ),
    "killed": ('level=info msg="running server"\n', ("death", HOW)),
}


@pytest.mark.parametrize(("log", "said"), DEATHS.values(), ids=[*DEATHS])
def test_a_death(tmp_path: Path, log: str, said: tuple[str, str]) -> None:
    """A panic, or the signal on which goroutines were dumped; without either, its last words, or only how it ended."""
    (tmp_path / LOG).write_text(log)
    dead = Finding(3, Symptom.DEATH, 2.5, "", {}, Phase.SOLVING, 0.0, 0, (), hunted=True, detail=HOW)
    diagnosis = diagnosis_of(dead, tmp_path, {"kind": "buildkitd", "version": "v0.25.1"})
    assert diagnosis is not None
    assert (diagnosis.kind, diagnosis.because) == said
