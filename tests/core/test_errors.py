"""The error tree: who is to blame, and that each message says what, where and what next."""

from pathlib import Path

import pytest

from harness.core import errors
from harness.core.errors import (
    CaptureError,
    CommandError,
    CommandMissing,
    CommandTimeout,
    DaemonDied,
    DaemonStartError,
    HarnessError,
    InfraError,
    Problem,
    ScenarioError,
    StoreError,
    SubjectError,
    UnknownKind,
    UsageError,
    nearest,
)


def test_one_branch_for_each() -> None:
    """Every error is exactly one of: the user's end of it, the user's, the daemon's, ours."""
    branches = (errors.Interrupted, UsageError, SubjectError, InfraError)
    leaves = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, HarnessError) and kind is not HarnessError
    ]
    assert len(leaves) == 14
    assert {kind: sum(issubclass(kind, branch) for branch in branches) for kind in leaves} == dict.fromkeys(leaves, 1)


@pytest.mark.parametrize(
    ("error", "branch", "message"),
    [
        (
            UnknownKind("daemon", "dockered", ["podman", "dockerd"]),
            UsageError,
            "unknown daemon 'dockered'; did you mean 'dockerd'?; known: dockerd, podman",
        ),
        (UnknownKind("daemon", "x", ["podman"]), UsageError, "unknown daemon 'x'; known: podman"),
        (
            ScenarioError(Path("a.yaml"), [Problem(7, "stop", "is missing"), Problem(2, "name", "is bad")]),
            UsageError,
            "a.yaml:2: name: is bad\na.yaml:7: stop: is missing",
        ),
        (DaemonStartError("dockerd", "no word", Path("none.log")), SubjectError, "dockerd did not start: no word"),
        (DaemonDied("buildkitd", 2, None), SubjectError, "buildkitd ended by itself with status 2"),
        (DaemonDied("buildkitd", -9, None), SubjectError, "buildkitd ended by itself with signal 9"),
        (CommandMissing("buildctl"), InfraError, "cannot start buildctl: install it, or put it on PATH"),
        (CommandError(["a", "b"], 3, " no\n"), InfraError, "`a b` failed with exit 3:\nno"),
        (CommandError(["a"], -9, "\n"), InfraError, "`a` failed with signal 9:\n(no output)"),
        (CommandTimeout(["a"], 2.5, "x\n"), InfraError, "`a` did not end within 2.5 s and was killed:\nx"),
        (CommandTimeout(["a"], 60.0), InfraError, "`a` did not end within 60 s and was killed"),
        (CaptureError("no pprof"), InfraError, "no pprof"),
        (StoreError(Path("run.db"), "disk full"), InfraError, "run.db: disk full"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_messages(error: HarnessError, branch: type[HarnessError], message: str) -> None:
    """Each class makes its own message, whole, and belongs to its branch."""
    assert str(error) == message
    assert isinstance(error, branch)


def test_the_end_of_a_daemons_log(tmp_path: Path) -> None:
    """What a daemon printed last stands in the message, and no more than that of a long log."""
    log = tmp_path / "daemon.log"
    log.write_text("".join(f"line {number}\n" for number in range(10_000)))
    told = f"; the end of {log}:" + "".join(f"\n    line {number}" for number in range(9995, 10_000))
    assert str(DaemonStartError("dockerd", "it ended", log)) == f"dockerd did not start: it ended{told}"
    assert str(DaemonDied("dockerd", 1, log)) == f"dockerd ended by itself with status 1{told}"


def test_problems_in_the_order_of_the_file() -> None:
    """Problems stand by line as numbers, not as text, and are all kept."""
    problems = [Problem(line, "key", "is bad") for line in (10, 9, 1)]
    assert [problem.line for problem in ScenarioError(Path("a.yaml"), problems).problems] == [1, 9, 10]


def test_the_nearest_name() -> None:
    """A name that resembles none is not guessed at."""
    assert nearest("itertions", ["iterations", "time"]) == "; did you mean 'iterations'?"
    assert nearest("qqq", ["iterations", "time"]) == ""
