"""A small file system of its own to fill, where this host lets us mount one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SIZE = 32 * 2**20


@contextmanager
def mounted_disk(folder: Path) -> Iterator[Path]:
    """Make and mount an ext4 of `SIZE` bytes below `folder`, without blocks kept for root; it goes on leaving."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    image, point = folder / "disk.img", folder / "disk"
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(SIZE)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True)  # noqa: S607
    done = subprocess.run(["mount", "-o", "loop", image, point], capture_output=True, text=True, check=False)  # noqa: S607
    if done.returncode != 0:
        pytest.skip(f"this host does not let us mount: {done.stderr.strip()}")
    try:
        yield point
    finally:
        subprocess.run(["umount", "--lazy", point], check=True)  # noqa: S607
