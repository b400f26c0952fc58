"""A small file system of its own to fill, where this host lets us mount one."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SIZE = 32 * 2**20


@contextmanager
def mounted_disk(folder: Path, size: int = SIZE) -> Iterator[Path]:
    """Make and mount an ext4 of `size` bytes below `folder`, without blocks kept for root; it goes on leaving."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    image, point = folder / "disk.img", folder / "disk"
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True)  # noqa: S607
    done = subprocess.run(["mount", "-o", "loop", image, point], capture_output=True, text=True, check=False)  # noqa: S607
    if done.returncode != 0:
        pytest.skip(f"this host does not let us mount: {done.stderr.strip()}")
    try:
        yield point
    finally:
        subprocess.run(["umount", "--lazy", point], check=True)  # noqa: S607


def fill(disk: Path, left: int) -> Path:
    """Have only so many bytes of a disk be left; return the file that takes the rest.

    Raises:
        NotADirectoryError: nothing is mounted there (any longer), so that this host's own disk would be filled.
    """
    if not disk.is_mount():
        raise NotADirectoryError(f"{disk} is no disk of its own")
    path = disk / "others"
    with path.open("wb") as others:
        end, step = 0, shutil.disk_usage(disk).free - left
        while step >= 4096:
            try:
                os.posix_fallocate(others.fileno(), end, step)
                end += step
                step = min(step, shutil.disk_usage(disk).free - left)
            except OSError:  # its own tables take room too
                step //= 2
    return path
