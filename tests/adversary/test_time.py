"""Every reader takes a time that grows with its input, or refuses the input for its size."""

from collections.abc import Callable, Iterable

import pytest
import yaml

from harness.buildkit.goroutines.parse import counted, goroutines
from harness.buildkit.progress import Progress, items_in
from harness.scenario.places import parse
from tests.support.growth import LINEAR, growth


def fed(chunks: Iterable[bytes]) -> None:
    """Give a build's stream its output, piece by piece."""
    progress = Progress(0.0)
    for number, chunk in enumerate(chunks):
        progress.feed(chunk, float(number))


READERS = {
    "an object that never ends": (lambda n: [b"{\n", *[b"x\n" * 512] * n], fed, 500),
    "a line that never ends": (lambda n: [b"x" * 1024] * n, fed, 500),
    "many lines at once": (lambda n: [b'{"logs":[]}\n' * n], fed, 4_000),
    "tabs, counted": (lambda n: [b"1 @ 0x1", b"#\t0x1\tx" + b"\t" * n + b"y"] * 20, lambda x: [*counted(x)], 20_000),
    "tabs": (
        lambda n: [b"goroutine 1 [running]:", b"a.b()", b"\t" * n + b"y.go:1"] * 20,
        lambda x: [*goroutines(x)],
        20_000,
    ),
    "brackets": (lambda n: [b"goroutine 1 " + b"[" * n, b"(" * n + b")"] * 20, lambda x: [*goroutines(x)], 20_000),
    "a log": (lambda n: b'{"vertexes":[{"digest":"a"}]}\n' * n, items_in, 800),
    "keys": (lambda n: "a:\n" + "".join(f"  k{i}: 1\n" for i in range(n)), parse, 120),
}


@pytest.mark.parametrize(("made", "work", "size"), READERS.values(), ids=READERS.keys())
def test_four_times_the_input(made: Callable[[int], object], work: Callable[[object], object], size: int) -> None:
    """Four times the input takes about four times the time."""
    assert growth(made, work, size) < LINEAR


def test_what_never_ends_is_let_go() -> None:
    """An object that grows beyond any of BuildKit's is taken for lines, and what follows it is read as ever."""
    progress = Progress(0.0)
    for _ in range(5):
        progress.feed(b"{\n" + b"x" * 2**20, 1.0)
    progress.feed(b'\n{"vertexes":[{"digest":"a","name":"b","started":"now","completed":"now"}]}\n', 2.0)
    assert progress.completed_vertexes == 1


def test_a_log_of_something_else() -> None:
    """A log whose objects are of other shapes says nothing, and is no error."""
    assert items_in(b'{"a":5}\n[1]\n{"a":{"b":1}}\n{"a":null}\n\xff\n' + b"[" * 10_000) == frozenset()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 8))]),
            "values",
        ),
        ("x: " + "y" * 300_000, "characters"),
        ("[" * 100 + "]" * 100, "deep"),
        ('a: "x\\0y"', "NUL"),
        ('"x\\0y": a', "NUL"),
        ('a: "\\ud800"', "half"),
        ("a: !!int ''", "no int"),
        ("a: " + "9" * 4301, "no int"),
        ("a: !!timestamp 2026-01-01", "timestamp"),
        ("a: !!binary eA==", "binary"),
    ],
    ids=["aliases", "long", "deep", "nul", "nul in a key", "surrogate", "empty int", "digits", "date", "bytes"],
)
def test_scenarios_that_are_refused(text: str, why: str) -> None:
    """What no scenario needs is refused with a word on what it is, before it costs time or a traceback."""
    with pytest.raises(yaml.YAMLError, match=why):
        parse(text)
