"""Goroutine dumps in every form that Go prints, whole or cut off, with anything around them."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.buildkit.goroutines.buckets import buckets, buckets_of
from harness.buildkit.goroutines.model import Frame, Goroutine
from harness.buildkit.goroutines.parse import counted, goroutines

DATA = Path(__file__).parents[2] / "data" / "goroutines"
DUMPS = sorted(DATA.glob("*.txt"))

ONE = b"""\
goroutine 7 [select, 5 minutes, locked to thread]:
github.com/moby/buildkit/solver.(*scheduler).loop(0xc000273110, {0x1, 0x2}, ...)
\t/src/solver/scheduler.go:92 +0x1e5
main.main()
\t/src/main.go:3
created by github.com/moby/buildkit/solver.newScheduler in goroutine 1
\t/src/solver/scheduler.go:26 +0x20d

"""


def read(text: bytes) -> list[Goroutine]:
    """Return the goroutines in a text."""
    return [*goroutines(text.splitlines(keepends=True))]


@pytest.mark.parametrize("dump", DUMPS, ids=[dump.stem for dump in DUMPS])
def test_real_dumps(dump: Path) -> None:
    """Every goroutine of a real dump is read, with a stack; every call has its place, and every maker too."""
    found = read(dump.read_bytes())
    assert len(found) == len(re.findall(rb"^goroutine \d+ \[", dump.read_bytes(), re.MULTILINE))
    assert all(each.frames and each.state for each in found)
    assert all(frame.function and frame.file and frame.line for each in found for frame in each.frames)
    assert all(each.creator.file for each in found if each.creator)
    assert all(each.creator and each.parent for each in found if each.id != 1)


def test_all_that_a_goroutine_says() -> None:
    """State, wait, thread, calls without arguments, places, and who made it."""
    loop = Frame("github.com/moby/buildkit/solver.(*scheduler).loop", "/src/solver/scheduler.go", 92)
    maker = Frame("github.com/moby/buildkit/solver.newScheduler", "/src/solver/scheduler.go", 26)
    [one] = read(ONE)
    stack = (loop, Frame("main.main", "/src/main.go", 3))
    arguments = (b"0xc000273110, {0x1, 0x2}, ...", b"")
    assert one == Goroutine(7, "select", 5, True, stack, maker, 1, arguments=arguments)


@pytest.mark.parametrize(
    ("head", "state", "minutes", "locked"),
    [
        ("goroutine 1 [running]:", "running", 0, False),
        ("goroutine 1 [runnable (scan)]:", "runnable", 0, False),
        ("goroutine 1 [chan receive (nil chan), 121 minutes]:", "chan receive (nil chan)", 121, False),
        ("goroutine 1 [sync.WaitGroup.Wait, 1 minutes, locked to thread]:", "sync.WaitGroup.Wait", 1, True),
        ("goroutine 1 gp=0xc000006c40 m=0 mp=0x2e84f40 [IO wait]:", "IO wait", 0, False),
        ("goroutine 1 [select (no cases)]:\r", "select (no cases)", 0, False),
        ("goroutine 1 gp=0xc000006c40 m=nil [select (durable), 2 minutes, synctest bubble 5]:", "select", 2, False),
        ("goroutine 1 [chan receive (leaked), 7 minutes]:", "chan receive", 7, False),
        ('goroutine 1 [select, 3 minutes, labels:{"trace": "a:b"}]:', "select", 3, False),
        ('goroutine 1 [select, 3 minutes] {"trace": "a:b"}:', "select", 3, False),
    ],
)
def test_heads(head: str, state: str, minutes: int, locked: bool) -> None:
    """What Go puts between the brackets, and before them, in its releases."""
    [one] = read(f"{head}\nmain.main()\n\t/main.go:1 +0x1\n".encode())
    assert (one.state, one.minutes, one.locked) == (state, minutes, locked)


@pytest.mark.parametrize(
    ("call", "function"),
    [
        ("main.f(0x1?, {0x2?, ...})", "main.f"),
        ("sync.(*Mutex).Lock(...)", "sync.(*Mutex).Lock"),
        ("a.b/c.(*Group[...]).do(0x1)", "a.b/c.(*Group[...]).do"),
        ("a.b/c.New.func1.2()", "a.b/c.New.func1.2"),
        ("gopkg.in/yaml%2ev3.f({0x1})", "gopkg.in/yaml%2ev3.f"),
    ],
)
def test_calls(call: str, function: str) -> None:
    """A call's name is all of it but the arguments: receivers, type parameters and escapes stay."""
    [one] = read(f"goroutine 1 [running]:\n{call}\n\t/x.go:1 +0x1\n".encode())
    assert [frame.function for frame in one.frames] == [function]


def test_deep_stacks() -> None:
    """Where frames are left out, that is said, and the others stay in order."""
    text = b"goroutine 1 [running]:\nmain.a()\n\t/x.go:1\n...%s frames elided...\nmain.b()\n\t/x.go:2\n"
    for words in (b"additional", b"23"):
        [one] = read(text % words)
        assert one.elided
        assert [frame.function for frame in one.frames] == ["main.a", "main.b"]


def test_older_makers_and_missing_stacks() -> None:
    """Before Go 1.21 the maker's goroutine is not told; a stack on another thread is not there at all."""
    [one] = read(b"goroutine 1 [select]:\nmain.f()\n\t/x.go:1\ncreated by main.g\n\t/x.go:2 +0x1\n")
    assert (one.creator, one.parent) == (Frame("main.g", "/x.go", 2), None)
    [other] = read(
        b"goroutine 2 [running]:\n\tgoroutine running on other thread; stack unavailable\ncreated by main.g\n"
    )
    assert (other.frames, other.creator) == ((), Frame("main.g"))


COUNTED = b"""\
goroutine profile: total 15
12 @ 0x47a4ae 0x4594a5
#\t0x47a4ad\tmain.run+0xcd\t/src/main.go:12
#\t0x4594a4\tgithub.com/a/b.(*T).Do+0x4\t\t/src/b.go:7

3 @ 0x47a4ae
# labels: {"a":"b"}
#\t0x47a4ad\tmain.run+0xcd\t/src/main.go:13
"""


def test_the_counted_form(tmp_path: Path) -> None:
    """`debug=1` gives buckets of a size and a stack, and a file of either form is read."""
    first, second = counted(COUNTED.splitlines(keepends=True))
    assert (first.count, second.count) == (12, 3)
    assert first.frames == (Frame("main.run", "/src/main.go", 12), Frame("github.com/a/b.(*T).Do", "/src/b.go", 7))
    (tmp_path / "dump").write_bytes(COUNTED)
    assert buckets_of(tmp_path / "dump") == [first, second]
    (tmp_path / "none").write_bytes(b"no dump at all\n")
    assert buckets_of(tmp_path / "none") == []


def test_buckets_hold_every_goroutine() -> None:
    """The counts add up, the fullest comes first, and a bucket knows the least and the longest wait."""
    found = read((DATA / "leak-dockerd-28.5.2-idle.txt").read_bytes())
    full, *rest = buckets(found)
    assert full.count + sum(bucket.count for bucket in rest) == len(found)
    assert full.count == 95
    assert full.creator
    assert full.creator.function == "google.golang.org/grpc.newClientStreamWithParams"
    assert (full.least_minutes, full.most_minutes) == (0, 22)
    assert len(set(full.ids)) == 95


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_text_around(before: bytes, after: bytes) -> None:
    """What a log prints before a dump, and what follows after a blank line, changes nothing of it."""
    clean = [text.replace(b"goroutine ", b"") for text in (before, after)]
    assert read(clean[0] + b"\n\n" + ONE + clean[1]) == read(ONE)


@given(st.integers(min_value=0, max_value=len(ONE)), st.sampled_from([b"", ONE]))
def test_cut_off(length: int, before: bytes) -> None:
    """A dump that ends anywhere is read as far as it goes, and what came before the cut is whole."""
    found = read(before + ONE[:length])
    assert found[: len(read(before))] == read(before)
    for one in found[len(read(before)) :]:
        assert one.id == 7
        assert len(one.frames) <= 2


@pytest.mark.parametrize(
    ("function", "is_users"),
    [
        ("main.main", True),
        ("github.com/moby/buildkit/solver.(*scheduler).loop", True),
        ("google.golang.org/grpc.newClientStreamWithParams", True),
        ("sync.(*Cond).Wait", False),
        ("internal/poll.(*FD).Accept", False),
        ("net/http.(*conn).serve", False),
        ("runtime.gopark", False),
    ],
)
def test_whose_a_frame_is(function: str, is_users: bool) -> None:
    """Go's own packages have no dot in the first part of their path."""
    assert Frame(function).is_users is is_users


def test_locks_before_go_1_20() -> None:
    """A semaphore is told as the lock or the group that waits at it; the lock's address is kept."""
    for call, state in (
        ("sync.(*Mutex).lockSlow", "sync.Mutex.Lock"),
        ("sync.(*WaitGroup).Wait", "sync.WaitGroup.Wait"),
    ):
        [one] = read(f"goroutine 1 [semacquire]:\n{call}(0xc00087cf58)\n\t/x.go:1\nmain.f()\n\t/x.go:2\n".encode())
        assert one.state == state
        assert one.lock == ("0xc00087cf58" if "Mutex" in call else "")


def test_counted_with_many_tabs() -> None:
    """A line of many tabs is read in a time that grows as its length does."""
    text = b"1 @ 0x1\n#\t0x1\tx" + b"\t" * 60_000 + b"y\n"
    assert len([*counted(text.splitlines())]) == 1


def test_frames_of_the_runtime() -> None:
    """`GOTRACEBACK=crash` prints Go's own calls too: they hide no lock."""
    [one] = read(
        b"goroutine 441 [semacquire, 4 minutes]:\nruntime.gopark(0xc01?)\n\t/proc.go:398 +0xce fp=0xc01 sp=0xc01\n"
        b"sync.runtime_SemacquireMutex(0x1)\n\t/sema.go:77\nsync.(*Mutex).lockSlow(0xc01d77eb70)\n\t/mutex.go:171\n"
        b"a.b/c.f(0x1)\n\t/c.go:1\nruntime.goexit()\n\t/asm.s:1598\n"
    )
    assert (one.state, one.lock, one.frames[0].line) == ("sync.Mutex.Lock", "0xc01d77eb70", 398)
