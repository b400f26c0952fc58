"""Cgroups: what is written where in both versions, and what this host's kernel makes of it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.host import cgroup as cgroup_module
from harness.host.cgroup import Cgroup, CgroupThrottled, CgroupUnavailable, version
from tests.actors.stages import daemons_cgroup

Process = Callable[..., subprocess.Popen[str]]

MIB = 2**20


@pytest.fixture
def v1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root of version 1 with plain files in the kernel's place."""
    for controller in ("memory", "cpu"):
        (tmp_path / controller).mkdir()
    monkeypatch.setattr(cgroup_module, "ROOT", tmp_path)
    return tmp_path


@pytest.fixture
def v2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root of version 2 with plain files in the kernel's place."""
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    monkeypatch.setattr(cgroup_module, "ROOT", tmp_path)
    return tmp_path


def written(root: Path) -> dict[str, str]:
    """Return what stands in each file below a root."""
    return {str(file.relative_to(root)): file.read_text().strip() for file in root.rglob("*") if file.is_file()}


def test_version_1(v1: Path) -> None:
    """Each controller has a hierarchy of its own, with limits at the top and processes in a leaf."""
    group = Cgroup("g")
    group.limit(memory=64 * MIB, cpus=1.5)
    group.adopt(7)
    group.adopt(8, leaf="pressure")
    assert written(v1) == {
        "memory/g/memory.limit_in_bytes": str(64 * MIB),
        "memory/g/memory.memsw.limit_in_bytes": str(64 * MIB),
        "cpu/g/cpu.cfs_quota_us": "150000",
        "memory/g/daemon/cgroup.procs": "7",
        "cpu/g/daemon/cgroup.procs": "7",
        "memory/g/pressure/cgroup.procs": "8",
        "cpu/g/pressure/cgroup.procs": "8",
    }
    assert group.memory_limit() == 64 * MIB


def test_version_2(v2: Path) -> None:
    """All controllers share one hierarchy, and are handed down to a cgroup before it is limited."""
    group = Cgroup("g")
    group.limit(memory=64 * MIB, cpus=1.5)
    group.adopt(7)
    assert written(v2) == {
        "cgroup.controllers": "cpu memory pids",
        "cgroup.subtree_control": "+memory +cpu",
        "g/cgroup.subtree_control": "+memory +cpu",
        "g/memory.max": str(64 * MIB),
        "g/memory.swap.max": "0",
        "g/cpu.max": "150000 100000",
        "g/daemon/cgroup.procs": "7",
    }
    assert group.memory_limit() == 64 * MIB


@pytest.mark.parametrize("before", ["max 100000\n", "200000 50000\n"])
def test_throttled_in_version_2(v2: Path, before: str) -> None:
    """A throttle gives back what stood there, period and all."""
    group = Cgroup("g")
    group.leaf("daemon")
    file = v2 / "g" / "cpu.max"
    file.write_text(before)
    with group.throttled(0.25):
        assert file.read_text() == "25000 100000"
    assert file.read_text() == before


@pytest.mark.parametrize("before", ["-1\n", "200000\n"])
def test_throttled_in_version_1(v1: Path, before: str) -> None:
    """A throttle gives back what stood there, also when its block fails; a second one at a time is refused."""
    group = Cgroup("g")
    group.leaf("daemon")
    file = v1 / "cpu" / "g" / "cpu.cfs_quota_us"
    file.write_text(before)
    with suppress(RuntimeError), group.throttled(0.25):
        with pytest.raises(CgroupThrottled, match="g is throttled by another already"), group.throttled(0.5):
            pass
        assert file.read_text() == "25000"
        raise RuntimeError
    assert file.read_text() == before
    with group.throttled(0.5):
        assert file.read_text() == "50000"


def test_a_hierarchy_that_is_not_there(v1: Path) -> None:
    """Where the kernel has no such hierarchy, none is made of plain folders, and the error has the path."""
    (v1 / "cpu").rmdir()
    with pytest.raises(CgroupUnavailable, match=rf"{v1}/cpu/g: No such file or directory; limits need"):
        Cgroup("g").limit(cpus=1.0)
    assert not (v1 / "cpu").exists()


@pytest.fixture
def real() -> Iterator[Cgroup]:
    """A cgroup of this host's kernel."""
    with daemons_cgroup(memory=64 * MIB, cpus=0.5) as group:
        yield group


def test_the_kernel_limits(real: Cgroup, process: Process) -> None:
    """A process in a leaf, and what it starts there, is held to the limit of memory, and killed at it."""
    assert real.memory_limit() == 64 * MIB
    taker = (sys.executable, "-Ic", "b'x' * 2**28")
    wait = "until grep -q /daemon /proc/self/cgroup; do sleep 0.01; done"
    shell = process("sh", "-c", f'{wait}; "$@"; echo $?', "sh", *taker)
    real.adopt(shell.pid)
    assert shell.stdout is not None
    assert shell.stdout.readline().strip() == "137"


def test_the_kernel_throttles(real: Cgroup) -> None:
    """A throttle is what the kernel says too, and so is what it gives back."""

    def told() -> str:
        name = "cpu/{}/cpu.cfs_quota_us" if version() == 1 else "{}/cpu.max"
        return (cgroup_module.ROOT / name.format(real.name)).read_text().split()[0]

    assert told() == "50000"
    with real.throttled(0.1):
        assert told() == "10000"
    assert told() == "50000"


def test_who_joins_by_itself(real: Cgroup, process: Process) -> None:
    """A process that writes 0 to a leaf's files is in it."""
    files = [str(file) for file in real.leaf("pressure")]
    joiner = process("sh", "-c", 'for file; do echo 0 > "$file"; done; cat /proc/self/cgroup', "sh", *files)
    assert joiner.stdout is not None
    assert f"/{real.name}/pressure\n" in joiner.stdout.read()
