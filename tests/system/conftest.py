"""Real daemons: started by `repro` itself, from Debian's packages or from the folders that the environment names."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

import psutil
import pytest

from harness.core.errors import HarnessError
from harness.core.records import Action, Iteration, Summary
from harness.host.cache import cache_folder
from harness.scenario.load import PROJECT
from harness.store.find import find_run
from harness.store.folder import RunFolder
from tests.support.given_back import still_in_use

SCENARIOS = PROJECT / "scenarios"
INTERRUPTED = 130
AFTERMATH = {
    "same_build_hangs": "yes",
    "new_argument_hangs": "yes",
    "other_dockerfile_hangs": "no",
    "records_stay_running": "yes",
    "stops_on_sigterm": "no",
    "restart_heals": "yes",
    "same_build_works_after": "yes",
}
"""What an affected BuildKit does after the hang of the report."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder, and skip it, saying so, where private daemons cannot run."""
    here = Path(__file__).parent
    reasons = []
    if os.geteuid() != 0:
        reasons.append("private daemons need root")
    if "overlay" not in Path("/proc/filesystems").read_text().split():
        reasons.append("this kernel has no overlayfs")
    if not shutil.which("apt-get"):
        reasons.append("Debian's packages need apt")
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.system)
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(600))
            if reasons:
                item.add_marker(pytest.mark.skip(reason="; ".join(reasons)))


@pytest.fixture(scope="session", autouse=True)
def own_cache() -> Iterator[None]:
    """Keep each worker's runs apart from those of others, which its `repro clean` would end; share what is fetched."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        yield
        return
    own = cache_folder("tests") / worker
    own.mkdir(exist_ok=True)
    for name in ("toolchains", "base-image", "registry"):
        shared = cache_folder(name)
        if not (own / name).is_symlink():
            (own / name).symlink_to(shared)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_CACHE", str(own))
        yield
        assert not still_in_use()


def folder_from(variable: str) -> str:
    """Return the toolchain in the folder that an environment variable names, or skip."""
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f"{variable} is not set: a folder with the buildkitd and buildctl that it names")
    return f"path:{folder}"


def left_of(name: str) -> list[str]:
    """Return what the run `name` has left on this host."""
    processes = [
        f"process {process.pid} {process.info['cmdline'][:1]}"
        for process in psutil.process_iter(["cmdline"])
        if name in " ".join(process.info["cmdline"] or ())
    ]
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if name in line]
    cgroups = [str(path) for depth in ("", "*/") for path in Path("/sys/fs/cgroup").glob(f"{depth}repro-{name}")]
    folders = [cache_folder("daemons") / name, cache_folder("staging") / name, Path(f"/run/repro-{name}")]
    folders += cache_folder("registries").glob(f"{name}*")
    files = [str(path) for path in folders if path.exists()]
    ledgers = [str(path) for path in cache_folder("ledgers").glob(f"{name}*")]
    return processes + mounts + cgroups + files + ledgers


@dataclass
class Repro:
    """The command line, with results of its own."""

    results: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *words: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start `repro` with words; what has results gets the folder."""
        argv = [sys.executable, "-m", "harness", *words]
        if words[0] in {"run", "demo", "show", "bisect", "compare", "verify"}:
            argv += ["--results", str(self.results)]
        process = subprocess.Popen(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "COLUMNS": "200", **(env or {})},
        )
        self.started.append(process)
        return process

    def __call__(self, *words: str, env: dict[str, str] | None = None, seconds: float = 560) -> tuple[int, str]:
        """Run `repro` to its end, which it has to come to in time; return its exit code and what it printed."""
        process = self.start(*words, env=env)
        output, _ = process.communicate(timeout=seconds)
        return process.returncode, output

    @property
    def folder(self) -> RunFolder:
        """The newest run's folder."""
        return find_run("last", self.results)

    @property
    def summary(self) -> Summary:
        """The newest run's summary."""
        summary = self.folder.summary()
        assert summary is not None
        return summary


def watched(process: subprocess.Popen[str], look: Callable[[], object]) -> str:
    """Look again and again until a run has ended; return what it printed."""
    while process.poll() is None:
        look()
        time.sleep(0.02)
    return process.communicate()[0]


def ended_once(process: subprocess.Popen[str], done: Callable[[], bool], look: Callable[[], object] = bool) -> str:
    """Interrupt a run once something was seen, however long its host takes to come to that; return what it printed."""
    seen = False

    def interrupt() -> None:
        nonlocal seen
        look()
        with suppress(HarnessError):
            if not seen and (seen := done()):
                process.send_signal(signal.SIGINT)

    output = watched(process, interrupt)
    assert seen, output
    assert process.returncode == INTERRUPTED, output
    return output


def came_through_after(repro: Repro, *actors: str) -> bool:
    """Whether a build that began after the first act of each actor has succeeded."""
    ends: dict[str, float] = {}
    for act in repro.folder.read(Action):
        ends.setdefault(act.actor, act.ended)
    began = max(ends.get(actor, inf) for actor in actors)
    return any(build.outcome == "ok" and build.started > began for build in repro.folder.read(Iteration))


@pytest.fixture
def repro(tmp_path: Path) -> Iterator[Repro]:
    """The command line, with results of its own; what a test that failed has left running ends with it."""
    repro = Repro(tmp_path / "results")
    yield repro
    for process in repro.started:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=180)
