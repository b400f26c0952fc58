"""The run's own registry."""

import os
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from harness.daemons.loopback import NoServer
from harness.daemons.registry import open_registry, registry_program
from harness.host.ledger import Ledger

pytestmark = pytest.mark.anyio


@pytest.fixture
def program(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:  # noqa: ARG001 — an empty one
    """Put a shell script on PATH in the registry's place."""

    def put(script: str) -> Path:
        path = tmp_path / "bin" / "docker-registry"
        path.parent.mkdir()
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
        return path

    return put


async def test_one_on_path(program: Callable[[str], Path]) -> None:
    """A registry that is installed is taken, and nothing is fetched."""
    installed = program("exit 0")
    assert await registry_program() == installed


@pytest.mark.usefixtures("cache")
async def test_then_the_cache(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was fetched once is used without PATH and network."""
    monkeypatch.setenv("PATH", str(tmp_path))
    kept = cache / "registry" / "docker-registry"
    kept.parent.mkdir()
    kept.touch(mode=0o755)
    assert await registry_program() == kept


@pytest.mark.usefixtures("cache")
async def test_none_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none can be had the error says why, and what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoServer, match=r"PATH has no docker-registry, and no apt-get .*; install it"):
        await registry_program()


async def test_one_that_ends(program: Callable[[str], Path], tmp_path: Path) -> None:
    """A registry that does not come up is an error of ours with its own words, and leaves nothing behind."""
    program("echo configuration error: no such driver; exit 3")
    ledger = Ledger.open("x")
    with pytest.raises(NoServer, match=r"ended with status 3: configuration error: no such driver"):
        async with open_registry(ledger, tmp_path):
            raise AssertionError
    assert await ledger.reclaim() == []
    assert not ledger.folders[0].exists()


async def test_one_that_never_answers(
    program: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry that runs and does not listen is given up, and ended."""
    monkeypatch.setattr("harness.daemons.loopback._READY_SECONDS", 0.3)
    program("exec sleep 60")
    ledger = Ledger.open("x")
    with pytest.raises(NoServer, match=r"did not answer within 0\.3 s"):
        async with open_registry(ledger, tmp_path):
            raise AssertionError
    assert not ledger.processes[0].alive()


@pytest.mark.system
async def test_a_real_one(tmp_path: Path) -> None:
    """It answers on the loopback, takes a blob into its own folder, has a log, and ends on leaving."""
    try:
        await registry_program()
    except NoServer as error:
        pytest.skip(str(error))
    ledger = Ledger.open(tmp_path.name)
    try:
        async with (
            open_registry(ledger, tmp_path) as registry,
            httpx.AsyncClient(base_url=f"http://{registry.address}") as client,
        ):
            assert registry.address.startswith("127.0.0.1:")
            upload = await client.post("/v2/x/blobs/uploads/")
            assert upload.status_code == 202
            assert [*(ledger.folders[0] / "storage").rglob("_uploads/*")]
            assert (tmp_path / "registry.log").exists()
            [process] = ledger.processes
            assert psutil.Process(process.pid).name() == "docker-registry"
        assert not process.alive()
    finally:
        assert await ledger.reclaim() == []
    assert not ledger.folders[0].exists()
