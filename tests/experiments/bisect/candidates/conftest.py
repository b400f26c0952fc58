"""Throw-away git repositories, and folders of daemons that are scripts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.experiments.bisect.repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """An empty repository."""
    return Repository(tmp_path / "clone")


@pytest.fixture
def daemon() -> Callable[..., Path]:
    """Make a folder that holds a whole buildkitd of scripts."""

    def make(folder: Path, version: str = "1.0", *, starts: bool = True) -> Path:
        folder.mkdir(parents=True)
        for name in ("buildkitd", "buildctl", "runc"):
            (folder / name).write_text(f"#!/bin/sh\necho '{name} {version}'\nexit {0 if starts else 1}\n")
            (folder / name).chmod(0o755)
        return folder

    return make


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder that has nothing to do with the cache."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder
