"""What a scenario may say of caches outside of the daemon."""

from typing import Any

import pytest
from pydantic import ValidationError

from harness.actors.cache import CacheFrom, CacheTo


@pytest.mark.parametrize(
    ("kind", "written", "why"),
    [
        (CacheTo, {"type": "inline", "name": "main"}, "in the image itself, and has no name"),
        (CacheFrom, {"type": "inline", "name": "main"}, "in the image itself, and has no name"),
        (CacheTo, {"type": "inline", "mode": "max"}, "which is `mode: min`"),
        (CacheFrom, {"type": "registry", "mode": "max"}, "Extra inputs"),
        (CacheTo, {"type": "azblob"}, "'inline', 'local', 'registry', 's3' or 'gha'"),
    ],
)
def test_what_makes_no_sense(kind: type[CacheTo | CacheFrom], written: dict[str, Any], why: str) -> None:
    """An option that would not do anything is refused, and so is a kind of cache that only others offer."""
    with pytest.raises(ValidationError, match=why):
        kind.model_validate(written)


@pytest.mark.parametrize(
    "written", [{"type": "inline", "mode": "min"}, {"type": "registry", "name": "pr", "mode": "max"}]
)
def test_what_does(written: dict[str, Any]) -> None:
    """What is kept is what was written, and can be read again."""
    assert CacheTo.model_validate(written).model_dump(mode="json", exclude_defaults=True) == written
