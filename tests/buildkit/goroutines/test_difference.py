"""What dumps of one daemon say once they are compared: real ones, and small ones made for each kind."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.buildkit.diagnosis import read_dump
from harness.buildkit.goroutines.difference import common, compare
from harness.buildkit.goroutines.model import Frame, Goroutine
from harness.buildkit.goroutines.reading import Kind, ProcessFacts

DATA = Path(__file__).parents[2] / "data" / "goroutines"
BUILDKIT = "github.com/moby/buildkit/"
SOLVE = f"{BUILDKIT}control.(*Controller).Solve"
BUILD = f"{BUILDKIT}solver.(*scheduler).build"
LOOP = f"{BUILDKIT}solver.(*scheduler).loop"


def real(pattern: str) -> list[list[Goroutine]]:
    """Return real dumps, in order."""
    return [[*read_dump(file)] for file in sorted(DATA.glob(pattern))]


def one(number: int, state: str, *functions: str, minutes: int = 0) -> Goroutine:
    """Return a goroutine in those functions, the innermost first."""
    return Goroutine(number, state, minutes, False, tuple(Frame(function, "/x.go", 1) for function in functions))


def test_the_export_hang_is_a_livelock() -> None:
    """Real dumps of the report's hang: the same four goroutines are busy below `ExportTo`, whatever they do there."""
    reading = compare(real("hang-*.txt"), process=ProcessFacts(cores=1.5))
    assert reading.kind is Kind.LIVELOCK
    assert reading.goroutines == (2720, 3059, 3670, 3694)
    functions = [frame.function for frame in reading.frames]
    assert f"{BUILDKIT}solver.(*exporter).ExportTo" in functions
    assert compare(real("hang-*.txt")).kind is Kind.LIVELOCK, "also where the CPU is not known"
    assert compare(real("hang-*.txt")[1:]).kind is Kind.LIVELOCK, "two dumps are enough"


@pytest.mark.parametrize(
    "state", ["semacquire", "GC assist wait", "GC mark termination", "stopping the world", "preempted", "copystack"]
)
@pytest.mark.parametrize("number", range(3))
def test_who_turns_is_held_up_by_the_runtime_for_a_moment(state: str, number: int) -> None:
    """A dump stops the world: who allocates then waits, in its walk, until the dump is made; it turns nevertheless."""
    dumps = real("hang-*.txt")
    turning = set(compare(dumps).goroutines)
    runs = {each.id for each in dumps[number] if each.id in turning and each.state == "runnable"}
    dumps[number] = [replace(each, state=state) if each.id in runs else each for each in dumps[number]]
    assert compare(dumps).kind is Kind.LIVELOCK
    assert set(compare(dumps).goroutines) == turning


@pytest.mark.parametrize("inner", ["sync.runtime_Semacquire", "internal/poll.runtime_Semacquire"])
def test_a_wait_of_the_programs_own_is_not_busy(inner: str) -> None:
    """A semaphore of `sync` or of a file is given back by somebody else: it may be waited for in work."""
    export = f"{BUILDKIT}solver.(*exporter).ExportTo"
    dumps = [[one(1, "semacquire", inner, export, SOLVE)], *([[one(1, "runnable", export, SOLVE)]] * 3)]
    assert compare(dumps).kind is not Kind.LIVELOCK
    dumps[0] = [one(1, "semacquire", export, SOLVE)]
    assert compare(dumps).kind is Kind.LIVELOCK


def test_the_lost_wake_up() -> None:
    """Real dumps of the scheduler's stall: builders wait for a loop that sleeps, and both are named."""
    reading = compare(real("stall-*.txt"), process=ProcessFacts(cores=0.0))
    assert reading.kind is Kind.LOST_WAKE_UP
    assert 28 in reading.goroutines, "the loop itself"
    assert reading.frames[0].function == BUILD


def test_one_dump_is_not_enough() -> None:
    """Who moves is seen in two dumps only, and a stopped process needs none."""
    assert compare(real("hang-*-0.txt")).kind is Kind.UNKNOWN
    assert compare([]).kind is Kind.UNKNOWN
    assert (
        compare([], ProcessFacts(stopped=True)).kind
        is compare(real("hang-*.txt"), ProcessFacts(stopped=True)).kind
        is Kind.FROZEN
    )


def test_idle() -> None:
    """A daemon that serves no build is idle, however many goroutines leak in it."""
    assert compare(real("leak-*.txt") * 2).kind is Kind.IDLE


WAITS = f"{BUILDKIT}solver.(*sharedOp).Exec"
CASES: dict[str, tuple[Kind, Sequence[Sequence[Goroutine]]]] = {
    "waits grow": (
        Kind.DEADLOCK,
        [[one(1, "select", SOLVE, minutes=m), one(2, "sync.Mutex.Lock", WAITS, BUILD, minutes=m)] for m in (3, 4)],
    ),
    "waits do not grow yet": (
        Kind.UNKNOWN,
        [[one(1, "select", SOLVE), one(2, "semacquire", WAITS, BUILD)]] * 2,
    ),
    "all builds move": (
        Kind.SLOW,
        [[one(1, "select", f"{BUILDKIT}solver.a", SOLVE)], [one(1, "select", f"{BUILDKIT}solver.b", SOLVE)]],
    ),
    "builds come and go": (
        Kind.SLOW,
        [[one(1, "select", SOLVE)], [one(2, "select", SOLVE)]],
    ),
    "one waits, others move": (
        Kind.SLOW,
        [[one(1, "select", SOLVE, minutes=m), one(m, "select", WAITS)] for m in (2, 3)],
    ),
    "a wait began anew": (
        Kind.SLOW,
        [[one(1, "select", SOLVE, minutes=m)] for m in (9, 0)],
    ),
    "builders and a step that runs": (
        Kind.UNKNOWN,
        [
            [
                one(1, "chan receive", BUILD, SOLVE),
                one(2, "sync.Cond.Wait", "sync.(*Cond).Wait", LOOP),
                one(3, "syscall", f"{BUILDKIT}solver/llbsolver/ops.(*ExecOp).Exec"),
            ]
        ]
        * 2,
    ),
    "builders, and another step each time": (
        Kind.SLOW,
        [
            [
                one(1, "chan receive", BUILD, SOLVE),
                one(2, "sync.Cond.Wait", "sync.(*Cond).Wait", LOOP),
                one(number, "select", f"{BUILDKIT}util/flightcontrol.wait", f"{BUILDKIT}solver.(*sharedOp).Exec"),
            ]
            for number in (3, 4)
        ],
    ),
    "waiting for the client": (
        Kind.CLIENT_SIDE,
        [
            [
                one(1, "chan receive", BUILD, SOLVE),
                one(2, "select", "google.golang.org/grpc.(*clientStream).RecvMsg", f"{BUILDKIT}source/local.x"),
            ]
        ]
        * 2,
    ),
    "busy elsewhere than in BuildKit": (
        Kind.IDLE,
        [[one(1, "running", "github.com/docker/docker/daemon.(*Daemon).turns")]] * 2,
    ),
    "who makes the dump": (
        Kind.IDLE,
        [[one(1, "running", "runtime/pprof.writeGoroutineStacks", f"{BUILDKIT}cmd/buildkitd.setupDebugHandlers")]] * 2,
    ),
}


@pytest.mark.parametrize(("kind", "dumps"), CASES.values(), ids=CASES)
def test_kinds(kind: Kind, dumps: Sequence[Sequence[Goroutine]]) -> None:
    """Each kind rests on who moves, who waits for what, and for how long."""
    assert compare(dumps).kind is kind


def test_busy_on_an_idle_process_is_no_livelock() -> None:
    """Goroutines that are seen runnable twice do not turn where the process used no CPU."""
    turning = [[one(1, "runnable", f"{BUILDKIT}solver.f", SOLVE)]] * 3
    assert compare(turning, process=ProcessFacts(cores=1.0)).kind is compare(turning).kind is Kind.LIVELOCK
    assert compare(turning, process=ProcessFacts(cores=0.01)).kind is not Kind.LIVELOCK


def test_the_same_place_twice_is_no_livelock_yet() -> None:
    """Of a call that nobody knows to turn, two dumps say too little; and nothing where bytes move meanwhile."""
    turning = [[one(1, "runnable", f"{BUILDKIT}solver.f", SOLVE)]] * 3
    assert compare(turning[:2]).kind is Kind.UNKNOWN
    assert "make another dump" in compare(turning[:2]).because
    assert compare(turning, ProcessFacts(moved=5e6)).kind is not Kind.LIVELOCK
    assert compare(real("hang-*.txt"), ProcessFacts(moved=5e6)).kind is Kind.LIVELOCK, "known to turn"


WAITER = "github.com/containerd/go-runc.(*defaultMonitor).Wait"


@pytest.mark.parametrize(("lives", "kind"), [(True, Kind.WAITS), (False, Kind.DEADLOCK), (None, Kind.WAITS)])
def test_a_step_whose_process_is_gone(lives: bool | None, kind: Kind) -> None:
    """Who waits for a process that the kernel does not have is stuck; where nobody asked the kernel, it waits."""
    dumps = [
        [
            one(1, "select", SOLVE, minutes=minutes),
            one(2, "chan receive", BUILD, minutes=minutes),
            one(3, "chan receive", WAITER, f"{BUILDKIT}executor/runcexecutor.x", minutes=minutes),
        ]
        for minutes in (3, 4)
    ]
    reading = compare(dumps, ProcessFacts(step_lives=lives))
    assert reading.kind is kind
    assert ("no process of a step lives" in reading.because) is (lives is False)


def test_what_stacks_share() -> None:
    """The calls that none has left are the outer ones, up to where they part."""
    a, b, c = (Frame(name) for name in "abc")
    assert common([(a, b, c), (b, c), (c, b, c)]) == (b, c)
    assert common([(a,), (b,)]) == common([]) == ()
