"""``auto``: its order, its reasons, and that it never takes the host's daemon."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from harness.core.errors import UnknownKind
from harness.toolchain import resolve
from harness.toolchain.auto import FETCHED, NothingServes
from harness.toolchain.cached import Gathered, from_cache
from harness.toolchain.table import PRIVATE

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("host_bin")]


@pytest.fixture
def keep(cache: Path, fake_kind: Callable[..., None]) -> Callable[..., Awaitable[None]]:
    """Keep a toolchain of fakes in the cache, completed at a given time."""

    async def keep(spec: str, kind: str, made: float, *, without: tuple[str, ...] = ()) -> None:
        async def gather(work: Path) -> Gathered:
            fake_kind(work, kind, spec, without=without)
            return Gathered({path.name: path for path in work.iterdir()}, {})

        await from_cache(spec, gather)
        os.utime(cache / spec.replace(":", "-"), (made, made))

    return keep


async def test_path_comes_first(
    host_bin: Path, keep: Callable[..., Awaitable[None]], fake_kind: Callable[..., None]
) -> None:
    """A whole toolchain on PATH is taken before the cache."""
    await keep("debian:trixie", "dockerd", 1)
    fake_kind(host_bin, "dockerd")
    assert (await resolve("auto")).spec == f"path:{host_bin}"


async def test_then_the_newest_whole_one_in_the_cache(
    host_bin: Path, keep: Callable[..., Awaitable[None]], fake_kind: Callable[..., None]
) -> None:
    """A PATH that lacks something is passed over; of the cache the newest that runs the kind is taken."""
    fake_kind(host_bin, "dockerd", without=("containerd",))
    await keep("debian:forky", "dockerd", 1)
    await keep("docker:28.0.0", "dockerd", 3)
    await keep("debian:trixie", "dockerd", 2)
    await keep("debian:sid", "dockerd", 4, without=("docker",))
    await keep("buildkit:0.25.1", "buildkitd", 5)
    assert (await resolve("auto")).spec == "docker:28.0.0"
    assert (await resolve("auto:buildkitd")).spec == "buildkit:0.25.1"


async def test_a_damaged_one_is_passed_over(cache: Path, keep: Callable[..., Awaitable[None]]) -> None:
    """What the cache has damaged does not serve, and what is whole after it does."""
    await keep("debian:forky", "dockerd", 1)
    await keep("docker:28.0.0", "dockerd", 2)
    (cache / "docker-28.0.0/bin/runc").write_text("changed")
    assert (await resolve("auto")).spec == "debian:forky"


async def test_every_reason_is_told_in_order(host_bin: Path, fake_kind: Callable[..., None]) -> None:
    """Where nothing serves, the error lists each that was tried, in order, with why it did not."""
    fake_kind(host_bin, "dockerd", without=("containerd",))
    with pytest.raises(NothingServes) as raised:
        await resolve("auto")
    first, *tried = str(raised.value).splitlines()
    assert "no toolchain that runs dockerd" in first
    assert [line.split(": ")[0].strip() for line in tried] == [f"path:{host_bin}", *FETCHED["dockerd"]]
    for line, why in zip(tried, ("it lacks containerd", "no apt-get on this host", "cannot fetch"), strict=True):
        assert why in line


async def test_a_running_docker_is_never_chosen(
    host_bin: Path, fake: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With clients and an endpoint at hand, so that `host` would serve, auto rather fails."""
    for name in ("docker", "docker-buildx"):
        fake(host_bin, name)
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/docker.sock")
    assert (await resolve("host")).kinds == ("dockerd",)
    with pytest.raises(NothingServes, match="PATH: has no dockerd that starts") as raised:
        await resolve("auto")
    assert "host:" not in str(raised.value)
    assert "host" not in PRIVATE


async def test_a_kind_is_a_kind() -> None:
    """What stands behind ``auto:`` is a kind of daemon."""
    with pytest.raises(UnknownKind, match="kind of daemon 'podman'; known: buildkitd, dockerd"):
        await resolve("auto:podman")
