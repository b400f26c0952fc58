"""Fake programs, and a host that has nothing but them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.toolchain import NEEDS, programs


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; the folder of its toolchains."""
    monkeypatch.setenv("REPRO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "toolchains"


@pytest.fixture
def fake() -> Callable[..., Path]:
    """Make a shell script that tells a version, or fails like a program whose loader refuses it."""

    def make(folder: Path, name: str, version: str = "1.0", *, starts: bool = True) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        works = f'echo "{name} {version}"'
        broken = f"echo \"{name}: libc.so.6: version 'GLIBC_9.99' not found\" >&2; exit 1"
        path.write_text(f"#!/bin/sh\n{works if starts else broken}\n")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def fake_kind(fake: Callable[..., Path]) -> Callable[..., None]:
    """Make all programs that a kind of daemon needs, but those left out."""

    def make(folder: Path, kind: str, version: str = "1.0", *, without: tuple[str, ...] = ()) -> None:
        for name in NEEDS[kind]:
            if name not in without:
                fake(folder, name, version)

    return make


@pytest.fixture
def host_bin(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder on PATH, empty as yet, of a host without plugins, apt, network or Docker context."""
    assert not cache.exists()
    folder = tmp_path / "host-bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(programs, "PLUGIN_FOLDERS", ())
    for variable in ("DOCKER_CONFIG", "DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("REPRO_DEBIAN_MIRROR", "REPRO_DOCKER_MIRROR", "REPRO_BUILDKIT_MIRROR"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    return folder
