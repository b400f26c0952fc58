"""A search in a throw-away repository whose daemon is a real dockerd in a wrapper: some of its commits freeze it."""

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from harness.host.cache import cache_folder
from tests.experiments.bisect.repository import Repository
from tests.system.conftest import Repro

DEBIAN = "debian:trixie"
BUILD = dedent("""
    # Puts the programs of a real daemon into $REPRO_OUT, its dockerd behind the wrapper of this commit.
    set -e
    for program in "$REAL"/*; do
        ln -s "$program" "$REPRO_OUT/"
    done
    rm "$REPRO_OUT/dockerd"
    sed "s|REAL|$REAL|" daemon.sh > "$REPRO_OUT/dockerd"
    chmod +x "$REPRO_OUT/dockerd"
""")
WRAPPER = dedent("""\
    #!/bin/sh
    # {message}
    freezes={freezes}
    case "$1" in --config-file)
        socket=$(sed -n 's|.*"unix://\\([^"]*\\)".*|\\1|p' "$2" | head -n 1)
        if [ $freezes -gt 0 ]; then
            (
                waited=0
                until REAL/docker --host "unix://$socket" version || [ $waited -ge 300 ]; do
                    sleep 0.1
                    waited=$((waited + 1))
                done
                sleep $freezes
                kill -STOP $$
            ) > /dev/null 2>&1 &
        fi
    esac
    exec REAL/dockerd "$@"
""")


@pytest.fixture(scope="module")
def real() -> Path:
    """The folder of Debian's programs."""
    argv = [sys.executable, "-m", "harness", "toolchain", "add", DEBIAN]
    subprocess.run(argv, check=True, capture_output=True, timeout=560)
    return cache_folder("toolchains") / DEBIAN.replace(":", "-") / "bin"


@pytest.fixture
def history(tmp_path: Path) -> Repository:
    """Nine commits: the seventh brings the freeze; the fourth and the sixth do not build."""
    repository = Repository(tmp_path / "clone")
    for number in range(1, 10):
        freezes = 2 if number >= 7 else 0
        message = f"wrapper: change {number}"
        build = "exit 3" if number in {4, 6} else BUILD
        (repository.folder / "build.sh").write_text(build)
        (repository.folder / "daemon.sh").write_text(WRAPPER.format(message=message, freezes=freezes))
        repository.git("add", "--all")
        repository.git("commit", "--quiet", "--message", message)
        repository.git("tag", f"v0.{number}")
    return repository


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    """Small builds, one after the other; a daemon that stands still in any of them is what is hunted."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\nARG N\nLABEL n=$N\n")
    file = tmp_path / "freezes.yaml"
    content = {
        "name": "freezes",
        "actors": [{"build": "ci", "dockerfile": str(tmp_path / "one"), "args": {"N": "{iteration}"}}],
        "stop": {"iterations": 30, "time": "30s", "on": ["hang", "stall"]},
        "detect": {"export_hang": "8s", "stall": "12s"},
        "on_hang": {"probe": False},
    }
    file.write_text(yaml.safe_dump(content))
    return file


@pytest.mark.timeout(600)
def test_a_search_among_commits(
    repro: Repro, real: Path, history: Repository, scenario: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit that freezes the daemon is named, alone or with the one before it that does not build.

    The clone is as it was.
    """
    monkeypatch.setenv("REAL", str(real))
    before = history.state()
    where = ("--in", f"git:{history.folder}@v0.1..v0.9", "--build-command", "sh build.sh")
    how = ("--any-hang", "--calibrate", "2", "--seed", "1", "--json")
    code, output = repro("bisect", "start", str(scenario), *where, *how, seconds=580)
    assert code in {0, 125}, output
    events = [json.loads(line) for line in output.splitlines()]
    answer = events[-1]
    names = [history.git("rev-parse", "--short=12", f"v0.{number}") for number in range(1, 10)]
    assert (answer["event"], answer["kind"], code) in {("answer", "found", 0), ("answer", "narrowed", 125)}
    assert {*answer["candidates"]} == {names[6], *([names[5]] if code else [])}
    assert answer["chance"] >= 0.95
    assert history.state() == before
    code, told = repro("bisect", "show")
    assert code == 0, told
    assert "wrapper: change 7" in told


@pytest.mark.timeout(600)
def test_repro_run_under_git_bisect_run(
    repro: Repro, real: Path, history: Repository, scenario: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its exit codes are what `git bisect run` understands: bad, good, and what cannot be tested is skipped."""
    monkeypatch.setenv("REAL", str(real))
    script = tmp_path / "try.sh"
    script.write_text(
        dedent(f"""\
            #!/bin/sh
            export REPRO_OUT=$(mktemp -d {tmp_path}/out.XXXX)
            sh build.sh || exit 125
            exec {sys.executable} -m harness run {scenario} --daemon path:$REPRO_OUT --results {repro.results}
        """)
    )
    history.git("bisect", "start", "v0.9", "v0.1")
    argv = ["git", "-C", str(history.folder), "bisect", "run", "sh", str(script)]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=580)
    assert "only 'skip'ped commits left to test" in ended.stdout, ended.stdout + ended.stderr
    suspects = ended.stdout.partition("The first bad commit could be any of:")[2].split()
    assert {history.git("rev-parse", "v0.6"), history.git("rev-parse", "v0.7")} <= {*suspects}
    assert history.git("rev-parse", "v0.5") not in suspects
    assert history.git("rev-parse", "v0.8") not in suspects
