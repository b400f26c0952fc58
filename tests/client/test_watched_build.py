"""What becomes of a client: from how it ended, what it said, and whether its daemon lives."""

import pytest

from harness.buildkit.progress import Progress
from harness.client.watched_build import _judge_failure
from harness.core.outcome import Outcome

STEP = b'{"vertexes":[{"digest":"sha256:1","name":"[1/1] RUN true","started":"2026-01-01T00:00:00Z"}]}\n'


@pytest.mark.parametrize(
    ("printed", "returncode", "daemon_died", "outcome"),
    [
        pytest.param(STEP + b"ERROR: failed to solve: exit code: 1\n", 1, False, Outcome.FAILED, id="a step failed"),
        pytest.param(STEP, 1, False, Outcome.FAILED, id="no word"),
        pytest.param(b"ERROR: Cannot connect to the Docker daemon\n", 1, False, Outcome.INFRA, id="no daemon"),
        pytest.param(b"ERROR: unknown flag: --progress\n", 125, False, Outcome.INFRA, id="never got to build"),
        pytest.param(
            STEP
            + b"ERROR: failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF\n",
            1,
            False,
            Outcome.INFRA,
            id="connection broke",
        ),
        pytest.param(STEP + b"ERROR: failed to solve: exit code: 1\n", 1, True, Outcome.INFRA, id="dead daemon"),
        pytest.param(STEP, -9, False, Outcome.INFRA, id="killed by somebody else"),
    ],
)
def test_failure(printed: bytes, returncode: int, daemon_died: bool, outcome: Outcome) -> None:
    """Only a build that reached the solver, over a connection that held to a living daemon, has failed by itself."""
    progress = Progress(0.0)
    progress.feed(printed, 1.0)
    progress.exited(2.0)
    verdict = _judge_failure(progress, returncode, daemon_died=daemon_died)
    assert verdict.outcome is outcome
    assert verdict.error


def test_error_is_the_last_one_told() -> None:
    """The message that is kept is the client's error, not what it printed around it."""
    progress = Progress(0.0)
    progress.feed(STEP + b"WARNING: old syntax\nERROR: failed to solve: no such file\nView details: somewhere\n", 1.0)
    progress.exited(2.0)
    assert _judge_failure(progress, 1, daemon_died=False).error == "ERROR: failed to solve: no such file"
