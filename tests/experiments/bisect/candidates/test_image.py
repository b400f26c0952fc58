"""``image:``: tags of one repository, in the user's order."""

import pytest

from harness.experiments.bisect.candidates import Options, resolve_range
from harness.experiments.bisect.candidates.base import BadRange, OneCandidate, SameEnds

pytestmark = pytest.mark.anyio


async def test_tags() -> None:
    """Tags are taken in the order in which they are listed; the repository may name a registry with a port."""
    found = await resolve_range("image:127.0.0.1:5000/moby/buildkit:v0.24.0, v0.25.0,master", Options())
    assert [(each.name, each.parents) for each in found.candidates] == [
        ("v0.24.0", ()),
        ("v0.25.0", (0,)),
        ("master", (1,)),
    ]


@pytest.mark.parametrize(
    ("argument", "error", "said"),
    [
        ("moby/buildkit", BadRange, "name a repository and its tags"),
        ("127.0.0.1:5000/bk", BadRange, "name a repository and its tags"),
        ("bk:a,,b", BadRange, "name a repository and its tags"),
        ("bk:a", OneCandidate, "it holds a alone"),
        ("bk:a,b,a", SameEnds, "both ends are 'a'"),
    ],
)
async def test_bad_tags(argument: str, error: type[Exception], said: str) -> None:
    """A list that is none, of one tag, or with one twice, is refused before a registry is asked."""
    with pytest.raises(error, match=said):
        await resolve_range(f"image:{argument}", Options())
