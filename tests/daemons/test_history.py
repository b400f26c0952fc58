"""What clients print of builds: real outputs of real daemons, read."""

from pathlib import Path

import pytest

from harness.buildkit.progress import Progress
from harness.core.errors import CaptureError
from harness.core.outcome import Phase
from harness.daemons.base import RunningBuild
from harness.daemons.history import iteration_in_buildx, running_in_buildctl, running_in_buildx, tee
from harness.host.proc import Command

DATA = Path(__file__).parents[1] / "data" / "history"


def test_running_builds_of_buildctl() -> None:
    """Of six records the three without an end are running, each with the iteration that its build argument says."""
    running = running_in_buildctl((DATA / "buildctl-0.23.2-histories.jsonl").read_text())
    assert running == (
        RunningBuild("vv5j22dhayatx2dowpnvvxtib", 5),
        RunningBuild("4efqfwhcnbyee3gjz4qm5p1jd", 4),
        RunningBuild("yi6s29tspxrzguofpq1zpj193", 28),
    )


def test_running_builds_of_buildx() -> None:
    """Of three records one is running; its name is what comes behind the builder's and the node's."""
    running = running_in_buildx((DATA / "buildx-0.29.1-ls.jsonl").read_text())
    assert running == (RunningBuild("ycw8d8d4h0c90c54gtpo81wfc"),)


def test_iteration_in_buildx() -> None:
    """The iteration is among the arguments of a record; a build of somebody else's has none."""
    text = (DATA / "buildx-0.29.1-inspect.json").read_text()
    assert iteration_in_buildx(text) == 42
    assert iteration_in_buildx(text.replace("REPRO_ITERATION", "VERSION")) is None
    assert iteration_in_buildx('{"Name": "ci", "Ref": "a"}') is None


def test_no_running_builds() -> None:
    """A daemon that has built nothing prints nothing."""
    assert running_in_buildctl("") == running_in_buildx("") == ()


@pytest.mark.parametrize("text", ["ERROR: no such command", "[1", '{"BuildArgs": [{}]}', '{"BuildArgs": 7}'])
def test_what_is_no_record(text: str) -> None:
    """What cannot be read is said to be not known, and not taken for a daemon without builds."""
    with pytest.raises(CaptureError, match="cannot be read"):
        iteration_in_buildx(text)
    if not text.startswith("{"):
        for read in (running_in_buildctl, running_in_buildx):
            with pytest.raises(CaptureError, match="cannot be read"):
                read(text)


@pytest.mark.parametrize(
    ("name", "phase", "rests"),
    [
        ("buildctl-0.23.2-hung-exported", Phase.EXPORTED, True),
        ("buildctl-0.23.2-hung-export-failed", Phase.EXPORTING, True),
        ("buildx-0.29.1-running", Phase.SOLVING, False),
    ],
)
def test_how_far_a_build_is(name: str, phase: Phase, rests: bool) -> None:
    """A build that hung has nothing left to do, also where its export failed as it was killed; a sleeping one has."""
    progress = Progress(0.0)
    progress.feed((DATA / f"{name}.jsonl").read_bytes(), 1.0)
    assert (progress.phase, progress.rests) == (phase, rests)


@pytest.mark.anyio
async def test_a_client_that_follows_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has printed counts, on either output; it is ended, and not waited for."""
    monkeypatch.setattr("harness.daemons.history._FOLLOW_SECONDS", 0.5)
    told = await tee(Command(("sh", "-c", 'echo "{}" >&2; exec sleep 1000')))
    assert told == b"{}\n"


@pytest.mark.anyio
@pytest.mark.parametrize("script", ["echo ERROR: no such job >&2; exit 1", "exec sleep 1000"])
async def test_a_client_without_progress(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A build that is gone, and a daemon that does not answer, are told, each within its time."""
    monkeypatch.setattr("harness.daemons.history._FOLLOW_SECONDS", 0.5)
    with pytest.raises(CaptureError, match=r"no such job|not a word"):
        await tee(Command(("sh", "-c", script)))
