"""Disturbances of real daemons: each does what it says, is healed, and a crash in the middle of it leaves nothing."""

import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from harness.core.errors import HarnessError
from harness.core.records import Action, Iteration
from harness.host.proc import Identity
from tests.system.conftest import Repro, came_through_after, ended_once, left_of, watched

CGROUPS = Path("/sys/fs/cgroup")
BACKING = "block/loop*/loop/backing_file"
TOOLCHAIN = "debian:forky"
MIB = 2**20


@pytest.fixture
def scenario(tmp_path: Path) -> Callable[..., str]:
    """Write a scenario: one build actor, `ci`, and others beside it."""

    def write(
        *actors: Mapping[str, Any], dockerfile: str = "trivial", build: Mapping[str, Any] | None = None, **parts: Any
    ) -> str:
        build = {"build": "ci", "dockerfile": dockerfile, "args": {"N": "{iteration}"}, **(build or {})}
        detect = {"export_hang": "30s", "stall": "1m"}
        whole = {"name": "disturbed", "actors": [build, *actors], "stop": {"time": "4m"}, "detect": detect, **parts}
        file = tmp_path / "disturbed.yaml"
        file.write_text(yaml.safe_dump(whole))
        return str(file)

    return write


def cgroups(repro: Repro) -> list[Path]:
    """Return the newest run's cgroups, one in each hierarchy; none before it has a folder."""
    with suppress(HarnessError):
        name = f"repro-{repro.folder.name}"
        return [CGROUPS / name, *(top / name for top in CGROUPS.iterdir())]
    return []


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return all that a running `repro` has started."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def stopped(process: subprocess.Popen[str]) -> set[str]:
    """Return the names of those of its processes that are in state T."""
    names = set()
    for member in family(process):
        with suppress(psutil.NoSuchProcess):
            if member.status() == psutil.STATUS_STOPPED:
                names.add(member.name())
    return names


def acts(repro: Repro) -> dict[str, Action]:
    """Return the newest run's acts, by actor; each of them acted once."""
    actions = repro.folder.read(Action)
    assert len({action.actor for action in actions}) == len(actions)
    assert all(action.succeeded for action in actions), actions
    return {action.actor: action for action in actions}


def test_memory_and_quota(repro: Repro, scenario: Callable[..., str]) -> None:
    """While they last memory is held in the daemon's cgroup, and its CPU is throttled; builds go on, and both end."""
    held: set[int] = set()
    quotas: set[str] = set()

    def look() -> None:
        for group in cgroups(repro):
            for seen in (group / "pressure/memory.usage_in_bytes", group / "pressure/memory.current"):
                with suppress(OSError):
                    held.add(int(seen.read_text()))
            for seen in (group / "cpu.cfs_quota_us", group / "cpu.max"):
                with suppress(OSError):
                    quotas.add(seen.read_text().split()[0])

    written = scenario(
        {"memory": "hold", "hold": "50%", "when": {"at": "1s", "lasting": "12s"}},
        {"cpu": "throttle", "quota": 0.7, "when": {"at": "2s", "lasting": "12s"}},
        daemon={"limits": {"memory": "600MiB", "cpus": 1.5}},
    )
    process = repro.start("run", written, "--daemon", TOOLCHAIN)
    output = ended_once(process, lambda: came_through_after(repro, "hold", "throttle"), look)
    assert acts(repro)["hold"].detail == "held 300.0 MiB", output
    assert acts(repro)["throttle"].detail == "throttled to 0.7 cores"
    assert 300 * MIB <= max(held) < 320 * MIB
    assert quotas >= {"150000", "70000"}
    assert not left_of(repro.folder.name)


def test_times(repro: Repro, scenario: Callable[..., str]) -> None:
    """A client is killed its time after its build began to export; what acts at a rate acts at its multiples."""
    written = scenario(
        {"du": "rate", "when": {"every": "500ms"}},
        dockerfile="merged",
        stop={"iterations": 2},
        build={
            "files": {"big": "50MB"},
            "args": {"N": "{iteration}", "SECONDS": "0"},
            "kill": {"every": 1, "after": {"exporting": "100ms"}},
        },
    )
    code, output = repro("run", written, "--daemon", TOOLCHAIN)
    builds = repro.folder.read(Iteration)
    assert [build.outcome for build in builds] == ["timed_out", "timed_out"], output
    late = [build.killed - build.exporting - 0.1 for build in builds if build.killed and build.exporting]
    assert len(late) == 2
    assert all(0 <= each < 6 for each in late), late  # at once, but for a host that stands still
    dues = [action.due for action in repro.folder.read(Action)]
    assert dues
    assert [2 * due for due in dues] == pytest.approx([round(2 * due) for due in dues], abs=1e-3)
    assert code == 125, "no build came to its end"


def test_full_disk(repro: Repro, scenario: Callable[..., str]) -> None:
    """While the disk is full builds fail for that reason, and before and after it they do not."""
    written = scenario(
        {"disk": "full", "fill": "100%", "when": {"at": "15s", "lasting": "20s"}},
        daemon={"limits": {"disk": "512MiB"}},
    )
    process = repro.start("run", written, "--daemon", TOOLCHAIN)
    output = ended_once(process, lambda: came_through_after(repro, "full"))
    full = acts(repro)["full"]
    assert full.acted is not None
    builds = [build for build in repro.folder.read(Iteration) if build.exited is not None]
    within = [build for build in builds if full.acted < build.started and (build.exited or 0) < full.ended]
    assert within, output
    assert {build.outcome for build in within} == {"failed"}
    reasons = ("no space left on device", "parent snapshot")  # the second of what the first has left undone
    assert all(any(reason in build.error for reason in reasons) for build in within), output
    assert any(reasons[0] in build.error for build in within), output
    before = [build for build in builds if (build.exited or 0) < full.started]
    after = [build for build in builds if build.started > full.ended]
    assert all(any(build.outcome == "ok" for build in some) for some in (before, after)), output
    assert not any("no space left on device" in build.error for build in before + after), output
    assert not left_of(repro.folder.name)


def test_freezes(repro: Repro, scenario: Callable[..., str]) -> None:
    """What is frozen is in state T while it lasts, and the build that it was frozen under comes through."""
    targets = {"containerd": "0s", "client": "9s", "runc": "18s"}  # of the thirty seconds that the step takes
    freezes = [
        {"freeze": target, "target": target, "when": {"step": "RUN sleep", "of": "ci", "after": after, "lasting": "6s"}}
        for target, after in targets.items()
    ]
    seen: set[str] = set()
    build = {"files": {"big": "1MB"}, "args": {"N": "{iteration}", "SECONDS": "30"}}
    written = scenario(*freezes, dockerfile="merged", build=build, stop={"iterations": 1})
    process = repro.start("run", written, "--daemon", TOOLCHAIN)
    output = watched(process, lambda: seen.update(stopped(process)))
    assert acts(repro).keys() == targets.keys(), output
    assert seen >= {"containerd", "runc", "docker"}
    assert [build.outcome for build in repro.folder.read(Iteration)] == ["ok"], output
    assert not left_of(repro.folder.name)


SOON = {"interval": "200ms", "lasting": "1m"}
KINDS: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, str]]] = {
    "prune": (TOOLCHAIN, {"prune": "x", "all": True, "when": {"interval": "0s"}}, {}),
    "freeze-daemon": (TOOLCHAIN, {"freeze": "x", "when": SOON}, {}),
    "freeze-containerd": (TOOLCHAIN, {"freeze": "x", "target": "containerd", "when": SOON}, {}),
    "freeze-client": (TOOLCHAIN, {"freeze": "x", "target": "client", "when": SOON}, {}),
    "freeze-runc": (TOOLCHAIN, {"freeze": "x", "target": "runc", "when": SOON}, {}),
    "restart": (TOOLCHAIN, {"restart": "x", "gently": False, "when": SOON}, {}),
    "limits": (TOOLCHAIN, {"prune": "x", "when": {"interval": "0s"}}, {"memory": "1GiB", "disk": "512MiB"}),
    "memory": ("stub", {"memory": "x", "hold": "50%", "when": SOON}, {"memory": "128MiB"}),
    "memory-of-host": ("stub", {"memory": "x", "hold": "64MiB", "of": "host", "when": SOON}, {}),
    "threads": ("stub", {"cpu": "x", "threads": 2, "when": SOON}, {}),
    "threads-of-daemon": ("stub", {"cpu": "x", "threads": 2, "of": "daemon", "when": SOON}, {}),
    "quota": ("stub", {"cpu": "x", "quota": 0.5, "when": SOON}, {}),
    "io": ("stub", {"io": "x", "threads": 2, "when": SOON}, {}),
    "io-on-limits.disk": ("stub", {"io": "x", "threads": 2, "when": SOON}, {"disk": "256MiB"}),
    "disk": ("stub", {"disk": "x", "fill": "100%", "when": SOON}, {"disk": "128MiB"}),
}
"""The daemon, the disturbance, and the daemon's limits."""


def in_the_middle(repro: Repro, kind: str, process: subprocess.Popen[str]) -> bool:
    """Whether a disturbance of a kind is seen to be going on."""
    assert process.poll() is None
    if kind.startswith("freeze"):
        return bool(stopped(process))
    if kind == "quota":
        return any((group / "throttled").exists() for group in cgroups(repro))
    try:
        daemon = repro.folder.read_json("run.json")["daemon"]
    except HarnessError:
        return False
    if kind == "restart":
        return bool(daemon) and not psutil.pid_exists(daemon["pid"])
    words = []
    for member in family(process):
        with suppress(psutil.NoSuchProcess):
            words += member.cmdline()
    return ("prune" if kind in {"prune", "limits"} else "-I") in words


@pytest.mark.parametrize("kind", KINDS)
def test_crash_in_the_middle(
    repro: Repro, scenario: Callable[..., str], eventually: Callable[[Callable[[], bool]], bool], kind: str
) -> None:
    """After SIGKILL in the middle of it, and `repro clean`, nothing of the run is left, down to its loop device."""
    toolchain, disturbance, limits = KINDS[kind]
    stub = toolchain == "stub"
    daemon = {"limits": limits, **({"kind": "stub", "config": {"default": "stall"}} if stub else {})}
    written = scenario(disturbance, dockerfile="sleep", daemon=daemon)
    process = repro.start("run", written, *(() if stub else ("--daemon", toolchain)))
    started = []
    try:
        assert eventually(lambda: in_the_middle(repro, kind, process))
        for member in family(process):
            with suppress(ProcessLookupError):
                started.append(Identity.of(member.pid))
    finally:
        process.kill()
        process.communicate()
    name = repro.folder.name
    assert left_of(name)
    code, output = repro("clean")
    assert code == 0, output
    assert left_of(name) == []
    assert eventually(lambda: not any(member.alive() for member in started))
    assert eventually(lambda: not any(name in file.read_text() for file in Path("/sys").glob(BACKING)))
