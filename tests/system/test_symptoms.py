"""What is no hang, on real daemons: deaths, requests without an answer, failures; and loads that listen for them."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.buildkit.bbolt import BoltBucket, read_whole
from harness.buildkit.cache_graph import FaultKind
from harness.core.errors import HarnessError
from harness.core.outcome import Outcome, Symptom
from harness.core.records import Action, Finding, Iteration
from tests.support.bolt import bolt
from tests.support.eventually import has_ended, reached
from tests.system.conftest import SCENARIOS, Repro, folder_from, left_of


@pytest.fixture
def scenario(tmp_path: Path) -> Callable[..., str]:
    """Write a scenario for a private buildkitd: short builds, and what else is given."""

    def write(*actors: Mapping[str, Any], **parts: Any) -> str:
        build = {"build": "ci", "dockerfile": "trivial", "args": {"N": "{iteration}"}}
        file = tmp_path / "symptom.yaml"
        file.write_text(yaml.safe_dump({"name": "symptom", "actors": [build, *actors], **parts}))
        return str(file)

    return write


def succeeded(repro: Repro) -> bool:
    """Whether the newest run has had a build that succeeded."""
    try:
        return any(build.outcome is Outcome.OK for build in repro.folder.read(Iteration))
    except HarnessError:
        return False


def started(repro: Repro) -> bool:
    """Whether the newest run's daemon has come up."""
    try:
        return bool(repro.folder.read_json("run.json")["daemon"])
    except HarnessError:
        return False


@contextmanager
def while_down(process: subprocess.Popen[str], pid: int) -> Iterator[None]:
    """Hold a run from when it has ended its daemon: it starts none again before that is over, however long it takes."""
    reached(process, lambda: has_ended(pid))
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


DEATHS = {
    signal.SIGSEGV: ("crashed", "SIGSEGV: segmentation violation"),
    signal.SIGABRT: ("crashed", "SIGABRT: abort"),
    signal.SIGKILL: ("death", "buildkitd ended by itself with signal 9"),
}


@pytest.mark.parametrize("number", DEATHS, ids=lambda number: number.name)
def test_death(repro: Repro, scenario: Callable[..., str], number: signal.Signals) -> None:
    """A buildkitd that dies is found, with its panic out of its log where it has one; nothing of it is left."""
    written = scenario(stop={"time": "2m", "on": ["death"]})
    process = repro.start("run", written, "--daemon", folder_from("REPRO_FIXED"))
    reached(process, lambda: succeeded(repro))
    os.kill(repro.folder.read_json("run.json")["daemon"]["pid"], number)
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 1, output
    kind, because = DEATHS[number]
    assert repro.summary.diagnosis is not None
    assert (repro.summary.diagnosis.kind, repro.summary.diagnosis.because) == (kind, because)
    assert repro.summary.diagnosis.signature
    (finding,) = repro.folder.read(Finding)
    log = (repro.folder.path / finding.place / "daemon.log").read_text()
    assert ("goroutine " in log) == (kind == "crashed")
    assert not repro.summary.outcomes.get("failed"), "what a daemon's death cuts off has not failed"
    assert not left_of(repro.folder.name)


def test_death_at_a_restart(repro: Repro, scenario: Callable[..., str]) -> None:
    """A daemon that does not start again, as a database of its root was damaged while it was down, is found."""
    crash = {"restart": "crash", "gently": False, "when": {"at": "4s", "lasting": "6s"}}
    written = scenario(crash, stop={"time": "2m", "on": ["death"]})
    process = repro.start("run", written, "--daemon", folder_from("REPRO_FIXED"))
    reached(process, lambda: started(repro))
    daemon = repro.folder.read_json("run.json")["daemon"]
    with while_down(process, daemon["pid"]):
        (Path(daemon["root"]) / "runc-overlayfs" / "containerdmeta.db").write_bytes(b"no database" * 4096)
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 1, output
    (finding,) = repro.folder.read(Finding)
    assert (finding.kind, finding.hunted) == (Symptom.DEATH, True)
    assert "did not start" in finding.detail
    assert repro.summary.diagnosis is not None
    assert repro.summary.diagnosis.because.endswith("ended with status 1: buildkitd: invalid database")
    assert not repro.summary.outcomes.get("failed"), "what a daemon's death cuts off has not failed"
    assert not left_of(repro.folder.name)


def _whole(bucket: BoltBucket) -> dict[bytes, Any]:
    return {key: _whole(value) if isinstance(value, BoltBucket) else value for key, value in bucket.items()}


def _without_index(graph: dict[bytes, Any]) -> None:
    graph[b"_byresult"] = {}


def _without_backlinks(graph: dict[bytes, Any]) -> None:
    graph[b"_backlinks"] = {}


def _to_nowhere(graph: dict[bytes, Any]) -> None:
    """Take away each key that others are made into, and that is made into none."""
    for target in [key for key in graph[b"_backlinks"] if not graph[b"_links"].get(key)]:
        graph[b"_links"].pop(target, None)
        for result in graph[b"_result"].pop(target, {}):
            del graph[b"_byresult"][result][target]


DAMAGE = {
    FaultKind.UNINDEXED: _without_index,
    FaultKind.NO_BACKLINK: _without_backlinks,
    FaultKind.NOWHERE: _to_nowhere,
}


@pytest.mark.parametrize("kind", DAMAGE, ids=lambda kind: kind.name.lower())
def test_inconsistency(repro: Repro, scenario: Callable[..., str], kind: FaultKind) -> None:
    """A cache graph that was damaged while the daemon was down, and that it then serves, is found at the next audit."""
    restart = {"restart": "crash", "gently": False, "when": {"every": 9, "lasting": "4s"}}  # eight builds are in it
    written = scenario(restart, audit={"every": 10}, stop={"time": "2m", "on": ["inconsistency"]})
    process = repro.start("run", written, "--daemon", folder_from("REPRO_FIXED"))
    reached(process, lambda: started(repro))
    daemon = repro.folder.read_json("run.json")["daemon"]
    with while_down(process, daemon["pid"]):
        database = Path(daemon["root"]) / "cache.db"
        graph = read_whole(database, lambda read: _whole(read.root))
        DAMAGE[kind](graph)
        database.write_bytes(bolt(graph))
    output, _ = process.communicate(timeout=150)
    assert process.returncode == 1, output
    (finding,) = repro.folder.read(Finding)
    assert (finding.kind, finding.hunted) == (Symptom.INCONSISTENCY, True)
    assert finding.detail.startswith(f"{kind}: ")
    assert (repro.folder.path / finding.place / "inconsistency.txt").is_file()
    assert not left_of(repro.folder.name)


def test_request_without_an_answer(repro: Repro, scenario: Callable[..., str]) -> None:
    """Under a daemon that stands still a prune and a list do not come back: found, with dumps once it goes on."""
    often = {"interval": "100ms"}
    written = scenario(
        {"prune": "cut", "all": True, "when": often},
        {"freeze": "still", "when": {"at": "3s", "lasting": "8s"}},
        stop={"time": "2m", "on": ["act"]},
        detect={"act": "2s"},
    )
    code, output = repro("run", written, "--daemon", folder_from("REPRO_FIXED"))
    assert code == 1, output
    finding = repro.folder.read(Finding)[0]
    assert (finding.kind, finding.actor, finding.detail) == (Symptom.ACT, "cut", "prune")
    assert repro.summary.diagnosis is not None
    assert repro.summary.diagnosis.kind == "frozen"
    assert (repro.folder.path / finding.place / "process.json").is_file()
    assert not left_of(repro.folder.name)


def test_failure(repro: Repro, scenario: Callable[..., str]) -> None:
    """On a disk that is full, the error that is looked for is found; those of other kinds are only counted."""
    written = scenario(
        {"disk": "full", "fill": "100%", "when": {"at": "2s", "lasting": "30s"}},
        daemon={"limits": {"disk": "256MiB"}},
        stop={"time": "1m", "on": ["failure"]},
        detect={"failure": ["no space left on device"]},
    )
    code, output = repro("run", written, "--daemon", folder_from("REPRO_FIXED"))
    assert code == 1, output
    finding = repro.folder.read(Finding)[-1]
    assert (finding.kind, finding.hunted) == (Symptom.FAILURE, True)
    assert "no space left on device" in finding.detail
    counted = [each for each in repro.summary.failures if "no space left on device" in each.text]
    assert counted
    assert counted[0].rate.hangs >= 1
    assert "1000" not in counted[0].text


def test_late_failure(repro: Repro) -> None:
    """Where the daemon can keep no record of a build whose result was exported, that is a failure after the export."""
    scenario = str(SCENARIOS / "full-at-export.yaml")
    code, output = repro("run", scenario, "--daemon", folder_from("REPRO_FIXED"), "--iterations", "20")
    assert code == 1, output
    finding = repro.folder.read(Finding)[-1]
    assert (finding.kind, finding.hunted) == (Outcome.LATE_FAILURE, True)
    assert "no space left on device" in finding.detail
    [build] = [build for build in repro.folder.read(Iteration) if build.number == finding.iteration]
    assert build.exported is not None
    assert not left_of(repro.folder.name)


KEPT = """
FROM base
ARG N
RUN --mount=type=cache,target=/kept test -s /kept/n || echo "${N}" > /kept/n; cp /kept/n /n
"""


@pytest.mark.parametrize("export", ["load", "image", ["local", "tar"], "push"], ids=str)
def test_wrong_content(repro: Repro, tmp_path: Path, export: str | list[str]) -> None:
    """A step that gives out what another build left in its cache is found, however the result is exported."""
    build = {"build": "ci", "dockerfile_inline": KEPT, "args": {"N": "{iteration}"}, "export": export}
    actors = [{**build, "verify": {"/n": "{iteration}"}}]
    stop = {"iterations": 4, "time": "40s", "on": ["content"]}
    file = tmp_path / "content.yaml"
    file.write_text(yaml.safe_dump({"name": "content", "actors": actors, "stop": stop}))
    code, output = repro("run", str(file), "--daemon", folder_from("REPRO_FIXED"))
    assert code == 1, output
    (finding,) = repro.folder.read(Finding)
    assert (finding.kind, finding.iteration) == (Symptom.CONTENT, 2)
    assert finding.detail == "/n should hold '2', and the result has '1'"
    assert repro.summary.outcomes == {"ok": 2}


def test_a_cache_that_lies(repro: Repro, tmp_path: Path) -> None:
    """A step that comes out of the cache, whose file there holds what another build had written, is found."""
    build = {"build": "ci", "dockerfile": "trivial", "args": {"N": "{iteration % 2}"}, "export": "tar", "verify": True}
    stop = {"iterations": 2000, "time": "60s", "on": ["content"]}
    file = tmp_path / "lies.yaml"
    file.write_text(yaml.safe_dump({"name": "lies", "actors": [build], "stop": stop}))
    process = repro.start("run", str(file), "--daemon", folder_from("REPRO_FIXED"))
    reached(process, lambda: succeeded(repro))
    root = Path(repro.folder.read_json("run.json")["daemon"]["root"])
    while process.poll() is None:
        for written in root.glob("runc-overlayfs/snapshots/snapshots/*/fs/n"):
            with suppress(FileNotFoundError), written.open("r+") as step_file:
                step_file.write("1\n")  # over what is there: a build never reads an empty file
        time.sleep(0.1)
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 1, output
    (finding,) = repro.folder.read(Finding)
    assert finding.kind is Symptom.CONTENT
    assert finding.detail == "/n should hold '0', and the result has '1'"
    assert not left_of(repro.folder.name)


def test_unexpected_cache_miss(repro: Repro, scenario: Callable[..., str]) -> None:
    """A step whose result somebody else has removed from the cache runs again, and that is found."""
    written = scenario(stop={"time": "90s", "on": ["miss"]})
    process = repro.start("run", written, "--daemon", folder_from("REPRO_FIXED"), "--set", "actors.ci.args.N=1")
    reached(process, lambda: succeeded(repro))
    daemon = repro.folder.read_json("run.json")["daemon"]
    buildctl = str(Path(os.environ["REPRO_FIXED"]) / "buildctl")
    while process.poll() is None:  # what a build holds at that time is not removed
        subprocess.run([buildctl, "--addr", daemon["address"], "prune", "--all"], capture_output=True, check=False)
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 1, output
    finding = repro.folder.read(Finding)[0]
    assert finding.kind is Symptom.MISS
    assert finding.detail.startswith("ran again, though nothing had changed and nothing had been removed: [")
    assert not left_of(repro.folder.name)


@pytest.mark.parametrize("variable", ["REPRO_AFFECTED", "REPRO_FIXED"])
def test_dead_collector(repro: Repro, variable: str) -> None:
    """BuildKit before v0.31 keeps clients until it has given up their traces, which is found and named."""
    words = ("--iterations", "4", "--time", "60s", "--set", "on_hang.probe=false")
    code, output = repro("run", str(SCENARIOS / "dead-collector.yaml"), "--daemon", folder_from(variable), *words)
    minor = int(str(repro.summary.daemon["version"]).split(".")[1])
    found = {finding.kind for finding in repro.folder.read(Finding)}
    assert (code, found) == ((1, {Outcome.HANG}) if minor < 31 else (0, set())), output
    if found:
        assert repro.summary.diagnosis is not None
        assert repro.summary.diagnosis.signature == "traces-forwarded"


def test_full_disk_leaves_a_verdict(repro: Repro) -> None:
    """Builds fail while the disk is full, yet more succeed: else no healthy daemon would come out clean."""
    words = ("--time", "30s", "--set", "detect.export_hang=10s")
    code, output = repro("run", str(SCENARIOS / "disk-full.yaml"), "--daemon", folder_from("REPRO_FIXED"), *words)
    assert code == 0, output
    assert repro.summary.outcomes["failed"] < repro.summary.outcomes["ok"], output
    assert any(act.succeeded for act in repro.folder.read(Action)), output


LISTENS: Mapping[str, tuple[tuple[str, ...], set[str]]] = {
    "prune-cancelled": (("--set", "actors.cut.when.interval=200ms"), {"cut", "df"}),
    "export-local": (
        ("--set", "actors.folder.generate.layer=64KiB", "--set", "actors.tar.generate.layer=64KiB"),
        set(),
    ),
    "many-clients": ((), set()),
    "short-steps": (("--set", "actors.ci.generate.steps=5"), set()),
    "one-tag": ((), set()),
    "every-input": ((), set()),
    "two-platforms": (("--set", "actors.cleanup.when.interval=200ms"), {"cleanup"}),
    "heap": (("--set", "actors.ci.generate.steps=2", "--set", "audit.every=4"), set()),
    "abandoned-builds": ((), {"gone", "ended"}),
    "s3-cache": (("--set", "actors.cleanup.when.interval=200ms"), {"cleanup"}),
    "slow-collector": (
        (
            *("--iterations", "20"),
            *("--set", "actors.slow.when={interval: 1500ms, lasting: 600ms}"),
            *("--set", "actors.refusing.when={follows: slow, after: 700ms, lasting: 700ms}"),
        ),
        {"slow", "refusing"},
    ),
    "control-silent": (
        tuple(word for name in ("df", "builds", "workers") for word in ("--set", f"actors.{name}.when.interval=200ms")),
        {"df", "builds", "workers"},
    ),
}


@pytest.mark.parametrize("name", LISTENS)
def test_shipped(repro: Repro, name: str) -> None:
    """What listens for such a symptom loads a healthy daemon, its acts have effect, and it finds nothing."""
    options, actors = LISTENS[name]
    ends = ("--iterations", "8", "--time", "40s")
    code, output = repro(
        "run", str(SCENARIOS / f"{name}.yaml"), "--daemon", folder_from("REPRO_FIXED"), *ends, *options
    )
    assert code == 0, output
    assert repro.folder.read(Finding) == []
    assert repro.summary.outcomes.get("ok", 0) >= 4, output
    acted = {act.actor for act in repro.folder.read(Action) if act.succeeded}
    assert acted == actors, output
