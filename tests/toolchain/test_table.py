"""The table of kinds."""

from pathlib import Path

import pytest

from harness.core.errors import UnknownKind
from harness.toolchain import resolve
from harness.toolchain.base import BadSpec

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("spec", ["debain:trixie", "trixie", ""])
async def test_an_unknown_kind_lists_the_known(spec: str) -> None:
    """A spec of no kind that we have lists those that we have."""
    with pytest.raises(UnknownKind, match="known: auto, buildkit, debian, docker, host, image, path"):
        await resolve(spec)


@pytest.mark.parametrize("spec", ["{}", "./daemons", "daemons"])
async def test_a_folder_means_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str) -> None:
    """A folder that is named as one is a toolchain of kind `path`, and is told as that where it holds no daemon."""
    (tmp_path / "daemons").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadSpec, match=r"toolchain 'path:.*daemons': neither .* holds an executable"):
        await resolve(spec.format(tmp_path / "daemons"))
    with pytest.raises(BadSpec, match="there is no folder"):
        await resolve("./nowhere")
