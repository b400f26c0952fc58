"""How hard the host was pressed, and what the daemon's cgroup used of its limits."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.core.files import write_whole
from harness.evidence.base import Subject
from harness.host.cgroup import ROOT

_HOST: Final = ("loadavg", "meminfo", "pressure/cpu", "pressure/memory", "pressure/io")
_CGROUP: Final = (
    *("memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.limit_in_bytes", "memory.failcnt"),  # version 1
    *("memory.oom_control", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpuacct.usage"),
    *("memory.current", "memory.peak", "memory.max", "memory.events", "cpu.max"),  # version 2
    *("cpu.pressure", "memory.pressure", "io.pressure", "cgroup.events"),
    *("memory.stat", "cpu.stat"),  # both
)
"""Kernel: cgroup-v1/memory.rst, scheduler/sched-bwc.rst, cgroup-v2.rst."""


@dataclass(frozen=True)
class HostFigures:
    """``host.txt``: the kernel's own files, each below its path."""

    name: str = "host"
    deadline: float = 4.0

    async def capture(self, daemon: Subject, folder: Path) -> None:
        """Copy what there is of them."""
        files = [Path("/proc") / name for name in _HOST]
        files += [cgroup / name for cgroup in _cgroups(daemon.facts.cgroup) for name in _CGROUP]
        shown = [f"==> {file} <==\n{file.read_text()}" for file in files if file.is_file()]
        write_whole(folder / "host.txt", "\n".join(shown))


def _cgroups(name: str | None, root: Path = ROOT) -> Iterator[Path]:
    """Yield a cgroup's folder in every hierarchy, or in the one, and those of its leaves."""
    if name is not None:
        for top in (root / name, *root.glob(f"*/{name}")):
            yield from (top, *(leaf for leaf in sorted(top.glob("*")) if leaf.is_dir()))
