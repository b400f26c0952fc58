"""The table of kinds."""

from pathlib import Path

import pytest

from harness.core.errors import UnknownKind
from harness.toolchain import resolve
from harness.toolchain.base import BadSpec
from harness.toolchain.table import VersionAlone

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


@pytest.mark.parametrize(
    ("version", "spec"),
    [
        ("28.3.0", "docker:28.3.0"),
        ("v28.3.0-rc.1", "docker:28.3.0-rc.1"),
        ("20.10", "docker:20.10"),
        ("v0.23.2", "buildkit:v0.23.2"),
        ("0.26.0-rc1", "buildkit:v0.26.0-rc1"),
    ],
)
async def test_a_version_alone(version: str, spec: str) -> None:
    """Who gives a version is told how to say whose it is."""
    with pytest.raises(VersionAlone, match=f"'{version}' is a version, and does not say of what: say {spec}$"):
        await resolve(version)
