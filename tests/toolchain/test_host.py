"""``host``: the user's own daemon, by the user's own clients."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.toolchain import resolve
from harness.toolchain.base import BadSpec
from harness.toolchain.host import NoHostDocker

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("host_bin")]


def docker(folder: Path, context: str) -> None:
    """Make a docker client whose `context inspect` does `context`."""
    path = folder / "docker"
    path.write_text(f'#!/bin/sh\ncase "$1" in --version) echo Docker 1;; context) {context};; esac\n')
    path.chmod(0o755)


async def test_the_environment_names_the_endpoint(
    host_bin: Path, fake: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """DOCKER_HOST is the endpoint as it stands, as it is for the client, and the clients are PATH's."""
    docker(host_bin, "exit 1")
    fake(host_bin, "docker-buildx")
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/other.sock")
    toolchain = await resolve("host")
    assert toolchain.endpoint == "unix:///run/other.sock"
    assert toolchain.kinds == ("dockerd",)
    assert toolchain.binaries["docker"].path == host_bin / "docker"


async def test_the_context_names_the_endpoint(host_bin: Path) -> None:
    """Without DOCKER_HOST the client's current context is asked; a missing buildx is named."""
    docker(host_bin, "echo unix:///run/docker.sock")
    toolchain = await resolve("host")
    assert toolchain.endpoint == "unix:///run/docker.sock"
    assert toolchain.missing("dockerd") == ("docker-buildx",)


@pytest.mark.parametrize(
    ("context", "said"), [("echo no such context >&2; exit 1", "no such context"), ("exit 0", "names no endpoint")]
)
async def test_a_context_that_cannot_be_read(host_bin: Path, context: str, said: str) -> None:
    """What the client said about its context is passed on."""
    docker(host_bin, context)
    with pytest.raises(NoHostDocker, match=said):
        await resolve("host")


async def test_no_client() -> None:
    """A host without a docker client is said to have none."""
    with pytest.raises(NoHostDocker, match="no docker that starts is on PATH"):
        await resolve("host")


async def test_host_takes_no_argument() -> None:
    """An argument would be ignored, so it is refused."""
    with pytest.raises(BadSpec, match="host takes no argument"):
        await resolve("host:unix:///run/x.sock")
