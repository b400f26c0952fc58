"""Facts of the host: what is asked of it, what is recorded, and what a kernel without a feature says."""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from harness.core.errors import InfraError, UsageError
from harness.core.files import typed
from harness.core.manifest import HostFacts
from harness.host import hostinfo
from harness.host.hostinfo import (
    DISK_FLOOR,
    MEMORY_FLOOR,
    NoDisk,
    NoOverlayfs,
    NotRoot,
    ResourceDemand,
    Unbearable,
    as_root,
    describe,
    memory_stall_seconds,
    require_bearable,
    require_private_daemons,
)
from tests.support.stub_runs import start, write_scenario

GIB = 2**30


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
    with pytest.raises(NotRoot, match="run `sudo ") as caught:
        require_private_daemons(tmp_path)
    assert isinstance(caught.value, UsageError)


def test_the_line_for_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It works from a virtual environment, in a folder with spaces, and takes along what we read of the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("REPRO_") or "proxy" in name.lower()]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("sys.argv", [".venv/bin/repro", "run", "my scenario.yaml"])
    assert as_root() == f"sudo {shlex.quote(f'{tmp_path}/.venv/bin/repro')} run 'my scenario.yaml'"
    monkeypatch.setenv("REPRO_CACHE", "/x y")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy")
    monkeypatch.setattr("sys.argv", ["/src/harness/__main__.py", "doctor"])
    assert as_root() == f"sudo --preserve-env=HTTPS_PROXY,REPRO_CACHE {sys.executable} -m harness doctor"


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
    assert typed(json.loads(json.dumps(asdict(facts))), HostFacts) == facts
    assert facts.kernel == os.uname().release
    assert facts.cores == os.cpu_count()
    assert facts.memory_bytes == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert facts.cgroup in {1, 2}
    assert all((facts.architecture, facts.disk_free_bytes, facts.filesystem, facts.python))


def test_the_file_system_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder's file system is that of the longest mount point above it, by whole names."""
    points = {"/": "ext4", str(tmp_path): "xfs", f"{tmp_path}/a": "btrfs", f"{tmp_path}/a/b": "tmpfs"}
    parts = [SimpleNamespace(mountpoint=point, fstype=kind) for point, kind in points.items()]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: parts)
    (tmp_path / "a" / "bc").mkdir(parents=True)
    assert describe(tmp_path / "a" / "bc").filesystem == "btrfs"
    assert describe(tmp_path).filesystem == "xfs"
    assert describe(Path("/")).filesystem == "ext4"


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


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that has 4 GiB of memory and 10 GiB of disk above the floors."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=MEMORY_FLOOR + 4 * GIB))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=DISK_FLOOR + 10 * GIB))


@pytest.mark.usefixtures("roomy")
@pytest.mark.parametrize(
    "burdens",
    [
        [],
        [ResourceDemand("a"), ResourceDemand("b")],
        [ResourceDemand("a", memory=4 * GIB), ResourceDemand("b", disk=10 * GIB)],
        [ResourceDemand("a", memory=GIB, disk=5 * GIB), ResourceDemand("b", memory=3 * GIB, disk=5 * GIB)],
    ],
)
def test_what_a_host_can_bear(tmp_path: Path, burdens: list[ResourceDemand]) -> None:
    """All that is free above the floors can be taken."""
    require_bearable(burdens, tmp_path)


@pytest.mark.usefixtures("roomy")
@pytest.mark.parametrize(
    ("burdens", "said"),
    [
        (
            [ResourceDemand("a", memory=4 * GIB), ResourceDemand("b", memory=1), ResourceDemand("c", disk=1)],
            "would take 4.0 GiB of this host's memory (a 4.0 GiB, b 1 B); 4.5 GiB are free, and 512.0 MiB of them must",
        ),
        (
            [ResourceDemand("a", disk=6 * GIB), ResourceDemand("b", disk=5 * GIB), ResourceDemand("c", memory=1)],
            "(a 6.0 GiB, b 5.0 GiB); 12.0 GiB are free, and 2.0 GiB of them must stay so: make it less",
        ),
    ],
    ids=["memory", "disk"],
)
def test_what_a_host_cannot_bear(tmp_path: Path, burdens: list[ResourceDemand], said: str) -> None:
    """All of it at once counts, and the user is told who takes how much, what is free, and what must stay so."""
    with pytest.raises(Unbearable) as caught:
        require_bearable(burdens, tmp_path)
    assert said in str(caught.value)
    assert isinstance(caught.value, UsageError)


WHEN = {"at": "1s", "lasting": "1s"}
ALL_MEMORY = 100 * psutil.virtual_memory().total


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("actor", "limits", "parts"),
    [
        (
            {"memory": "m", "of": "host", "hold": f"{ALL_MEMORY // GIB}GiB", "when": WHEN},
            {},
            ["this host's memory (m "],
        ),
        ({"memory": "m", "hold": "100%", "when": WHEN}, {"memory": f"{ALL_MEMORY // GIB}GiB"}, ["memory (m "]),
        ({"disk": "d", "fill": "100%", "when": WHEN}, {}, ["of the disk of ", "(d "]),
        ({"io": "i", "size": "1000TiB", "when": WHEN}, {}, ["of the disk of ", "(i 1000.0 TiB)"]),
        ({"disk": "d", "fill": "1%", "when": WHEN}, {"disk": "1000TiB"}, ["(daemon.limits.disk 1000.0 TiB)"]),
    ],
    ids=["memory-of-host", "memory-of-daemon", "disk", "io", "limits.disk"],
)
def test_a_run_that_this_host_cannot_bear(
    tmp_path: Path, actor: dict[str, Any], limits: dict[str, str], parts: list[str]
) -> None:
    """A scenario that would take more than there is exits with 129 and the figures, before anything is made of it."""
    process = start(write_scenario(tmp_path, actors=[actor], daemon={"kind": "stub", "limits": limits}))
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 129, output
    told = " ".join(output.split())
    assert all(part in told for part in ("the scenario would take ", " are free, and ", *parts)), output
    assert not (tmp_path / "results").exists()
