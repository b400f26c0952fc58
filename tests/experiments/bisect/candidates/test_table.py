"""The table of kinds of ranges."""

import pytest

from harness.core.errors import UnknownKind
from harness.experiments.bisect.candidates import RANGES, Options, resolve_range

pytestmark = pytest.mark.anyio


async def test_an_unknown_kind() -> None:
    """A kind that is in no table is answered with the known ones, the nearest first."""
    with pytest.raises(UnknownKind, match=r"kind of range 'buildkt'; did you mean 'buildkit'.*known: buildkit, "):
        await resolve_range("buildkt:v1..v2", Options())


@pytest.mark.parametrize("kind", sorted(RANGES))
async def test_nothing_named(kind: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind alone names no range: each says so, in one sentence that has the range as it was written."""
    assert tmp_path
    monkeypatch.chdir(str(tmp_path))
    with pytest.raises(Exception, match=f"range '{kind}:'") as raised:
        await resolve_range(f"{kind}:", Options(build_command="true"))
    assert "\n" not in str(raised.value)
