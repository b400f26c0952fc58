"""Programs beside those of a toolchain: what a driver needs, and where it comes from."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.toolchain import equip, resolve
from harness.toolchain.apt import AptMissing

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("host_bin")]


async def test_a_folder_is_equipped_from_the_host(
    tmp_path: Path, host_bin: Path, fake: Callable[..., Path], fake_kind: Callable[..., None]
) -> None:
    """A folder with a buildkitd and a buildctl gets the buildx that the remote driver needs, and stays what it is."""
    fake_kind(tmp_path / "mine", "buildkitd")
    fake(host_bin, "docker-buildx", "host")
    bare = await resolve(f"path:{tmp_path}/mine")
    equipped = await equip(bare, "remote")
    assert equipped.binaries["docker-buildx"].version == "docker-buildx host"
    assert {**equipped.binaries, **bare.binaries} == equipped.binaries
    assert equipped.spec == bare.spec


async def test_what_the_toolchain_has_is_kept(
    tmp_path: Path, host_bin: Path, fake: Callable[..., Path], fake_kind: Callable[..., None]
) -> None:
    """A toolchain's own program is never replaced by the host's."""
    fake_kind(tmp_path / "mine", "buildkitd")
    fake(tmp_path / "mine", "docker-buildx", "own")
    fake(host_bin, "docker-buildx", "host")
    toolchain = await resolve(f"path:{tmp_path}/mine")
    assert await equip(toolchain, "remote") == toolchain


@pytest.mark.parametrize("driver", [None, "docker", "buildctl"])
async def test_other_drivers_need_nothing(tmp_path: Path, fake_kind: Callable[..., None], driver: str | None) -> None:
    """The daemons' own clients need no program beside those of their kind."""
    fake_kind(tmp_path / "mine", "dockerd")
    toolchain = await resolve(f"path:{tmp_path}/mine")
    assert await equip(toolchain, driver) == toolchain


async def test_an_init_by_debians_name(
    tmp_path: Path, fake: Callable[..., Path], fake_kind: Callable[..., None]
) -> None:
    """Debian's `docker-init` is a link to tini's own program, which may be there alone."""
    fake_kind(tmp_path / "mine", "dockerd")
    tini = fake(tmp_path / "mine", "tini-static")
    (tmp_path / "mine" / "docker-init").symlink_to("nowhere")
    assert (await resolve(f"path:{tmp_path}/mine")).binaries["docker-init"].path == tini


async def test_debian_is_asked_last(tmp_path: Path, fake_kind: Callable[..., None]) -> None:
    """Where nothing here has it, Debian's archive is asked, and its refusal is the error."""
    fake_kind(tmp_path / "mine", "buildkitd")
    with pytest.raises(AptMissing, match="no apt-get on this host"):
        await equip(await resolve(f"path:{tmp_path}/mine"), "remote")
