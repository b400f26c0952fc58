"""``path:DIR``: what a folder holds, and where the rest comes from."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.toolchain import programs, resolve
from harness.toolchain.apt import AptMissing
from harness.toolchain.base import BadSpec, BinaryBroken

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("host_bin")]


@pytest.mark.parametrize("below", ["", "bin"])
async def test_a_folder_or_its_bin(tmp_path: Path, fake_kind: Callable[..., None], below: str) -> None:
    """Programs count in the folder itself and in its bin/, and the spec is absolute, so it can be named again."""
    fake_kind(tmp_path / "mine" / below, "buildkitd")
    toolchain = await resolve(f"path:{tmp_path}/mine")
    assert toolchain.kinds == ("buildkitd",)
    assert toolchain.spec == f"path:{tmp_path}/mine"
    assert toolchain.binaries["buildctl"].path == tmp_path / "mine" / below / "buildctl"


async def test_a_relative_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_kind: Callable[..., None]
) -> None:
    """A relative folder is relative to the working folder, and only when it is named."""
    fake_kind(tmp_path / "mine", "buildkitd")
    monkeypatch.chdir(tmp_path)
    assert (await resolve("path:mine")).spec == f"path:{tmp_path}/mine"


async def test_the_rest_comes_from_path(
    tmp_path: Path, host_bin: Path, fake: Callable[..., Path], fake_kind: Callable[..., None]
) -> None:
    """What the folder lacks is taken from PATH; what it has is never replaced."""
    fake(tmp_path / "mine", "dockerd", "own")
    fake_kind(host_bin, "dockerd", "host")
    toolchain = await resolve(f"path:{tmp_path}/mine")
    versions = {name: binary.version for name, binary in toolchain.binaries.items()}
    assert versions.pop("dockerd") == "dockerd own"
    assert versions == {name: f"{name} host" for name in versions}
    assert toolchain.kinds == ("dockerd",)


async def test_buildx_comes_from_a_plugin_folder(
    tmp_path: Path, fake: Callable[..., Path], fake_kind: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker's plugin folders are looked through, the user's own before the system's."""
    fake_kind(tmp_path / "mine", "dockerd", without=("docker-buildx",))
    system = fake(tmp_path / "system", "docker-buildx")
    monkeypatch.setattr(programs, "PLUGIN_FOLDERS", (system.parent,))
    assert (await resolve(f"path:{tmp_path}/mine")).binaries["docker-buildx"].path == system
    user = fake(tmp_path / "home/.docker/cli-plugins", "docker-buildx")
    assert (await resolve(f"path:{tmp_path}/mine")).binaries["docker-buildx"].path == user


async def test_a_runc_that_does_not_start_does_not_count(
    tmp_path: Path, host_bin: Path, fake: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the folder's own runc nor one on PATH is taken where it does not start; the next one that does is."""
    for name in ("buildkitd", "buildctl"):
        fake(tmp_path / "mine", name)
    fake(tmp_path / "mine", "runc", starts=False)
    fake(host_bin, "runc", starts=False)
    good = fake(tmp_path / "later", "runc")
    monkeypatch.setenv("PATH", f"{host_bin}:{good.parent}")
    assert (await resolve(f"path:{tmp_path}/mine")).binaries["runc"].path == good


async def test_upstreams_own_name_of_runc(tmp_path: Path, fake: Callable[..., Path]) -> None:
    """BuildKit's archive names its runc `buildkit-runc`; it is the runc of that toolchain."""
    for name in ("buildkitd", "buildctl", "buildkit-runc"):
        fake(tmp_path / "mine", name)
    assert (await resolve(f"path:{tmp_path}/mine")).binaries["runc"].path.name == "buildkit-runc"


async def test_a_missing_client_is_named(tmp_path: Path, fake_kind: Callable[..., None]) -> None:
    """A client that nothing here has stays lacking, and is named."""
    fake_kind(tmp_path / "mine", "buildkitd", without=("buildctl",))
    assert (await resolve(f"path:{tmp_path}/mine")).missing("buildkitd") == ("buildctl",)


async def test_runc_is_asked_of_debian_last(tmp_path: Path, fake_kind: Callable[..., None]) -> None:
    """Where nothing here has a runc, Debian's archive is asked, and its refusal is the error."""
    fake_kind(tmp_path / "mine", "buildkitd", without=("runc",))
    with pytest.raises(AptMissing, match="no apt-get on this host"):
        await resolve(f"path:{tmp_path}/mine")


async def test_a_broken_daemon_is_no_daemon(tmp_path: Path, fake: Callable[..., Path]) -> None:
    """The daemon under test is never replaced by another one: where it does not start, that is the error."""
    for name in ("buildctl", "runc"):
        fake(tmp_path / "mine", name)
    fake(tmp_path / "mine", "buildkitd", starts=False)
    with pytest.raises(BinaryBroken, match="buildkitd does not start"):
        await resolve(f"path:{tmp_path}/mine")


@pytest.mark.parametrize(
    ("argument", "said"),
    [("", "name a folder"), ("{0}/none", "there is no folder /"), ("{0}", "holds an executable dockerd or buildkitd")],
    ids=["empty", "absent", "without"],
)
async def test_a_folder_that_is_none(tmp_path: Path, argument: str, said: str) -> None:
    """A path that is no folder with a daemon is a usage error that says so."""
    with pytest.raises(BadSpec, match=said):
        await resolve("path:" + argument.format(tmp_path))
