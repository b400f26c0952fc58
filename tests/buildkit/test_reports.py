"""Dumps in the shapes of public reports, each with its right answer; and what grows out of one kind of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.buildkit import diagnose, read_dumps
from harness.buildkit.diagnosis import diagnose_counted, read_file
from harness.buildkit.goroutines.buckets import buckets_of
from harness.buildkit.goroutines.model import Frame, Goroutine
from harness.buildkit.goroutines.reading import Kind
from harness.core.records import Diagnosis

DATA = Path(__file__).parents[1] / "data" / "reports"
BUILDKIT = "github.com/moby/buildkit/"
SOLVE = f"{BUILDKIT}control.(*Controller).Solve"
BUILD = f"{BUILDKIT}solver.(*scheduler).build"


@dataclass(frozen=True)
class Answer:
    """What is to be said of a report."""

    kind: Kind
    signature: str | None = ""
    """None where it is one of the report's own."""
    said: Sequence[str] = ()


EXPORT = Answer(Kind.LIVELOCK, "export-livelock", ["ExportTo", "fixed in BuildKit v0.25.0"])
LOST = Answer(Kind.LOST_WAKE_UP, "scheduler-lost-wake-up")
REGISTRY = Answer(Kind.WAITS, said=["waiting for a registry", "not hung"])
ANSWERS = {
    "K1-spaces-for-tabs": EXPORT,
    "K2-healthy-quiet-step": Answer(Kind.WAITS, said=["a step's process", "not hung"]),
    "K2-healthy-gzip": Answer(Kind.SLOW, said=["compresses", "not hung"]),
    "K3-cache-import-waits-for-registry": REGISTRY,
    "K4-stuck-beside-healthy": Answer(
        Kind.DEADLOCK, None, ["601 min", "getRefCacheDirNoCache", "builds beside it that do not wait for long: 1"]
    ),
    "K5-deadlock-http-lock": Answer(Kind.DEADLOCK, "http-source-lock", ["resolverCache).Lock", "BuildKit v0.31.0"]),
    "K5-deadlock-history": Answer(Kind.DEADLOCK, "history-listener", ["HistoryQueue"]),
    "K6-container-lock": Answer(
        Kind.DEADLOCK, None, ["6 in daemon.(*Daemon).ContainerInspectCurrent", "goroutine 673677", "tasksClient).Kill"]
    ),
    "K7-journalctl": EXPORT,
    "K7-docker-logs-t": LOST,
    "K7-actions": EXPORT,
    "K7-logrus-escaped": EXPORT,
    "K7-quoted": LOST,
    "K8-single-scheduler-mutex": Answer(
        Kind.UNKNOWN, said=["consistent with scheduler-livelock", "not confirmed by one dump", "make another", "16 min"]
    ),
    "K9-crash-llb-map": Answer(
        Kind.CRASHED, "llb-metadata-race", ["fatal error: concurrent map", "llb.mergeMetadata", "BuildKit v0.18.2"]
    ),
    "K10-three-dumps-one-log": EXPORT,
    "K11-client-buildx": Answer(Kind.CLIENT, said=["a client's dump", "Solve and Status"]),
    "K12-later-first": Answer(Kind.DEADLOCK, "prune-sends-under-lock", ["for longer each time, up to 31 min"]),
    "K13-gopath-vendor": LOST,
    "K14-debug1-leak": Answer(Kind.LEAK, "grpc-client-stream-leak", ["7,650 goroutines", "newClientStreamWithParams"]),
    "K15-leak-progress": Answer(Kind.IDLE, "progress-pipe-leak", ["leak in progress.pipe", "BuildKit v0.14.0"]),
    "K15-busy-no-leak": Answer(Kind.SLOW),
    "busy-fifty-builds": Answer(Kind.SLOW),
    "K16-push-registry": REGISTRY,
    "K16-export-local": Answer(Kind.CLIENT_SIDE, None, ["the client, which does not read what is sent"]),
    "K17-utf8-bom": LOST,
    "K18-old-go-semacquire": Answer(Kind.LIVELOCK, "scheduler-livelock"),
}


def diagnosis(name: str) -> Diagnosis:
    """Return what is said of a report."""
    files = sorted((DATA / name).iterdir())
    posted = [read_file(file) for file in files]
    if not any(each.dumps for each in posted):
        found = diagnose_counted(buckets_of(files[0]))
        assert found
        return found
    return diagnose(read_dumps(files), crash=next((each.crash for each in posted if each.crash), ""))


@pytest.mark.parametrize(("name", "answer"), ANSWERS.items(), ids=ANSWERS)
def test_the_right_answer(name: str, answer: Answer) -> None:
    """Each report is told as what it is, with the place, and as known only where it is."""
    found = diagnosis(name)
    assert found.kind == answer.kind, found.sentence
    if answer.signature is None:
        assert found.signature.startswith("unknown-")
        assert not found.known
    else:
        assert found.signature == answer.signature, found.sentence
    for words in answer.said:
        assert words in found.sentence


def test_every_report_has_an_answer() -> None:
    """No report lies about untried."""
    assert {folder.name for folder in DATA.iterdir() if folder.is_dir()} == set(ANSWERS)


def one(id_: int, state: str, *functions: str, minutes: int = 0) -> Goroutine:
    """Return a goroutine in those functions, the innermost first."""
    return Goroutine(id_, state, minutes, False, tuple(map(Frame, functions)))


def stuck(*place: str, state: str = "chan receive", others: Sequence[Goroutine] = ()) -> Diagnosis:
    """Return what is said of a build that waits for longer each time with a goroutine of its at a place."""
    return diagnose(
        [
            [
                one(1, "select", SOLVE, minutes=minutes),
                one(2, "chan receive", BUILD, minutes=minutes),
                one(3, state, *place, minutes=minutes),
                *others,
            ]
            for minutes in (5, 6)
        ]
    )


def test_four_deadlocks_have_four_signatures() -> None:
    """A deadlock is told from another by what holds it, and two runs of one bug have one signature."""
    places = [f"{BUILDKIT}{name}" for name in ("cache.a", "solver.b", "executor/x.c", "source/git.d")]
    found = [stuck(place) for place in places]
    assert {each.kind for each in found} == {Kind.DEADLOCK}
    assert len({each.signature for each in found}) == len(places)
    beside = stuck(places[0], others=[one(9, "select", f"{BUILDKIT}control.(*Controller).Status")])
    assert beside.signature == found[0].signature


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        (["github.com/containerd/go-runc.(*defaultMonitor).Wait", f"{BUILDKIT}executor/runcexecutor.x"], Kind.WAITS),
        (["os/exec.(*Cmd).Wait", f"{BUILDKIT}source/git.(*gitSource).x"], Kind.WAITS),
        (["net/http.(*Client).do", f"{BUILDKIT}util/push.Push"], Kind.WAITS),
        (["net/http.(*persistConn).roundTrip", f"{BUILDKIT}source/http.x"], Kind.WAITS),
        (["google.golang.org/grpc.(*clientStream).SendMsg", f"{BUILDKIT}exporter/local.x"], Kind.CLIENT_SIDE),
        (["google.golang.org/grpc.(*clientStream).RecvMsg", f"{BUILDKIT}source/local.x"], Kind.CLIENT_SIDE),
    ],
)
def test_a_wait_for_what_is_outside_is_no_hang(place: list[str], kind: Kind) -> None:
    """A process, a repository, a registry, a client: the daemon waits for them, also while a lock is waited for."""
    assert stuck(*place).kind is kind
    locked = one(4, "sync.Mutex.Lock", f"{BUILDKIT}cache.x", minutes=3)
    assert stuck(*place, others=[locked]).kind is kind


def test_work_on_data_is_no_livelock() -> None:
    """What compresses, copies or checks is at work, at whatever place it is seen each time; the solver's own turns."""
    for inner in ("compress/flate.x", "crypto/sha256.block", "archive/tar.x", "github.com/klauspost/compress/zstd.x"):
        dumps = [[one(1, "running", inner, f"{BUILDKIT}util/overlay.x"), one(2, "select", SOLVE)]] * 3
        assert diagnose(dumps).kind is Kind.SLOW
    moving = [
        [one(1, "running", f"{BUILDKIT}solver.{x}", f"{BUILDKIT}solver.y"), one(2, "select", SOLVE)] for x in "ab"
    ]
    assert diagnose(moving).kind is not Kind.LIVELOCK
    turning = [[one(1, "running", f"{BUILDKIT}solver.{x}", f"{BUILDKIT}solver.(*exporter).ExportTo")] for x in "ab"]
    assert diagnose(turning).kind is Kind.LIVELOCK


def test_the_order_of_files() -> None:
    """Waits grow: dumps in any order are read in that in which they were made."""
    dumps = [
        [one(1, "select", SOLVE, minutes=m), one(2, "chan send", f"{BUILDKIT}cache.x", minutes=m)]
        for m in (8, 9, 10, 11)
    ]
    shuffled = diagnose([dumps[number] for number in (2, 3, 0, 1)])
    assert shuffled == diagnose(dumps)
    assert shuffled.kind is Kind.DEADLOCK


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("panic: runtime error: invalid memory address or nil pointer dereference\n", "panic: runtime error"),
        ("runtime: goroutine stack exceeds 1000000000-byte limit\nfatal error: stack overflow\n", "stack exceeds"),
        ("Sep 9 host kernel: Out of memory: Killed process 77 (buildkitd)\n", "Out of memory"),
    ],
)
def test_crashes(tmp_path: Path, text: str, said: str) -> None:
    """A process that died is told as that, with what it said and where; not as one that hangs."""
    (tmp_path / "log").write_text(f"{text}\ngoroutine 5 [running]:\n{BUILDKIT}solver.f(0x1)\n\t/x.go:1 +0x1\n")
    posted = read_file(tmp_path / "log")
    found = diagnose(posted.dumps, crash=posted.crash)
    assert found.kind is Kind.CRASHED
    assert said in found.sentence
    assert "solver.f" in found.sentence
    assert diagnose([], crash=posted.crash).kind is Kind.CRASHED


RUNNING = f"goroutine 5 [running]:\n{BUILDKIT}solver.f(0x1)\n\t/x.go:1 +0x1\n\n"
ASKED = f"goroutine 1 [select, 9 minutes]:\n{BUILDKIT}control.f(0x1)\n\t/x.go:1 +0x1\n\n"


@pytest.mark.parametrize(
    "text",
    [
        f"SIGABRT: abort\nPC=0x45ea11 m=0 sigcode=0\n\n{ASKED}",
        f"#9 1.2 a.c:1:10: fatal error: stdio.h: No such file or directory\n{ASKED}",
        f"#9 panic: a test\n#9 goroutine 6 [running]:\n#9 main.main()\n#9 \t/t.go:1 +0x1\nSIGQUIT: quit\n{ASKED}",
        f"#9 panic: a test\n#9 exit status 2\nSIGQUIT: quit\n{ASKED}",
        f"kernel: Out of memory: Killed process 77 (node) total-vm\n{ASKED}",
    ],
    ids=["SIGABRT asks for a dump", "a compiler", "a test of a step", "a test without stacks", "a step out of memory"],
)
def test_what_is_no_crash_of_the_daemon(tmp_path: Path, text: str) -> None:
    """What a log has of compilers, tests and other processes is no crash of the daemon whose dump stands beside it."""
    (tmp_path / "log").write_text(text)
    posted = read_file(tmp_path / "log")
    assert posted.crash == ""
    assert posted.dumps[-1][0].minutes == 9


def test_a_crash_beside_dumps(tmp_path: Path) -> None:
    """A daemon that died after it was asked for dumps has died."""
    (tmp_path / "log").write_text(f"{ASKED}panic: boom [recovered]\n\tpanic: boom\n\n{RUNNING}")
    posted = read_file(tmp_path / "log")
    assert (posted.crash, [[each.id for each in dump] for dump in posted.dumps]) == ("panic: boom", [[5]])


def test_a_scheduler_at_work_does_not_turn() -> None:
    """A scheduler that is seen in a dispatch each time, while builds come and go, works; where none does, it turns."""
    loop = one(3, "running", f"{BUILDKIT}solver.(*scheduler).dispatch", f"{BUILDKIT}solver.(*scheduler).loop")
    waits = [one(n, "chan receive", BUILD, SOLVE) for n in (1, 2)]
    assert diagnose([[loop, *waits]] * 2).signature == "scheduler-livelock"
    assert diagnose([[loop, *waits], [loop, waits[0]]]).kind is Kind.SLOW
    assert diagnose([[loop, *waits], [loop, waits[0], one(2, "select", SOLVE)]]).kind is Kind.SLOW
    request = one(9, "select", f"{BUILDKIT}solver/internal/pipe.NewWithFunction[...].func2")
    assert diagnose([[loop, *waits], [loop, *waits, request]]).kind is not Kind.LIVELOCK


@pytest.mark.parametrize("moves", [False, True], ids=["turns", "walks on"])
@pytest.mark.parametrize("how", ["depth", "object"])
def test_a_walk_that_goes_on_does_not_turn(moves: bool, how: str) -> None:
    """The walk over the cache graph turns at one place; on a slow host it is seen twice on its way, at two."""
    walk = f"{BUILDKIT}solver.(*exporter).ExportTo"
    first = replace(
        one(5, "running", f"{BUILDKIT}solver.x", walk, walk), arguments=(b"", b"0xc000000100, 0x1", b"0xc0")
    )
    other = replace(first, arguments=(b"", b"0xc000000200, 0x1", b"0xc0"))
    if how == "depth":
        other = replace(one(5, "running", f"{BUILDKIT}solver.y", walk), arguments=(b"", b"0xc000000100, 0x1"))
    found = diagnose([[first, one(1, "select", SOLVE)], [other if moves else first, one(1, "select", SOLVE)]])
    assert (found.kind is Kind.LIVELOCK) is not moves


def test_a_push_that_asks_for_its_writer() -> None:
    """A push that asks again and again for a writer that nobody gives back turns, but not beside another push."""
    asks = one(
        *(4, "select", "github.com/containerd/containerd/content.OpenWriter"),
        *("github.com/containerd/containerd/remotes.push", f"{BUILDKIT}util/resolver/retryhandler.New.func1"),
    )
    pushes = one(5, "select", "net/http.(*persistConn).roundTrip", f"{BUILDKIT}util/push.Push")

    def dumps(*others: Goroutine) -> list[list[Goroutine]]:
        return [[one(1, "select", SOLVE, minutes=m), one(2, "chan receive", BUILD, minutes=m), *others] for m in (5, 6)]

    assert diagnose(dumps(asks)).signature == "push-writer-locked"
    assert diagnose(dumps(asks, pushes)).kind is Kind.WAITS


def test_a_client_that_waits_for_a_collector() -> None:
    """A client whose build is over, and that flushes traces, is told as that."""
    shutdown = "go.opentelemetry.io/otel/sdk/trace.(*TracerProvider).Shutdown"
    found = diagnose(
        [[one(1, "select", shutdown, f"{BUILDKIT}cmd/buildctl/common.AttachAppContext.func2", "main.main")]]
    )
    assert (found.kind, found.signature) == (Kind.CLIENT, "tracer-shutdown")
    assert "no fix known" in found.sentence
