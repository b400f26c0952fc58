"""Captures of real daemons that the command does not own, and watches beside them; and that nothing of them changes."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.system.conftest import SCENARIOS, Repro, folder_from, left_of

TOOLCHAIN = "debian:forky"
OF_BUILDKIT_ALONE = {"metrics", "flight trace", "cache graph", "record looked for"}
UNASKED = {"process", "host", "daemon log", "cache.db", "history.db", "metadata_v2.db"}
"""What is had of a daemon that does not answer."""


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An empty home of the user's own, with all that is temporary in it."""
    folder = tmp_path / "home"
    (folder / "tmp").mkdir(parents=True)
    return {"HOME": str(folder), "TMPDIR": str(folder / "tmp"), "DOCKER_CONFIG": "", "BUILDX_CONFIG": ""}


@contextmanager
def kept(repro: Repro, *words: str, code: int) -> Iterator[dict[str, Any]]:
    """Yield the facts of a daemon that a run has left running; it ends, however this does."""
    ended, output = repro("run", *words, "--keep")
    assert ended == code, output
    facts: dict[str, Any] = repro.folder.read_json("run.json")["daemon"]
    try:
        yield facts
    finally:
        psutil.Process(facts["pid"]).send_signal(signal.SIGCONT)
        repro("clean")
        assert not left_of(repro.folder.name)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Freeze a process."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def capture(repro: Repro, output: Path, spec: str, env: dict[str, str]) -> tuple[dict[str, Any], set[str]]:
    """Capture within a minute; return what was told, and which kinds were had."""
    began = time.monotonic()
    code, text = repro("capture", "--daemon", spec, "--output", str(output), "--json", env=env)
    assert code == 0, text
    assert time.monotonic() - began < 60
    told: dict[str, Any] = json.loads(text[text.index("{") :])  # behind what it says on standard error
    return told, {name for name, result in told["captured"].items() if result == "captured"}


def state(facts: dict[str, Any], home: Path) -> dict[str, Any]:
    """Return what a capture could leave behind: processes, files of the daemon's and of the user's."""
    daemon = psutil.Process(facts["pid"])
    run = Path(facts["address"].removeprefix("unix://")).parent
    processes = []
    for each in (daemon, *daemon.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # a runc of the daemon's own that has ended since
            processes.append((each.pid, each.name()))
    return {
        "processes": sorted(processes),
        "files": sorted(str(file) for top in (Path(facts["root"]), run, home) for file in top.rglob("*")),
    }


def at_rest(look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return a daemon's state once it has stayed the same: it writes the records of its last builds for some time."""
    last, since = look(), time.monotonic()
    while time.monotonic() - since < 30:
        time.sleep(1)
        if (now := look()) != last:
            last, since = now, time.monotonic()
    return last


def test_dockerd(repro: Repro, tmp_path: Path, home: dict[str, str]) -> None:
    """A dockerd is captured by its socket and its pid, and by its pid while frozen; it is as it was before."""
    with kept(repro, str(SCENARIOS / "control-clean.yaml"), "--daemon", TOOLCHAIN, code=0) as facts:
        before = at_rest(lambda: state(facts, Path(home["HOME"])))
        for spec in (facts["address"].removeprefix("unix://"), str(facts["pid"])):
            told, had = capture(repro, tmp_path / "captures", spec, home)
            assert set(told["captured"]) - had - {"goroutines, later"} == OF_BUILDKIT_ALONE, told["captured"]
            assert told["diagnosis"]["kind"] == "idle"
            about = json.loads((Path(told["folder"]) / "daemon.json").read_text())
            for key in ("kind", "version", "address", "pid", "root", "log", "cgroup"):
                expected = f"{facts['cgroup']}/daemon" if key == "cgroup" else facts[key]
                assert about["daemon"][key] == expected, key
        with stopped(facts["pid"]):
            told, had = capture(repro, tmp_path / "captures", str(facts["pid"]), home)
        assert had == UNASKED, told["captured"]
        assert told["diagnosis"]["kind"] == "frozen"
        for _ in range(30):  # a daemon's own runc may have come up in between
            after = state(facts, Path(home["HOME"]))
            changed = {key: {*after[key]} ^ {*before[key]} for key in before}
            if not any(changed.values()):
                break
            time.sleep(1)
        assert not any(changed.values()), changed
        code, output = repro("diagnose", told["folder"])
        assert code == 0
        assert output.startswith("frozen: "), output


def test_hung_buildkitd(repro: Repro, tmp_path: Path, home: dict[str, str]) -> None:
    """A buildkitd in the hang of the report, with no client left, is diagnosed as that by its pid alone."""
    toolchain = folder_from("REPRO_AFFECTED")
    with kept(repro, str(SCENARIOS / "prune-race.yaml"), "--daemon", toolchain, code=1) as facts:
        told, had = capture(repro, tmp_path / "captures", str(facts["pid"]), home)
        assert told["diagnosis"]["signature"] == "export-livelock"
        assert {"goroutines", "cpu profile", "metrics", "build records", "cache records"} | UNASKED <= had
        assert "STARTED" in (Path(told["folder"]) / "histories-running.txt").read_text()


def test_watch_beside_a_load(repro: Repro, tmp_path: Path, home: dict[str, str]) -> None:
    """A watch beside an affected buildkitd under a load that is not its own captures the hang by itself."""
    words = ("run", str(SCENARIOS / "prune-race.yaml"), "--daemon", folder_from("REPRO_AFFECTED"), "--time", "150s")
    blind = [f"detect.{key}=10m" for key in ("export_hang", "stall", "orphan")]  # the load itself must not end it
    load = repro.start(*words, *(part for setting in blind for part in ("--set", setting)))
    try:
        pid = until(lambda: (repro.folder.read_json("run.json")["daemon"] or {})["pid"])
        watch = ("--export-hang", "5s", "--every", "2s", "--once", "--output", str(tmp_path / "captures"))
        code, output = repro("watch", "--daemon", str(pid), *watch, env=home)
    finally:
        load.send_signal(signal.SIGINT)
        load.communicate(timeout=180)
    assert code == 1, output
    watching, hang, captured = output.splitlines()
    assert f"(pid {pid})" in watching
    assert "has nothing left to do, and has not returned for" in hang
    assert "(export-livelock)" in captured
    [folder] = (tmp_path / "captures").iterdir()
    assert "exporting to image" in (folder / "progress.jsonl").read_text()


def test_watch_of_a_dockerd_that_freezes(repro: Repro, tmp_path: Path, home: dict[str, str]) -> None:
    """A dockerd that falls silent under a watch is captured, and said to be frozen; that is no hang."""
    with kept(repro, str(SCENARIOS / "control-clean.yaml"), "--daemon", TOOLCHAIN, code=0) as facts:
        watch = ("--export-hang", "5s", "--every", "2s", "--once", "--output", str(tmp_path / "captures"))
        process = repro.start("watch", "--daemon", facts["address"].removeprefix("unix://"), *watch, env=home)
        assert process.stdout
        assert "watching" in process.stdout.readline()
        time.sleep(5)
        with stopped(facts["pid"]):
            output, _ = process.communicate(timeout=180)
    assert process.returncode == 125, output
    silent, captured = output.splitlines()
    assert "the daemon has not answered for" in silent
    assert "frozen: the process is stopped" in captured


def until(ask: Callable[[], int]) -> int:
    """Return an answer once there is one."""
    give_up = time.monotonic() + 60
    while True:
        try:
            return ask()
        except Exception:
            assert time.monotonic() < give_up
            time.sleep(0.2)
