"""Each known bug, as its dumps look: what one of them says, what more of them confirm, and what looks nearly so."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pytest

from harness.buildkit import diagnose
from harness.buildkit.goroutines.model import Frame, Goroutine
from harness.buildkit.goroutines.reading import NOTHING_KNOWN, Kind, ProcessFacts
from harness.buildkit.goroutines.signatures import Signature, signatures

BUILDKIT: Final = "github.com/moby/buildkit/"
SOLVER: Final = f"{BUILDKIT}solver."
OPS: Final = f"{BUILDKIT}solver/llbsolver/ops."
SOLVE: Final = f"{BUILDKIT}control.(*Controller).Solve"
BUILD: Final = f"{SOLVER}(*scheduler).build"
LOOP: Final = f"{SOLVER}(*scheduler).loop"
GROUP: Final = "golang.org/x/sync/errgroup.(*Group)"
MONITOR: Final = "github.com/containerd/go-runc.(*defaultMonitor)"
EXEC: Final = f"{BUILDKIT}frontend/gateway.(*llbBridgeForwarder).ExecProcess"
RECEIVES: Final = "google.golang.org/grpc.(*clientStream).RecvMsg"
LOCKS: Final = ("sync.runtime_SemacquireMutex", "sync.(*Mutex).lockSlow")
Shape = Callable[[int], Goroutine]
"""Returns a goroutine as it is when it has waited for so many minutes."""


def waits(id_: int, state: str, *calls: str, parent: int | None = None, since: int = 0) -> Shape:
    """Return one that waits, since so many minutes after the others."""
    frames = tuple(map(Frame, calls))
    return lambda minutes: Goroutine(id_, state, minutes - since, False, frames, parent=parent)


def turns(id_: int, *calls: str) -> Shape:
    """Return one that runs whenever one looks."""
    return lambda _: Goroutine(id_, "running", 0, False, tuple(map(Frame, calls)))


def gathered(state: str, place: str, maker: str, *, wakes: bool = False) -> list[Shape]:
    """Return sixty that nobody needs any more; that of those which wake up is that none is seen to wait."""
    return [
        lambda minutes, n=n: replace(waits(100 + n, state, place)(0 if wakes else minutes), creator=Frame(maker))  # type: ignore[misc]
        for n in range(60)
    ]


@dataclass(frozen=True)
class Bug:
    """What stands in the dumps of a daemon that has a known bug."""

    shapes: Sequence[Shape]
    crash: str = ""
    process: ProcessFacts = NOTHING_KNOWN
    is_a_builds: bool = True
    """Whether a build waits for it."""


GATEWAY: Final = [
    waits(20, "sync.WaitGroup.Wait", "sync.(*WaitGroup).Wait", f"{GROUP}.Wait", EXEC, parent=9),
    waits(
        21, "select", "google.golang.org/grpc.(*serverStream).RecvMsg", f"{EXEC}.func1", f"{GROUP}.Go.func1", parent=20
    ),
    waits(22, "select", f"{EXEC}.func2", f"{GROUP}.Go.func1", parent=20),
]
LEFT: Final = waits(23, "chan receive", f"{EXEC}.func2.2", f"{GROUP}.Go.func1", parent=20)
UPLOADS: Final = "go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
PROCESS: Final = (f"{MONITOR}.Wait", f"{BUILDKIT}executor/runcexecutor.(*runcExecutor).Run")
LISTENER: Final = (
    f"{BUILDKIT}solver/llbsolver.(*HistoryQueue).Listen",
    f"{BUILDKIT}control.(*Controller).ListenBuildHistory",
)
UPDATE: Final = (f"{BUILDKIT}solver/llbsolver.(*HistoryQueue).Update", f"{BUILDKIT}solver/llbsolver.(*Solver).Solve")
BUGS: Final = {
    "export-livelock": Bug(
        [
            turns(
                3, "syscall.pread", f"{BUILDKIT}solver/bboltcachestorage.(*Store).Load", f"{SOLVER}(*exporter).ExportTo"
            )
        ]
    ),
    "scheduler-lost-wake-up": Bug([waits(3, "sync.Cond.Wait", "sync.(*Cond).Wait", LOOP)]),
    "scheduler-livelock": Bug([turns(3, f"{SOLVER}(*scheduler).dispatch", LOOP)]),
    "cache-export-loops": Bug([turns(3, *[f"{BUILDKIT}cache/remotecache/v1.(*normalizeState).checkLoops"] * 3)]),
    "swallowed-panic": Bug(
        [
            waits(3, "sync.WaitGroup.Wait", "sync.(*WaitGroup).Wait", f"{GROUP}.Wait", f"{SOLVER}(*sharedOp).Exec"),
            waits(4, "chan receive", f"{SOLVER}(*sharedOp).x", f"{GROUP}.add.func1"),
        ]
    ),
    "grpc-client-stream-leak": Bug(
        gathered(
            "select",
            "google.golang.org/grpc.newClientStreamWithParams.func4",
            "google.golang.org/grpc.newClientStreamWithParams",
        ),
        is_a_builds=False,
    ),
    "progress-pipe-leak": Bug(
        gathered("sync.Cond.Wait", f"{BUILDKIT}util/progress.pipe.func1", f"{BUILDKIT}util/progress.pipe"),
        is_a_builds=False,
    ),
    "recompute-digests": Bug([turns(3, *[f"{BUILDKIT}solver/llbsolver.recomputeDigests"] * 3)]),
    "merge-progress-deadlock": Bug(
        [
            waits(
                *(3, "sync.Mutex.Lock", *LOCKS, f"{BUILDKIT}util/progress.(*MultiWriter).writeRawProgress"),
                *(f"{SOLVER}(*scheduler).mergeTo", f"{SOLVER}(*scheduler).dispatch", LOOP),
            )
        ]
    ),
    "history-listener": Bug([waits(3, "chan send", *LISTENER), waits(4, "sync.Mutex.Lock", *LOCKS, *UPDATE)]),
    "prune-sends-under-lock": Bug([waits(3, "chan send", f"{BUILDKIT}cache.(*cacheManager).prune")]),
    "gateway-exec-process": Bug([*GATEWAY, LEFT]),
    "session-auth-wait": Bug([waits(3, "select", RECEIVES, f"{BUILDKIT}session/auth.(*authClient).Credentials")]),
    "copy-to-caller-wait": Bug([waits(3, "select", RECEIVES, f"{BUILDKIT}session/filesync.CopyToCaller")]),
    "http-source-lock": Bug(
        [
            waits(
                3,
                "chan receive",
                f"{SOLVER}(*resolverCache).Lock",
                f"{BUILDKIT}source/http.(*httpSourceHandler).CacheKey",
            )
        ]
    ),
    "llb-metadata-race": Bug(
        [turns(3, f"{BUILDKIT}client/llb.mergeMetadata")], "fatal error: concurrent map read and map write"
    ),
    "sub-builder-race": Bug([turns(3, f"{SOLVER}(*subBuilder).EachValue")], "fatal error: concurrent map iteration"),
    "cache-export-race": Bug([turns(3, f"{SOLVER}(*exporter).ExportTo")], "fatal error: concurrent map writes"),
    "step-input-wait": Bug(
        [
            waits(3, "chan receive", *PROCESS),
            waits(4, "chan receive", "os/exec.(*Cmd).awaitGoroutines", "os/exec.(*Cmd).Wait", f"{MONITOR}.Start.func1"),
        ]
    ),
    "runc-zombie-init": Bug([waits(3, "chan receive", *PROCESS)], process=ProcessFacts(step_lives=False)),
    "push-fetch-limit": Bug(
        [
            waits(
                *(3, "select", "golang.org/x/sync/semaphore.(*Weighted).Acquire"),
                *(f"{BUILDKIT}util/resolver/limited.(*fetcher).Fetch", f"{BUILDKIT}util/push.Push"),
            )
        ]
    ),
    "cache-mount-release": Bug(
        [
            waits(3, "sync.Mutex.Lock", *LOCKS, f"{OPS}(*cacheRefShare).release"),
            waits(4, "sync.Mutex.Lock", *LOCKS, f"{OPS}(*cacheRefs).get"),
        ]
    ),
    "resource-sampler-leak": Bug(
        gathered(
            "select",
            f"{BUILDKIT}executor/resources.(*Sampler[...]).run",
            f"{BUILDKIT}executor/resources.(*Sampler[...]).Record",
            wakes=True,
        ),
        is_a_builds=False,
    ),
    "push-writer-locked": Bug(
        [
            lambda _: waits(
                *(3, "select", "github.com/containerd/containerd/content.OpenWriter"),
                *("github.com/containerd/containerd/remotes.push", f"{BUILDKIT}util/push.Push"),
            )(0)
        ]
    ),
    "traces-forwarded": Bug(
        [
            waits(
                *(3, "select", f"{UPLOADS}/internal/retry.wait", f"{UPLOADS}.(*client).UploadTraces"),
                *(f"{BUILDKIT}util/tracing.MultiSpanExporter.ExportSpans", f"{BUILDKIT}control.(*Controller).Export"),
            )
        ],
        is_a_builds=False,
    ),
    "tracer-shutdown": Bug(
        [
            waits(
                *(3, "select", "go.opentelemetry.io/otel/sdk/trace.(*TracerProvider).Shutdown"),
                *(f"{BUILDKIT}cmd/buildctl/common.AttachAppContext.func2", "main.main"),
            )
        ],
        is_a_builds=False,
    ),
}
ASLEEP: Final = waits(7, "sync.Cond.Wait", "sync.(*Cond).Wait", LOOP, parent=1)
"""The scheduler as it is whenever it has nothing to do; whose builds wait for a request of theirs."""
A_BUILD: Final = [waits(1, "select", SOLVE), waits(2, "chan receive", BUILD)]


def dumps_of(shapes: Sequence[Shape], *minutes: int) -> list[list[Goroutine]]:
    """Return dumps, in which all have waited for so many minutes."""
    return [[shape(each) for shape in shapes] for each in minutes]


def shapes_of(bug: Bug) -> list[Shape]:
    """Return all that the daemon of a bug has in its dumps."""
    return [*bug.shapes, *(A_BUILD if bug.is_a_builds else [])]


ALL: Final = [(each, BUGS[each.name]) for each in signatures()]
NAMES: Final = [each.name for each, _ in ALL]
STUCK: Final = [(s, b) for s, b in ALL if s.kind and not s.suspect and s.kind not in {Kind.CRASHED, Kind.CLIENT}]


@pytest.mark.parametrize(("signature", "bug"), ALL, ids=NAMES)
def test_what_one_dump_says(signature: Signature, bug: Bug) -> None:
    """Of what hangs, it says what it is consistent with; it names what more of them would not tell better."""
    found = diagnose(dumps_of(shapes_of(bug), 14), process=bug.process, crash=bug.crash)
    if signature.kind in {None, Kind.CRASHED, Kind.CLIENT}:
        assert (found.signature, found.known) == (signature.name, True), found.sentence
    elif signature.suspect or signature.name == "push-writer-locked":  # seen between two looks, it waits for a moment
        assert (found.kind, found.known) == (Kind.UNKNOWN, False)
    else:
        assert (found.kind, found.known) == (Kind.UNKNOWN, False)
        assert f"consistent with {signature.name}" in found.sentence


@pytest.mark.parametrize("minutes", [(14, 15), (14, 23), (14, 15, 16)], ids=["two", "far apart", "three"])
@pytest.mark.parametrize(("signature", "bug"), ALL, ids=NAMES)
def test_what_later_dumps_confirm(signature: Signature, bug: Bug, minutes: Sequence[int]) -> None:
    """Where nothing has moved and waits are longer, it is that; or, where dumps cannot show it, perhaps that."""
    found = diagnose(dumps_of(shapes_of(bug), *minutes), process=bug.process, crash=bug.crash)
    if signature.suspect:
        assert not found.known
        assert f"perhaps {signature.name}" in found.sentence
    else:
        assert (found.signature, found.known) == (signature.name, True), found.sentence


@pytest.mark.parametrize(("signature", "bug"), STUCK, ids=[each.name for each, _ in STUCK])
def test_beside_a_build_that_goes_on(signature: Signature, bug: Bug) -> None:
    """A deadlock is told beside a build that has just come and has a process; what holds all has none beside it."""
    dumps = dumps_of(shapes_of(bug), 14, 23)
    for number, dump in enumerate(dumps):
        dump += [
            Goroutine(50 + number, "select", 0, False, (Frame(SOLVE),)),
            Goroutine(60 + number, "chan receive", 0, False, (*map(Frame, PROCESS),)),
        ]
    found = diagnose(dumps)
    if signature.kind is Kind.DEADLOCK:
        assert found.signature == signature.name, found.sentence
    else:
        assert found.kind in {signature.kind, Kind.SLOW}


PROCESS_LIVES: Final = waits(30, "chan receive", *PROCESS)
HEALTHY: Final = {
    "a process of a frontend's that lives": [*GATEWAY, LEFT, PROCESS_LIVES],
    "one that began a moment later": [*GATEWAY, LEFT, waits(30, "chan receive", *PROCESS, since=1)],
    "the second process of a frontend": [
        *GATEWAY,
        lambda minutes: replace(LEFT(minutes), minutes=minutes - 9),
        waits(30, "chan receive", *PROCESS, since=9),
    ],
    "a frontend's container that an engine runs": [
        *GATEWAY,
        LEFT,
        waits(30, "select", "github.com/containerd/containerd/v2/client.(*process).Wait", f"{BUILDKIT}executor/x.Run"),
    ],
    "a listener, and records that come and go": [
        waits(3, "select", *LISTENER),
        lambda minutes: Goroutine(40 + minutes, "sync.Mutex.Lock", 0, False, (*map(Frame, UPDATE),)),
        PROCESS_LIVES,
    ],
    "a listener, and a record behind a push": [
        waits(3, "select", *LISTENER),
        waits(4, "select", *UPDATE, since=10),
        waits(5, "select", "net/http.(*persistConn).roundTrip", f"{BUILDKIT}util/push.Push", since=10),
    ],
}


@pytest.mark.parametrize("minutes", [(14, 15), (14, 23), (14, 15, 16)], ids=["two", "far apart", "three"])
@pytest.mark.parametrize("shapes", HEALTHY.values(), ids=HEALTHY)
def test_what_looks_nearly_so(shapes: Sequence[Shape], minutes: Sequence[int]) -> None:
    """What stands at the places of a known bug, and waits for what may take its time, is no hang."""
    found = diagnose(dumps_of([*A_BUILD, ASLEEP, *shapes], *minutes))
    assert found.kind in {Kind.WAITS, Kind.SLOW, Kind.CLIENT_SIDE, Kind.UNKNOWN}, found.sentence
    assert not found.known


def test_a_frontend_that_has_nothing_to_run() -> None:
    """A client may hold a frontend's container open for hours: then none of its group waits but for what comes next."""
    idle = dumps_of([waits(1, "select", SOLVE), ASLEEP, *GATEWAY], 14, 23)
    assert diagnose(idle).kind not in {Kind.DEADLOCK, Kind.LIVELOCK, Kind.LOST_WAKE_UP}
    left = dumps_of([waits(1, "select", SOLVE), ASLEEP, *GATEWAY, LEFT], 14, 23)
    assert diagnose(left).signature == "gateway-exec-process"


def test_what_has_moved_is_none() -> None:
    """Where one of the goroutines that make a known deadlock is another in the next dump, it is none."""
    first, second = dumps_of([*A_BUILD, *GATEWAY, LEFT], 14, 15)
    assert diagnose([first, second]).signature == "gateway-exec-process"
    moved = [replace(each, minutes=0) if each.id in {1, 2, 20, 23} else each for each in second]
    assert diagnose([first, moved]).signature == ""


@pytest.mark.parametrize("name", [name for name, bug in BUGS.items() if bug.crash])
def test_a_crash_by_what_is_said(name: str) -> None:
    """A crash is known by what is said, and by the function that it died in; by neither alone."""
    dump = dumps_of(BUGS[name].shapes, 0)
    assert diagnose(dump, crash="panic: runtime error: index out of range").signature != name
    assert diagnose(dumps_of([turns(3, f"{SOLVER}x")], 0), crash=BUGS[name].crash).signature != name


def test_a_zombie_of_runc() -> None:
    """That a step's process is gone only the kernel knows."""
    dumps = dumps_of([*A_BUILD, *BUGS["runc-zombie-init"].shapes], 5, 6)
    assert "runc-zombie-init" not in diagnose(dumps).sentence
