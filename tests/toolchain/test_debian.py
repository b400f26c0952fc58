"""``debian:SUITE``, and a static busybox, from Debian's real archive."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.toolchain import cached_toolchains, programs, resolve
from harness.toolchain.apt import ArchiveUnreachable, UnknownSuite
from harness.toolchain.base import BadSpec

pytestmark = pytest.mark.anyio

system = pytest.mark.system
needs_apt = pytest.mark.skipif(not shutil.which("apt-get"), reason="there is no apt-get on this host")


@pytest.fixture(scope="session")
def session_cache() -> Iterator[Path]:
    """A cache for all tests of a session, so that nothing is fetched twice; half a gigabyte, so gone at its end."""
    with tempfile.TemporaryDirectory(prefix="repro-test-") as folder:
        yield Path(folder)


@pytest.fixture
def shared_cache(session_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The session's cache, in use."""
    monkeypatch.setenv("REPRO_CACHE", str(session_cache))
    return session_cache


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that cannot be reached."""
    monkeypatch.setenv("REPRO_DEBIAN_MIRROR", "http://127.0.0.1:1")


@system
@needs_apt
@pytest.mark.timeout(600)
@pytest.mark.parametrize("suite", ["trixie", "forky"])
@pytest.mark.usefixtures("shared_cache")
async def test_a_suite_runs_here_and_then_without_network(suite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A suite gives a whole dockerd whose binaries all start on this host; the second use needs no network."""
    fetched = await resolve(f"debian:{suite}")
    assert fetched.kinds == ("dockerd",)
    assert fetched.binaries["dockerd"].version.startswith("Docker version ")
    monkeypatch.setenv("REPRO_DEBIAN_MIRROR", "http://127.0.0.1:1")
    assert await resolve(f"debian:{suite}") == fetched
    assert f"debian:{suite}" in [cached.spec for cached in cached_toolchains()]


@system
@needs_apt
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("shared_cache")
async def test_what_this_host_lacks_comes_from_debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that has all but buildx and runc gets both from Debian's archive, ones that start here."""
    whole = await resolve("debian:trixie")
    for name in ("dockerd", "docker", "containerd", "containerd-shim-runc-v2"):
        (tmp_path / name).symlink_to(whole.binaries[name].path)

    async def nothing(name: str) -> None:
        assert name in {"docker-buildx", "runc"}

    monkeypatch.setattr(programs, "on_host", nothing)
    completed = await resolve(f"path:{tmp_path}")
    assert completed.kinds == ("dockerd",)
    assert completed.binaries["runc"].version.startswith("runc version")


@system
@needs_apt
async def test_an_unknown_suite(cache: Path) -> None:
    """A suite that the archive does not have is the user's error, and nothing of it is kept."""
    with pytest.raises(UnknownSuite, match="has no suite 'nosuchsuite'"):
        await resolve("debian:nosuchsuite")
    assert list(cache.iterdir()) == []


@needs_apt
@pytest.mark.usefixtures("no_network")
async def test_no_network(cache: Path) -> None:
    """Without a network the error is one sentence with apt's reason, and nothing is kept."""
    with pytest.raises(ArchiveUnreachable, match=r"at http://127\.0\.0\.1:1: .*[Cc]onnect.*REPRO_DEBIAN_MIRROR"):
        await resolve("debian:trixie")
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("argument", ["", "../x", "trixie/runc", "Trixie"])
async def test_a_suite_is_a_suite(argument: str) -> None:
    """What is no suite's name never becomes part of a source or of a folder's name."""
    with pytest.raises(BadSpec, match="name a suite, as in debian:trixie"):
        await resolve(f"debian:{argument}")
