"""How alike two hangs are, by their functions."""

import pytest

from harness.buildkit.likeness import LIKELY, likeness, most_alike

WALK = (
    "github.com/moby/buildkit/solver/bboltcachestorage.(*Store).Load",
    "github.com/moby/buildkit/solver.(*exporter).ExportTo",
    "github.com/moby/buildkit/solver.(*Job).Build.func1",
    "github.com/moby/buildkit/control.(*Controller).Solve",
)


def renamed(stack: tuple[str, ...], old: str, new: str) -> tuple[str, ...]:
    """Return a stack in which a name is another one."""
    return tuple(function.replace(old, new) for function in stack)


@pytest.mark.parametrize(
    "other",
    [
        renamed(WALK, "ExportTo", "Export"),
        renamed(WALK, "Build.func1", "Build.func2.1"),
        renamed(WALK, "moby/buildkit", "docker/docker/vendor/buildkit"),
        (*WALK[:2], "github.com/moby/buildkit/solver.(*exporter).walk[...]", *WALK[2:]),
        WALK[1:],
    ],
    ids=["a function", "a closure", "a module", "one more between", "one fewer"],
)
def test_a_renamed_hang_is_alike(other: tuple[str, ...]) -> None:
    """One function that is another now leaves two stacks alike, whichever is asked about the other."""
    assert likeness(WALK, other) > 0.8
    assert likeness(WALK, other) == likeness(other, WALK)


def test_the_same_is_the_same() -> None:
    """Alike is from nothing in common to all of it."""
    assert likeness(WALK, WALK) == 1.0
    assert likeness(WALK, ()) == 0.0
    assert likeness(WALK, ("sync.(*Mutex).Lock", "google.golang.org/grpc.(*Server).Stop")) == 0.0


def test_a_hang_of_another_kind_is_not() -> None:
    """What only came in by the same request, or stands in another order, is below what is likely."""
    other = (
        "github.com/moby/buildkit/solver.(*scheduler).loop",
        "github.com/moby/buildkit/solver.newScheduler",
        WALK[3],
    )
    assert likeness(WALK, other) < LIKELY
    assert likeness(WALK, WALK[::-1]) < LIKELY


def test_groups_are_as_alike_as_their_nearest() -> None:
    """Of hangs that were seen several times the most alike two count; without a stack nothing is known."""
    assert most_alike([("a.b",), WALK], [renamed(WALK, "ExportTo", "Export")]) == pytest.approx(0.875)
    assert most_alike([()], [WALK]) is None
