"""From dumps to one sentence, with what is known of it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.buildkit.diagnosis import diagnose, diagnose_finding, read_dump, read_dumps
from harness.buildkit.goroutines.model import Frame, Goroutine
from harness.buildkit.goroutines.reading import Kind, ProcessFacts, Reading
from harness.buildkit.goroutines.signatures import Signature, signatures
from harness.core.records import Diagnosis

DATA = Path(__file__).parents[1] / "data" / "goroutines"
SOLVE = "github.com/moby/buildkit/control.(*Controller).Solve"
HANG, STALL, LEAK = (
    [read_dump(file) for file in sorted(DATA.glob(name))] for name in ("hang-*.txt", "stall-*.txt", "leak-*.txt")
)


@pytest.mark.parametrize("head", ["", "SIGQUIT: quit\n\n"])
def test_many_dumps_in_one_file(head: str, tmp_path: Path) -> None:
    """Of thousands of dumps in a file the last are kept: a goroutine that is there again begins one, or its head."""
    file = tmp_path / "many.txt"
    one = head + "goroutine 7 [select, {} minutes]:\nmain.main()\n\t/src/main.go:1 +0x1\n\n"
    file.write_text("".join(one.format(number) for number in range(1, 1001)))
    dumps = read_dumps([file])
    assert len(dumps) <= 201
    assert dumps[-1][0].minutes == 1000


def test_the_report() -> None:
    """The hang of the report is named, with the versions that have the fix; an affected version adds no doubt."""
    found = diagnose(HANG, daemon={"kind": "buildkitd", "version": "v0.23.2"}, process=ProcessFacts(cores=1.5))
    assert (found.kind, found.signature, found.known) == ("livelock", "export-livelock", True)
    assert found.fixed_in == {"BuildKit": "v0.25.0", "Engine": "28.5.0"}
    assert "livelock in solver.(*exporter).ExportTo" in found.sentence
    assert "known: fixed in BuildKit v0.25.0 / Engine 28.5.0" in found.sentence
    assert "should not have it" not in found.sentence


@pytest.mark.parametrize(
    ("kind", "version", "doubted"),
    [
        ("buildkitd", "v0.24.0", False),
        ("buildkitd", "v0.25.0", True),
        ("buildkitd", "v0.22.0", True),
        ("dockerd", "28.3.3", False),
        ("dockerd", "28.5.2+dfsg4", True),
        ("dockerd", "28.5.2+dfsg4 with BuildKit v0.23.2", False),
        ("buildkitd", "v0.0.0+unknown", True),
        ("buildkitd", "", False),
    ],
)
def test_versions(kind: str, version: str, doubted: bool) -> None:
    """A version outside of the affected range is told to be one; of no version nothing is said."""
    found = diagnose(HANG, daemon={"kind": kind, "version": version})
    assert ("should not have it" in found.sentence) is doubted


def test_stall_and_leak() -> None:
    """The scheduler's stall has a name and no fix; a leak is told where nothing keeps the daemon from going on."""
    stall = diagnose(STALL, daemon={"kind": "buildkitd", "version": "v0.25.1"}, process=ProcessFacts(cores=0.0))
    assert (stall.kind, stall.signature, stall.fixed_in) == ("lost wake-up", "scheduler-lost-wake-up", {})
    assert "no fix known" in stall.sentence
    leak = diagnose(LEAK * 2, daemon={"kind": "dockerd", "version": "28.5.2"})
    assert (leak.kind, leak.signature) == ("idle", "grpc-client-stream-leak")


def turning(*functions: str, id_: int = 1) -> list[list[Goroutine]]:
    """Return three dumps of a goroutine that turns in those functions."""
    return [[Goroutine(id_, "running", 0, False, tuple(Frame(function) for function in functions))]] * 3


def test_what_is_not_known() -> None:
    """It is told as not known, and has a signature of its own: the same in another run, another for another place."""
    first = diagnose(turning("sync.f", "github.com/moby/buildkit/solver.x", "github.com/moby/buildkit/solver.y"))
    again = diagnose(turning("github.com/moby/buildkit/solver.x", "github.com/moby/buildkit/solver.y", id_=77))
    other = diagnose(turning("github.com/moby/buildkit/solver.z"))
    assert not first.known
    assert "not known" in first.sentence
    assert first.signature == again.signature != other.signature
    assert first.signature.startswith("unknown-")
    assert diagnose([]).signature == ""


def test_a_panic_that_nobody_saw() -> None:
    """A deadlock under an errgroup that keeps panics stays unknown, and says what it may be."""
    (suspect,) = [each for each in signatures() if each.name == "swallowed-panic"]
    real = [read_dump(file) for file in sorted(DATA.glob("swallowed-panic-*.txt"))]
    assert len(real) == 2
    assert suspect.fits(real, Reading(Kind.DEADLOCK, "", (), ()))
    groups = [frame.function for each in real[0] for frame in each.frames if "errgroup" in frame.function]
    waits = Goroutine(1, "sync.WaitGroup.Wait", 3, False, (*map(Frame, ["sync.(*WaitGroup).Wait", groups[0], SOLVE]),))
    waited = Goroutine(2, "chan receive", 3, False, (*map(Frame, [SOLVE, groups[1]]),))

    def deadlock(waited: Goroutine) -> Diagnosis:
        return diagnose([[replace(each, minutes=minutes) for each in (waits, waited)] for minutes in (3, 4)])

    found = deadlock(waited)
    assert (found.kind, found.known) == ("deadlock", False)
    assert "perhaps swallowed-panic" in found.sentence
    assert "fixed in BuildKit v0.24.0" in found.sentence
    other = deadlock(replace(waited, frames=(Frame(SOLVE), Frame("golang.org/x/sync/errgroup.(*Group).Go.func1"))))
    assert "perhaps" not in other.sentence
    assert found.signature.startswith("unknown-")


def test_evidence_of_a_finding(tmp_path: Path) -> None:
    """The dumps and the process's state are read from the finding's folder; a frozen daemon is no livelock."""
    assert diagnose_finding(tmp_path, {}) is None
    for number, file in enumerate(sorted(DATA.glob("hang-*.txt"))):
        shutil.copy(file, tmp_path / f"goroutines-{number}.txt")
    found = diagnose_finding(tmp_path, {"kind": "buildkitd", "version": "v0.23.2"})
    assert found
    assert found.signature == "export-livelock"
    (tmp_path / "process.json").write_text(json.dumps({"pid": 1, "stopped": True, "cores": 0.0}))
    found = diagnose_finding(tmp_path, {})
    assert found
    assert (found.kind, found.known) == ("frozen", False)


@pytest.mark.parametrize("signature", signatures(), ids=[each.name for each in signatures()])
def test_signatures_are_whole(signature: Signature) -> None:
    """Each has a link, a meaning, a place, and something to be told by."""
    assert signature.link.startswith("https://github.com/")
    assert signature.means
    assert signature.place
    assert signature.stacks or signature.creator
    assert len({each.name for each in signatures()}) == len(signatures())


def test_a_starved_process_may_turn(tmp_path: Path) -> None:
    """Little CPU says that nothing turns only where no thread wanted more of it."""
    for number, file in enumerate(sorted(DATA.glob("hang-*.txt"))):
        shutil.copy(file, tmp_path / f"goroutines-{number}.txt")
    for state in "RS":
        process = {"stopped": False, "cores": 0.144, "threads": [{"state": "S"}, {"state": state}]}
        (tmp_path / "process.json").write_text(json.dumps(process))
        found = diagnose_finding(tmp_path, {})
        assert found
        assert (found.kind == Kind.LIVELOCK) is (state == "R")


@pytest.mark.parametrize("first", [0, 1])
def test_a_quiet_step_is_no_known_bug(first: int) -> None:
    """One dump of a healthy daemon in a quiet step claims no bug of the scheduler's, and names what is waited for."""
    dumps = read_dumps(sorted(DATA.glob("healthy-sleep-*.txt")))
    told = diagnose(dumps[first : first + 1], version="BuildKit v0.25.1")
    assert told.kind == "unknown"
    assert "lost-wake-up" not in told.sentence
    assert "wait for a step's process" in told.sentence
    assert diagnose(dumps, version="BuildKit v0.25.1").kind == "waits"
