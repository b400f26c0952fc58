"""What one goroutine waits for (a process, a registry, a client, a lock), and the request it works for."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from harness.buildkit.goroutines.model import Goroutine

_BUILDKIT: Final = "github.com/moby/buildkit/"
_LOCKS: Final = frozenset({"sync.Mutex.Lock", "sync.RWMutex.Lock", "sync.RWMutex.RLock"})
_HELD: Final = frozenset({*_LOCKS, "chan receive", "chan send", "select", "semacquire", "sync.Cond.Wait"})
BLOCKED: Final = _HELD | {"sync.WaitGroup.Wait"}
ON_CORE: Final = frozenset({"running", "runnable"})
_RUNTIMES_OWN: Final = frozenset(
    {
        "preempted",
        "copystack",
        "GC assist wait",
        "GC assist marking",
        "GC mark termination",
        "GC weak to strong wait",
        "garbage collection",
        "stopping the world",
        "flushing proc caches",
    }
)
"""States in which Go's runtime holds up a goroutine that would run."""
_BUSY: Final = _LOCKS | ON_CORE | _RUNTIMES_OWN
_SEMAPHORE: Final = ".runtime_Semacquire"
"""What waits for a semaphore of the program's; who allocates can wait for one of the runtime's, which a dump holds."""


class Outside(StrEnum):
    """Something outside the daemon, which may take its time."""

    PROCESS = "a step's process"
    GIT = "a git process"
    REGISTRY = "a registry"
    CLIENT_READS = "the client, which does not read what is sent"
    CLIENT_SENDS = "what a client is to send"
    COLLECTOR = "a collector of traces, for clients whose builds are over"


_PROCESS: Final = (
    "github.com/containerd/go-runc.",
    "github.com/containerd/containerd/v2/client.(*process).Wait",
    "github.com/containerd/containerd.(*process).Wait",
)
_COMMAND: Final = ("os/exec.(*Cmd).Wait", "os.(*Process).Wait", "os/exec.(*Cmd).Run")
_HTTP: Final = ("net/http.(*persistConn).roundTrip", "net/http.(*Client).", "net/http.(*bodyEOFSignal).Read")
_REGISTRY: Final = (
    "github.com/containerd/containerd/v2/core/remotes",
    "github.com/containerd/containerd/remotes",
    f"{_BUILDKIT}util/push.",
    f"{_BUILDKIT}util/contentutil.",
    f"{_BUILDKIT}util/resolver",
    f"{_BUILDKIT}cache/remotecache",
    f"{_BUILDKIT}source/http.",
)
_CLIENT_READS: Final = (
    "google.golang.org/grpc/internal/transport.(*writeQuota).get",
    "google.golang.org/grpc.(*clientStream).SendMsg",
    "google.golang.org/grpc.(*serverStream).SendMsg",
)
_CLIENT_SENDS: Final = (
    "google.golang.org/grpc.(*clientStream).RecvMsg",
    "google.golang.org/grpc.(*ClientConn).Invoke",
    f"{_BUILDKIT}session.(*Manager).Get",
)
_BY_SESSION: Final = (
    f"{_BUILDKIT}source/",
    f"{_BUILDKIT}session",
    f"{_BUILDKIT}exporter/",
    f"{_BUILDKIT}util/resolver",
)
_SINKS: Final = (f"{_BUILDKIT}session/filesync.", f"{_BUILDKIT}exporter/", f"{_BUILDKIT}session/upload.")

_HEALTH: Final = f"{_BUILDKIT}session.monitorHealth"
"""What asks a client now and then whether it is there."""
_WAITS: Final[Mapping[Outside, tuple[str | tuple[str, ...], str | tuple[str, ...]]]] = {
    Outside.GIT: (_COMMAND, (f"{_BUILDKIT}source/git.", f"{_BUILDKIT}util/gitutil")),
    Outside.COLLECTOR: ("go.opentelemetry.io/otel/exporters/otlp/", f"{_BUILDKIT}control.(*Controller).Export"),
    Outside.REGISTRY: (_HTTP, _REGISTRY),
    Outside.CLIENT_READS: (_CLIENT_READS, _SINKS),
    Outside.CLIENT_SENDS: (_CLIENT_SENDS, _BY_SESSION),
}
"""What a goroutine calls that waits for each of these, and the work that it does it for."""

_CARRIES: Final = (
    "golang.org/",
    f"{_BUILDKIT}util/flightcontrol.",
    f"{_BUILDKIT}util/cond.",
    f"{_BUILDKIT}util/progress.",
    f"{_BUILDKIT}solver.(*scheduler).build",
    f"{_BUILDKIT}solver.(*scheduler).loop",
    f"{_BUILDKIT}solver.(*Job).Status",
    f"{_BUILDKIT}solver/llbsolver.(*Solver).Solve",
    f"{_BUILDKIT}solver/llbsolver.(*Solver).Status",
    f"{_BUILDKIT}solver/llbsolver.(*HistoryQueue).Listen",
    f"{_BUILDKIT}solver/llbsolver.NewHistoryQueue",
    f"{_BUILDKIT}control.",
    f"{_BUILDKIT}executor/runcexecutor.runcProcessHandle",
    f"{_BUILDKIT}frontend/gateway.",
    f"{_BUILDKIT}frontend/gateway/forwarder.",
)
"""What waits for others of its own build, and says nothing of what holds them."""
_WORK: Final = (
    f"{_BUILDKIT}solver",
    f"{_BUILDKIT}cache",
    f"{_BUILDKIT}source/",
    f"{_BUILDKIT}exporter/",
    f"{_BUILDKIT}executor/",
    f"{_BUILDKIT}util/resolver",
    f"{_BUILDKIT}session/auth",
    f"{_BUILDKIT}frontend",
    f"{_BUILDKIT}snapshot",
)
_DATA: Final = (
    "compress/",
    "crypto/",
    "hash/",
    "archive/",
    "path/filepath.",
    "os.(*File)",
    "io.Copy",
    "io.copyBuffer",
    "github.com/klauspost/compress/",
    "github.com/vbatts/tar-split/",
    "github.com/containerd/containerd/archive.",
    "github.com/containerd/containerd/v2/pkg/archive.",
    "github.com/containerd/continuity/fs",
    "github.com/tonistiigi/fsutil",
    "github.com/opencontainers/go-digest",
    "github.com/moby/go-archive",
    "github.com/docker/docker/pkg/archive",
    f"{_BUILDKIT}cache/contenthash.",
    f"{_BUILDKIT}util/overlay.",
    f"{_BUILDKIT}util/compression.",
)
"""Work on data, which takes as long as there is data."""


def _has(each: Goroutine, names: str | tuple[str, ...]) -> bool:
    return any(frame.function.startswith(names) for frame in each.frames)


def copies_after_its_process(each: Goroutine) -> bool:
    """Whether it has seen a process end, and waits for what is copied to it and from it."""
    return _has(each, "os/exec.(*Cmd).awaitGoroutines")


def outside(each: Goroutine) -> Outside | None:
    """Return what outside of the daemon a goroutine waits for; None where it does not."""
    runs = _has(each, _PROCESS) or (_has(each, _COMMAND) and _has(each, f"{_BUILDKIT}executor/"))
    if runs and not copies_after_its_process(each):
        return Outside.PROCESS
    for what, (calls, work) in _WAITS.items():
        if _has(each, calls) and _has(each, work) and not _has(each, _HEALTH):
            return what
    return None


def is_busy(each: Goroutine) -> bool:
    """Whether it runs, or is held up for a moment: by a short lock, for want of a core, by Go's runtime."""
    if each.minutes:
        return False
    if each.state == "semacquire":
        inner = next((frame.function for frame in each.frames if not frame.function.startswith("runtime.")), "")
        return bool(inner) and _SEMAPHORE not in inner
    return each.state in _BUSY


def waits_for_lock(each: Goroutine) -> bool:
    """Whether it waits for a lock, which nobody holds for minutes while all is well."""
    return each.state in _LOCKS


def place(each: Goroutine) -> str:
    """Return the innermost function of the daemon's own; empty where it has none."""
    return next((frame.function for frame in each.frames if frame.is_daemons), "")


def is_held(each: Goroutine) -> bool:
    """Whether it is held up itself, in work of a request, rather than by others of its build that it waits for."""
    where = place(each)
    if waits_for_lock(each):
        return bool(where)
    return each.state in _HELD and is_work(each) and not is_carrier(each)


def is_work(each: Goroutine) -> bool:
    """Whether it does work of a request."""
    return place(each).startswith(_WORK)


def is_carrier(each: Goroutine) -> bool:
    """Whether it waits for others of its build, and says nothing of what holds them."""
    return place(each).startswith(_CARRIES)


def watches(each: Goroutine) -> bool:
    """Whether it only waits to be told of an end: one closure, and nothing below it."""
    own = [frame.function for frame in each.frames if frame.is_users]
    return len(own) == 1 and each.state in {"select", "chan receive"} and ".func" in own[0]


def is_idle_loop(each: Goroutine) -> bool:
    """Whether it is one that the daemon started with, and that waits for something to do."""
    return each.parent == 1 and not waits_for_lock(each)


def works_on_data(each: Goroutine) -> bool:
    """Whether it compresses, copies, unpacks or checks data."""
    return _has(each, _DATA)


def is_engaged(each: Goroutine) -> bool:
    """Whether it does something for the scheduler: a step, an edge's request, a look-up in the cache."""
    return _has(
        each,
        (
            f"{_BUILDKIT}solver/llbsolver/ops.",
            f"{_BUILDKIT}solver/internal/pipe.",
            f"{_BUILDKIT}solver.(*sharedOp)",
            f"{_BUILDKIT}cache.(*cacheManager)",
        ),
    )
