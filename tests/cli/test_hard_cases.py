"""Hosts that are not as ours: each case is made in namespaces of its own, and a run of the real command line meets it.

The daemon is the stub, which a host like these treats no differently; what only real daemons meet is in `system/`.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.stub_runs import last_run, start, write_scenario

pytestmark = pytest.mark.usefixtures("cache")

_HAS_NAMESPACES: Final = (
    subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, check=False).returncode == 0  # noqa: S607
)
in_namespaces = pytest.mark.skipif(not _HAS_NAMESPACES, reason="makes namespaces: needs root and the right to it")
NOBODY: Final = 65534


def repro(
    *words: str, first: str = "", env: Mapping[str, str] | None = None, options: tuple[str, ...] = (), **more: Any
) -> subprocess.CompletedProcess[str]:
    """Run `repro` in a mount namespace and, with ``--net``, without a network, once a shell has done `first` there."""
    command = [sys.executable, "-m", "harness", *words]
    if first or options:
        command = ["unshare", "--mount", *options, "sh", "-ec", f'{first}\nexec "$@"', "sh", *command]
    environment = {**os.environ, "COLUMNS": "200", **(env or {})}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=180, env=environment, **more)


def stubbed(tmp_path: Path, *words: str, clients: Mapping[str, str] | None = None, **how: Any) -> Any:
    """Run a scenario of the stub's to its end."""
    scenario = write_scenario(tmp_path, clients=clients)
    return repro("run", str(scenario), "--results", str(tmp_path / "results"), "--no-report", *words, **how)


@in_namespaces
def test_read_only_results(tmp_path: Path) -> None:
    """A folder for results that cannot be written is one sentence, with the option that names another."""
    (tmp_path / "results").mkdir()
    ended = stubbed(tmp_path, first=f"mount -t tmpfs -o ro none {shlex.quote(str(tmp_path))}/results")
    assert ended.returncode == 255, ended.stderr
    assert re.search(r"^repro: .*/results/stubbed/\S+: Read-only file system; .* --results$", ended.stderr, re.M)
    assert "Traceback" not in ended.stderr


@in_namespaces
def test_a_full_disk(tmp_path: Path) -> None:
    """A disk that fills up as a run writes to it ends the run in time, with a verdict that says so."""
    (tmp_path / "results").mkdir()
    full = f"mount -t tmpfs -o size=1400k none {shlex.quote(str(tmp_path))}/results"
    ended = stubbed(tmp_path, "--iterations", "4000", "--anyway", first=full, clients={"5": "hang"})
    assert ended.returncode == 255, ended.stderr
    assert "Traceback" not in ended.stderr
    assert re.search(r"INCONCLUSIVE .* left, so the run ended before its disk is full", ended.stdout)


@pytest.mark.parametrize("name", ["mit Leerzeichen", "Прогон № 1 – ü", "-x; $(touch owned) 'q\" \\"])
def test_paths_with_anything(tmp_path: Path, name: str) -> None:
    """Spaces, letters of any script, and what a shell would read: results go where they are to, and are found there."""
    here = tmp_path / name
    here.mkdir()
    ended = stubbed(here, clients={"2": "hang"}, cwd=here)
    assert ended.returncode == 1, ended.stderr
    run = last_run(here / "stubbed.yaml").path
    shown = repro("show", "last", "--results", str(here / "results"))
    assert str(run) in shown.stdout
    packed = repro("bundle", str(run), cwd=here)
    assert packed.returncode == 0, packed.stderr
    assert {file.suffix for file in here.glob("stubbed-*")} == {".tgz", ".md"}
    assert not [*tmp_path.rglob("owned")]


@in_namespaces
def test_no_network(tmp_path: Path, cache: Path) -> None:
    """Programs that are here need no network; of those that are not is said what cannot be fetched, and what to do."""
    assert stubbed(tmp_path, options=("--net",)).returncode == 0
    lost = repro("toolchain", "add", "buildkit:v0.25.1", options=("--net",), env={"PATH": os.environ["PATH"]})
    assert lost.returncode == 255, lost.stderr
    said = lost.stderr.strip().splitlines()[-1]
    assert said.startswith("repro: cannot fetch https://github.com/moby/buildkit/releases/")
    assert "check the network, or name a mirror in REPRO_BUILDKIT_MIRROR" in said
    assert not [*cache.glob("toolchains/*/*/buildkitd")]


def test_a_proxy(tmp_path: Path) -> None:
    """A proxy is asked for what is fetched, and for nothing of a run, which is all on the loopback."""
    dead = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    assert stubbed(tmp_path, env=dead).returncode == 0
    asked = repro("toolchain", "add", "buildkit:v0.25.1", env=dead)
    assert asked.returncode == 255, asked.stderr
    assert "check the network" in asked.stderr
    assert "(by the proxy of $HTTPS_PROXY)" in asked.stderr


def test_two_runs_at_once(tmp_path: Path) -> None:
    """Two runs into one folder keep to themselves, and `repro clean` beside them leaves both alone."""
    scenario = write_scenario(tmp_path, clients={"3": "slow"})
    runs = [start(scenario, "--no-report", "--seed", str(seed)) for seed in (1, 2)]
    cleaned = repro("clean")
    outputs = [run.communicate(timeout=180)[0] for run in runs]
    assert cleaned.returncode == 0, cleaned.stderr
    assert [run.returncode for run in runs] == [0, 0], outputs
    found = sorted((tmp_path / "results" / "stubbed").iterdir())
    assert sorted(json.loads((each / "summary.json").read_text())["seed"] for each in found) == [1, 2]


@in_namespaces
@pytest.mark.parametrize(
    "first",
    ["mount -t tmpfs none /proc/pressure", "mount -t tmpfs -o ro none /sys/fs/cgroup"],
    ids=["no PSI", "no cgroups"],
)
def test_a_host_like_wsl(tmp_path: Path, first: str) -> None:
    """Without PSI, or with no cgroups to make, a run goes on; what that takes away, `doctor` says (tests/run)."""
    if "pressure" in first and not Path("/proc/pressure").exists():
        pytest.skip("this kernel has no PSI to take away")
    ended = stubbed(tmp_path, first=first)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("columns", ["20", "1"])
def test_a_narrow_terminal(tmp_path: Path, columns: str) -> None:
    """On a terminal of 20 columns everything is still said: the verdict, the folder, and the words of help."""
    command = [sys.executable, "-m", "harness", "run", str(write_scenario(tmp_path, clients={"2": "hang"}))]
    command += ["--results", str(tmp_path / "results"), "--no-report"]
    script = ["script", "-qec", f"stty cols {columns} rows 24; {shlex.join(command)}", "/dev/null"]
    environment = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "LINES"}}
    ended = subprocess.run(
        script, capture_output=True, text=True, check=False, timeout=180, env={**environment, "TERM": "xterm"}
    )
    assert ended.returncode == 1, ended.stdout
    assert "Traceback" not in ended.stdout
    assert "HANG  export hang at iteration 2" in ended.stdout
    assert str(last_run(tmp_path / "stubbed.yaml").path) in ended.stdout
    assert repro("run", "-h", env={"COLUMNS": columns, "TERMINAL_WIDTH": columns}).returncode == 0


@in_namespaces
def test_not_root() -> None:
    """Who is not root is told the line that works: sudo, the program by its whole path, and the same words."""
    own = Path(tempfile.mkdtemp())
    os.chown(own, NOBODY, NOBODY)
    words = ("run", "prune-race", "--daemon", "path:/bin", "--results", "/nowhere/of mine")
    venv = Path(sys.executable).with_name("repro")
    command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", str(venv), *words]
    environment = {**os.environ, "REPRO_CACHE": str(own / "cache"), "HOME": str(own), "TMPDIR": str(own)}
    environment.pop("SUDO_UID", None)
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180, env=environment, cwd="/")
    shutil.rmtree(own)
    if "Permission denied" in ended.stderr and "repro:" not in ended.stderr:
        pytest.skip("this checkout is not to be read by others")
    assert ended.returncode == 129, ended.stderr
    line = rf"`sudo --preserve-env=\S*REPRO_CACHE\S* {venv} {' '.join(words[:-1])} '/nowhere/of mine'`"
    assert re.search(line, ended.stderr), ended.stderr
