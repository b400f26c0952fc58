"""Deadlocks of a real Go program, each made twice: who holds, who waits, and one name for both runs."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from harness.buildkit import diagnose, read_dumps
from harness.buildkit.goroutines.model import Frame, Goroutine
from harness.buildkit.goroutines.parse import goroutines
from harness.buildkit.goroutines.reading import Kind
from harness.core.records import Diagnosis

DATA = Path(__file__).parents[2] / "data" / "goroutines" / "deadlocks"
BUILDKIT = "github.com/moby/buildkit/"
SOLVE = f"{BUILDKIT}control.(*Controller).Solve"
SAID = {
    "crossed": ["a circle", "cache.(*cacheManager).prune waits for the lock of cache.(*record)"],
    "ring": ["a circle", "solver.(*edge).take waits for the lock of solver.(*edge)"],
    "read-twice": ["cache.(*cacheManager).lookup waits for the lock of cache.(*cacheManager), which it holds itself"],
    "group": [
        "a circle",
        "cache.(*cacheManager).Checksum waits for",
        "Get waits for the lock of cache.(*cacheManager)",
    ],
    "listener": ["history-listener", "in llbsolver.(*HistoryQueue).Listen, which waits"],
    "prune-sends": ["in cache.(*cacheManager).PruneSend, which waits"],
    "condition": ["in cache.(*cacheManager).Commit, which waits"],
    "forgotten": ["nobody is seen to hold the lock of solver.(*resolverCache)"],
    "self": ["nobody is seen to hold the lock of solver.(*Job)"],
    "channels": ["1 in solver.(*scheduler).answer", "1 in solver.(*scheduler).request"],
}
"""What is told of each: the first four are circles; of the last, Go's dumps have no address at all."""

Change = Callable[[str], str]


def as_it_is(text: str) -> str:
    """Return a dump as it came."""
    return text


def doubted(text: str) -> str:
    """Return a dump in which Go doubts every argument."""
    return re.sub(r"(0x[0-9a-f]+)(?=[,})])", r"\1?", text)


def bare(text: str) -> str:
    """Return a dump without arguments."""
    return re.sub(r"\((0x|\{)[^()]*\)$", "(...)", text, flags=re.MULTILINE)


@cache
def found(name: str, run: int, change: Change = as_it_is) -> Diagnosis:
    """Return what is said of one run of a deadlock."""
    files = sorted(DATA.glob(f"{name}-{run}-?.txt"))
    return diagnose([[*goroutines(change(file.read_text()).encode().splitlines())] for file in files])


@pytest.mark.parametrize("name", SAID)
def test_two_runs_of_one_deadlock(name: str) -> None:
    """Other addresses, ids, counts and bystanders make no other deadlock, and builds beside it do not hide it."""
    first, second = found(name, 1), found(name, 2)
    assert {first.kind, second.kind} == {Kind.DEADLOCK}
    assert first.signature == second.signature
    assert "builds beside it that do not wait for long" in first.sentence
    for words in SAID[name]:
        assert words in first.sentence
        assert words in second.sentence


@pytest.mark.parametrize("change", [as_it_is, doubted, bare])
def test_each_deadlock_has_its_own_name(change: Change) -> None:
    """Ten deadlocks have ten signatures, however Go prints the arguments, or does not; two runs of one share it."""
    signatures = {name: {found(name, run, change).signature for run in (1, 2)} for name in SAID}
    assert all(len(each) == 1 for each in signatures.values()), signatures
    assert len(set().union(*signatures.values())) == len(SAID)
    if change is doubted:
        assert signatures == {name: {found(name, 1).signature} for name in SAID}


def test_a_chain_to_a_process() -> None:
    """Locks that are held while a step's process runs are told as that, and as no hang."""
    for run in (1, 2):
        assert found("process", run).kind is Kind.WAITS
        assert "wait for the lock of runcexecutor.(*Executor), which goroutine" in found("process", run).sentence


def one(id_: int, state: str, *calls: str, minutes: int = 0, lock: str = "") -> Goroutine:
    """Return a goroutine in calls, the innermost first, each as `function arguments`."""
    stack = [call.partition(" ") for call in calls]
    arguments = tuple(words.encode() for _, _, words in stack)
    return Goroutine(
        id_, state, minutes, False, tuple(Frame(name) for name, _, _ in stack), lock=lock, arguments=arguments
    )


def later(dump: Sequence[Goroutine], minutes: int) -> list[Goroutine]:
    """Return a dump made so much later, in which all that has waited still does."""
    return [replace(each, minutes=each.minutes + minutes) if each.minutes else each for each in dump]


A, B = "0xc000100000", "0xc000200000"
CIRCLE = [
    one(1, "select", SOLVE, minutes=5),
    one(2, "sync.Mutex.Lock", f"{BUILDKIT}cache.f {B}", f"{BUILDKIT}cache.g {A}", minutes=5, lock=B),
    one(3, "sync.Mutex.Lock", f"{BUILDKIT}solver.h {A}", f"{BUILDKIT}solver.i {B}", minutes=5, lock=A),
]
RUNC = "github.com/containerd/go-runc.(*Runc).Run"
BESIDE = {
    "a step that has run for longer": one(9, "chan receive", RUNC, f"{BUILDKIT}executor/x.Run", minutes=50),
    "work on data": one(9, "running", "compress/flate.x", f"{BUILDKIT}util/overlay.x"),
    "a sleep": one(9, "sleep", "time.Sleep", f"{BUILDKIT}solver/llbsolver.NewHistoryQueue.func2", minutes=1),
    "a fresh build": one(9, "select", SOLVE),
}


def test_a_circle_says_who_holds_what() -> None:
    """Each of the two waits for a lock that the other holds."""
    sentence = diagnose([CIRCLE, later(CIRCLE, 1)]).sentence
    assert "goroutine 2 in cache.f waits for the lock of cache.f, which 3 holds" in sentence
    assert "goroutine 3 in solver.h waits for the lock of solver.h, which 2 holds" in sentence


@pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE)
def test_a_circle_beside_life(beside: Goroutine) -> None:
    """Nothing else that the daemon does undoes a circle of waits."""
    told = diagnose([[*CIRCLE, beside], [*later(CIRCLE, 1), beside]])
    assert told.kind is Kind.DEADLOCK
    assert told.signature == diagnose([CIRCLE, later(CIRCLE, 1)]).signature
    assert {2, 3} <= set(told.goroutines)


@pytest.mark.parametrize(
    ("minutes", "holder", "kind"),
    [
        (600, f"{BUILDKIT}cache.x", Kind.DEADLOCK),
        (5, f"{BUILDKIT}cache.x", Kind.SLOW),
        (5, f"{BUILDKIT}util/overlay.x", Kind.DEADLOCK),
    ],
    ids=["far beyond any work", "work that may hold it", "work in another package"],
)
def test_a_lock_beside_work_on_data(minutes: int, holder: str, kind: Kind) -> None:
    """Who works on data may hold a lock of its own package, for as long as such work takes, and no other."""
    waits = [
        one(1, "select", SOLVE, minutes=minutes),
        one(2, "sync.Mutex.Lock", f"{BUILDKIT}cache.f", minutes=minutes),
    ]
    works = one(3, "running", "crypto/sha256.block", holder)
    assert diagnose([[*waits, works], [*later(waits, 1), works]]).kind is kind


def test_a_lock_whose_holder_works_is_no_deadlock() -> None:
    """A chain of waits that ends in who runs, or has moved, is slow: it will go on."""
    waiter = one(2, "sync.Mutex.Lock", f"{BUILDKIT}cache.f {A}", minutes=5, lock=A)
    for states in (("running", "running"), ("select", "chan send")):
        dumps = [
            [*later([CIRCLE[0], waiter], minute), one(3, state, f"{BUILDKIT}cache.prune{minute} {A}")]
            for minute, state in enumerate(states)
        ]
        assert diagnose(dumps).kind is Kind.SLOW


IDLE = {
    "one closure": one(4, "chan receive", f"{BUILDKIT}solver/llbsolver/history.NewQueue.func3", minutes=3),
    "a loop of the start": replace(one(4, "select", f"{BUILDKIT}cache.(*gc).loop", minutes=3), parent=1),
}


@pytest.mark.parametrize("loop", IDLE.values(), ids=IDLE)
def test_a_loop_that_waits_for_work_is_no_deadlock(loop: Goroutine) -> None:
    """What only watches for an end, or waits since the daemon's start, is held up by nobody."""
    works = one(1, "running", "compress/flate.x", f"{BUILDKIT}util/overlay.x", SOLVE)
    assert diagnose([[loop, works], [*later([loop], 1), works]]).kind is Kind.SLOW


def test_addresses_that_somebody_made_up() -> None:
    """One address for objects of every kind says nothing: then the types say who holds what."""
    queue = f"{BUILDKIT}solver/llbsolver.(*HistoryQueue)"
    packages = [f"{BUILDKIT}p{number}.(*T).f {A}" for number in range(9)]
    dump = [
        one(1, "select", *packages, f"{SOLVE} {A}", minutes=5),
        one(2, "sync.Mutex.Lock", f"{queue}.Update {A}", minutes=5, lock=A),
        one(3, "chan send", f"{BUILDKIT}solver/llbsolver.send {A}", f"{queue}.Finalize {A}", minutes=5),
    ]
    told = diagnose([dump, later(dump, 1)])
    assert "behind goroutine 3 in llbsolver.send" in told.sentence


def test_many_wait_for_one() -> None:
    """Two thousand that wait for one lock are told in one go."""
    crowd = [one(id_, "sync.Mutex.Lock", f"{BUILDKIT}cache.f", minutes=5, lock=A) for id_ in range(10, 2_010)]
    holder = one(2, "chan send", f"{BUILDKIT}cache.prune {A}", minutes=5)
    told = diagnose([[holder, *crowd], later([holder, *crowd], 1)])
    assert "2001 goroutines were held up" in told.sentence
    assert "behind goroutine 2 in cache.prune" in told.sentence


def test_real_dumps_are_whole() -> None:
    """Every run has two dumps, and nothing lies about untried."""
    names = {file.name for file in DATA.iterdir()}
    assert names == {f"{name}-{run}-{dump}.txt" for name in (*SAID, "process") for run in (1, 2) for dump in (0, 1)}
    assert all(len(read_dumps([DATA / name])[0]) > 5 for name in names)
