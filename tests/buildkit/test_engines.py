"""Which BuildKit is inside which Engine."""

import pytest
from packaging.version import Version

from harness.buildkit.engines import ENGINES, buildkit_in, engine_with, engines_between
from harness.buildkit.goroutines.signatures import signatures


def test_engines_ascend() -> None:
    """The table of Engines ascends in both columns, and each is found by its own number."""
    for column in zip(*ENGINES, strict=True):
        versions = [Version(number) for number in column]
        assert versions == sorted(set(versions))
    for engine, buildkit in ENGINES:
        assert buildkit_in(engine) == buildkit
        assert engine_with(buildkit) == engine
    assert buildkit_in("20.10.27") == ""
    assert engine_with("v99.0.0") == ""


@pytest.mark.parametrize(
    ("first", "fixed", "engines"),
    [
        ("v0.23.0", "v0.25.0", ("28.3.0", "28.5.0")),
        (None, "v0.14.0", (None, "27.0.1")),
        ("v0.12.0", "v0.12.1", None),
        (None, "v0.6.4", None),
        ("v0.23.0", None, None),
        (None, "v99.0.0", None),
    ],
    ids=["both", "since ever", "in no Engine's BuildKit", "older than known", "not fixed", "in no Engine yet"],
)
def test_engines_with_a_bug(first: str | None, fixed: str | None, engines: tuple[str | None, str] | None) -> None:
    """Engines have a bug from the first with such a BuildKit up to the first with the fix; in doubt nothing is said."""
    assert engines_between(first, fixed) == engines


def test_signatures_leave_engines_to_the_table() -> None:
    """No signature repeats what the table says."""
    for each in signatures():
        if "Engine" in each.affected and "BuildKit" in each.affected:
            assert engines_between(*each.affected["BuildKit"]) is None, each.name
