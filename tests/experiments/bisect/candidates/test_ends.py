"""Both ends, had before the search."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.experiments.bisect.candidates import Options, require_ends, resolve_range
from harness.experiments.bisect.candidates.ends import EndsCannotBeHad

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("cache")]


async def test_both(place: Path, daemon: Callable[..., Path]) -> None:
    """Two ends that can be had are returned, the older one first; what is between them is not tried."""
    for name, starts in (("v1", True), ("v2", False), ("v3", True)):
        daemon(place / name, starts=starts)
    found = await resolve_range(f"path:{place}", Options())
    assert await require_ends(found) == (f"path:{place}/v1", f"path:{place}/v3")


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("v1", "^one end.*v1 cannot be obtained"),
        ("v3", "^one end.*v3 cannot be obtained"),
        ("v1 v3", "^neither end"),
    ],
)
async def test_an_end_that_cannot_be_had(place: Path, daemon: Callable[..., Path], broken: str, said: str) -> None:
    """An end that does not start is told by name; where both do not, that is said of both at once."""
    for name in ("v1", "v2", "v3"):
        daemon(place / name, starts=name not in broken.split())
    with pytest.raises(EndsCannotBeHad, match=said) as raised:
        await require_ends(await resolve_range(f"path:{place}", Options()))
    assert all(f"{name} cannot be obtained" in str(raised.value) for name in broken.split())
