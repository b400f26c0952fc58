"""The table of kinds."""

import pytest

from harness.core.errors import UnknownKind
from harness.toolchain import resolve

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("spec", ["debain:trixie", "trixie", ""])
async def test_an_unknown_kind_lists_the_known(spec: str) -> None:
    """A spec of no kind that we have lists those that we have."""
    with pytest.raises(UnknownKind, match="known: auto, buildkit, debian, docker, host, image, path"):
        await resolve(spec)
