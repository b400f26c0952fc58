"""Facts of the host: what is asked of it, what is recorded, and what a kernel without a feature says."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from harness import hostinfo
from harness.errors import InfraError, UsageError
from harness.hostinfo import (
    DISK_FLOOR,
    NoDisk,
    NoOverlayfs,
    NotRoot,
    describe,
    memory_stall_seconds,
    require_private_daemons,
)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Have a file of the kernel's read as if it had this text."""

    def say(file: str, text: str) -> None:
        copy = tmp_path / "kernel" / Path(file).name
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(text)
        monkeypatch.setattr(hostinfo, "Path", lambda path: copy if str(path) == file else Path(path))

    return say


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch, kernel: Callable[[str, str], None]) -> None:
    """A host that can run private daemons."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=DISK_FLOOR))
    kernel("/proc/filesystems", "nodev\tsysfs\n\text4\nnodev\toverlay\n")


@pytest.mark.usefixtures("able")
def test_a_host_that_can(tmp_path: Path) -> None:
    """Root, overlayfs and room are enough, and the floor itself is room."""
    require_private_daemons(tmp_path)


@pytest.mark.usefixtures("able")
def test_who_is_not_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root it is the user's error, and says what to run."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NotRoot, match="run `sudo repro") as caught:
        require_private_daemons(tmp_path)
    assert isinstance(caught.value, UsageError)


@pytest.mark.usefixtures("able")
@pytest.mark.parametrize("text", ["nodev\tsysfs\n\text4\n", "nodev\tfuse.overlayfs\n", "nodev\toverlayer\n"])
def test_a_kernel_without_overlayfs(tmp_path: Path, kernel: Callable[[str, str], None], text: str) -> None:
    """Only a file system of exactly that name is overlayfs; without it, it is the host's fault and no finding."""
    kernel("/proc/filesystems", text)
    with pytest.raises(NoOverlayfs, match="modprobe overlay") as caught:
        require_private_daemons(tmp_path)
    assert isinstance(caught.value, InfraError)


@pytest.mark.usefixtures("able")
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte less than the floor is too little; the message has the folder, both sizes and what to set."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=DISK_FLOOR - 1))
    with pytest.raises(
        NoDisk, match=rf"{tmp_path} has 2\.0 GiB free and a daemon's root needs 2\.0 GiB: .*REPRO_CACHE"
    ):
        require_private_daemons(tmp_path)


def test_what_is_recorded(tmp_path: Path) -> None:
    """What run.json records is this host's, complete, and plain JSON."""
    facts = describe(tmp_path)
    assert json.loads(json.dumps(facts)) == facts
    assert facts["kernel"] == os.uname().release
    assert facts["cores"] == os.cpu_count()
    assert facts["memory_bytes"] == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert facts["cgroup"] in {1, 2}
    assert all(facts[key] for key in ("architecture", "disk_free_bytes", "filesystem", "python"))


def test_the_file_system_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder's file system is that of the longest mount point above it, by whole names."""
    points = {"/": "ext4", str(tmp_path): "xfs", f"{tmp_path}/a": "btrfs", f"{tmp_path}/a/b": "tmpfs"}
    parts = [SimpleNamespace(mountpoint=point, fstype=kind) for point, kind in points.items()]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: parts)
    (tmp_path / "a" / "bc").mkdir(parents=True)
    assert describe(tmp_path / "a" / "bc")["filesystem"] == "btrfs"
    assert describe(tmp_path)["filesystem"] == "xfs"
    assert describe(Path("/"))["filesystem"] == "ext4"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (
            "some avg10=0.00 avg60=0.00 avg300=0.00 total=9000000\n"
            "full avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\n",
            2.5,
        ),
        ("some avg10=0.00 avg60=0.00 avg300=0.00 total=9000000\n", None),
        ("", None),
    ],
    ids=["both", "only-some", "empty"],
)
def test_memory_stall(kernel: Callable[[str, str], None], text: str, seconds: float | None) -> None:
    """Only the time in which every task waited counts, in seconds; a kernel that does not tell is not guessed at."""
    kernel("/proc/pressure/memory", text)
    assert memory_stall_seconds() == seconds


def test_a_kernel_without_psi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no PSI there is no figure, and no error."""
    monkeypatch.setattr(hostinfo, "Path", lambda path: tmp_path / path.lstrip("/"))
    assert memory_stall_seconds() is None
