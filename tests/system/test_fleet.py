"""A fleet as it is: a scheduler, workers and a client that are hosts of their own, with real daemons on each.

With REPRO_FLEET set, also what takes minutes: a host that is cut off and comes back, a client and a scheduler that die.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
import yaml

from harness.host.cache import cache_folder
from harness.store.find import runs_below
from harness.store.folder import RunFolder
from harness.toolchain.base_image import static_busybox
from tests.support.eventually import until
from tests.support.network import PORT, Node, certificates, network

pytestmark = [
    pytest.mark.skipif(not shutil.which("ip"), reason="network namespaces need `ip`"),
    pytest.mark.skipif(not shutil.which("openssl"), reason="certificates need openssl"),
    pytest.mark.timeout(600),
]
long = pytest.mark.skipif(not os.environ.get("REPRO_FLEET"), reason="takes minutes: set REPRO_FLEET")

Fleet = Callable[..., dict[str, Node]]
QUICK = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s"}


def scenario(folder: Path, seconds: int = 1, **parts: Any) -> Path:
    """Write one: builds of so long, without a network."""
    place = folder / "dockerfiles" / "waits"
    place.mkdir(parents=True, exist_ok=True)
    (place / "Dockerfile").write_text(f"FROM base\nARG N\nRUN echo $N && sleep {seconds}\n")
    file = folder / "waits.yaml"
    written = {
        "name": "waits",
        "daemon": {"kind": KIND},
        "actors": [{"build": "ci", "dockerfile": "waits", "export": "image", "args": {"N": "{iteration}"}}],
        "stop": {"iterations": 6},
        **parts,
    }
    file.write_text(yaml.safe_dump(written))
    return file


NAMED = os.environ.get("REPRO_FIXED")
TOOLCHAIN, KIND = (f"path:{NAMED}", "buildkitd") if NAMED else ("debian:trixie", "dockerd")
"""One that is sent, where the environment names it; else one that each host has."""


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Make hosts: `head` with the scheduler and the client, and workers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2])]))
        opened = []
        anyio.run(static_busybox)  # what is fetched is not what is tested

        def make(*workers: str, env: Mapping[str, str] | None = None) -> dict[str, Node]:
            made = network(tmp_path / "net", ("head", *workers), {**QUICK, **(env or {})})
            nodes = made.__enter__()
            opened.append(made)
            for name in ("base-image", "toolchains"):
                for node in nodes.values():
                    (node.folder / "cache").mkdir(exist_ok=True)
                    (node.folder / "cache" / name).symlink_to(cache_folder(name))
            return nodes

        yield make
        for each in opened:
            each.__exit__(None, None, None)
        for cache in tmp_path.glob("net/*/cache"):  # what a killed host has left its next start would give back
            words = (sys.executable, "-m", "harness", "clean")
            subprocess.run(words, env={**os.environ, "REPRO_CACHE": str(cache)}, check=False, capture_output=True)


def address(nodes: Mapping[str, Node], scheme: str = "tcp") -> str:
    """Return the scheduler's."""
    return f"{scheme}://{nodes['head'].address}:{PORT}"


def begin(nodes: Mapping[str, Node], scheme: str = "tcp") -> dict[str, subprocess.Popen[bytes]]:
    """Start the scheduler and all workers."""
    options = ("--protocol", scheme) if scheme == "tls" else ()
    started = {"head": nodes["head"].scheduler(*options)}
    until(lambda: "Scheduler at" in nodes["head"].said(0))
    for name in nodes.keys() - {"head"}:
        started[name] = nodes[name].worker(address(nodes, scheme))
    return started


def run(nodes: Mapping[str, Node], file: Path, *words: str, scheme: str = "tcp") -> subprocess.Popen[bytes]:
    """Start a run in shards on the fleet."""
    results = ("--results", str(nodes["head"].folder / "results"))
    where = ("--on", address(nodes, scheme), *(() if scheme == "tls" else ("--insecure",)))
    return nodes["head"].repro("run", str(file), "--daemon", TOOLCHAIN, "--json", *where, *results, *words)


def events(nodes: Mapping[str, Node]) -> list[dict[str, Any]]:
    """Return what the last program of the head has said to machines."""
    lines = nodes["head"].said().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def said_looks(nodes: Mapping[str, Node]) -> list[dict[str, Any]]:
    """Return the looks that count, as they were told."""
    return [each for each in events(nodes) if each["event"] == "look"]


def runs(nodes: Mapping[str, Node]) -> list[RunFolder]:
    """Return the runs that came back."""
    return [run for run in runs_below(nodes["head"].folder / "results") if run.summary()]


def looks(nodes: Mapping[str, Node]) -> int:
    """Return how many looks of series are saved."""
    files = (nodes["head"].folder / "results").glob("*/compare-*/looks.jsonl")
    return sum(file.read_text().count("\n") for file in files)


def daemons(node: Node) -> list[int]:
    """Return the pids of the daemons of a host."""
    mark = str(node.folder / "cache")
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if mark in " ".join(process.info["cmdline"] or ()) and KIND in (process.info["cmdline"] or [""])[0]
    ]


def test_a_worker_that_is_killed(fleet: Fleet, tmp_path: Path) -> None:
    """With TLS, three hosts make six runs though one is killed in the midst of its own: each run comes back, once.

    Programs were sent to each host once, and were the same; a client that no authority of theirs vouches for is told
    so; and after all of it no daemon is left on the hosts that live.
    """
    nodes = fleet("one", "two", "three", env=certificates(tmp_path / "tls"))
    started = begin(nodes, "tls")
    client = run(nodes, scenario(tmp_path, 2), "--shards", "6", "--iterations", "18", scheme="tls")
    until(lambda: all(daemons(nodes[name]) for name in ("one", "two", "three")), 100)
    os.killpg(started["two"].pid, signal.SIGKILL)
    stranger = certificates(tmp_path / "other")
    words = (sys.executable, "-m", "harness", "run", str(tmp_path / "waits.yaml"), "--on", address(nodes, "tls"))
    wrong = nodes["one"].start("env", *(f"{key}={value}" for key, value in stranger.items()), *words)
    assert wrong.wait(180) == 255
    assert "no scheduler answers" in nodes["one"].said()
    assert client.wait(300) == 0, nodes["head"].said()
    back = runs(nodes)
    assert len(back) == 6
    hosts = [folder.name.split("-")[1] for folder in back]
    assert {*hosts} <= {"one", "two", "three"}
    summaries = [folder.summary() for folder in back]
    assert sum(each.iterations for each in summaries if each) == 18
    assert len({folder.manifest().seed for folder in back}) == 6
    assert len({json.dumps(folder.manifest().toolchain.hashes) for folder in back}) == 1
    said = [str(event.get("what")) for event in events(nodes) if event["event"] == "fleet"]
    assert any("two did not make its run" in line for line in said), said
    sent = [line for line in said if " gets " in line]
    assert len(sent) == len({*sent})
    until(lambda: not any(daemons(node) for node in nodes.values()))


@long
def test_a_link_that_is_down(fleet: Fleet, tmp_path: Path) -> None:
    """A host that is cut off loses its run to another, and its worker ends by itself, with its daemons.

    Started again, as a unit of systemd does it, it makes runs again; nothing counts twice.
    """
    nodes = fleet("one", "two", "three")
    started = begin(nodes)
    client = run(nodes, scenario(tmp_path, 3), "--shards", "12", "--iterations", "36")
    until(lambda: all(daemons(nodes[name]) for name in ("one", "two", "three")), 100)
    nodes["three"].cut(off=True)
    said = nodes["head"].said
    until(lambda: "three did not make its run" in said(), 150)
    started["three"].wait(120)
    until(lambda: not daemons(nodes["three"]), 60)
    nodes["three"].cut(off=False)
    nodes["three"].worker(address(nodes))
    assert client.wait(500) == 0, said()
    back = runs(nodes)
    assert len(back) == len({folder.manifest().seed for folder in back}) == 12
    assert sum(each.iterations for folder in back if (each := folder.summary())) == 36
    assert any("-three-" in folder.name for folder in back)


@long
def test_ctrl_c_ends_all_daemons(fleet: Fleet, tmp_path: Path) -> None:
    """Ctrl-C at the client ends every daemon on every host, and says so; then 130."""
    nodes = fleet("one", "two")
    begin(nodes)
    client = run(nodes, scenario(tmp_path, 5), "--shards", "2", "--iterations", "200")
    until(lambda: all(daemons(nodes[name]) for name in ("one", "two")), 100)
    os.kill(client.pid, signal.SIGINT)
    assert client.wait(120) == 130, nodes["head"].said()
    assert not any(daemons(node) for node in nodes.values())


@long
def test_the_client_is_killed(fleet: Fleet, tmp_path: Path) -> None:
    """A client that is killed leaves no daemon anywhere; `--resume` goes on with the looks that came back."""
    nodes = fleet("one", "two")
    begin(nodes)
    words = (
        *("compare", TOOLCHAIN, TOOLCHAIN, "--scenario", str(scenario(tmp_path, 2)), "--iterations", "3"),
        *("--looks", "4", "--on", address(nodes), "--insecure", "--results", str(nodes["head"].folder / "results")),
    )
    client = nodes["head"].repro(*words)
    until(lambda: looks(nodes) >= 2, 200)
    before = {folder.name for folder in runs(nodes)}
    os.killpg(client.pid, signal.SIGKILL)
    until(lambda: not any(daemons(node) for node in nodes.values()), 120)
    again = nodes["head"].repro(*words, "--resume", "last")
    assert again.wait(300) == 0, nodes["head"].said()
    assert nodes["head"].said().count("(known)") >= 2
    assert before < {folder.name for folder in runs(nodes)}
    assert len(runs(nodes)) == 8


@long
def test_shards_whose_client_is_killed(fleet: Fleet, tmp_path: Path) -> None:
    """Shards whose client, then whose scheduler, is killed go on: each is there once, and all builds count."""
    nodes = fleet("one", "two")
    started = begin(nodes)
    file, words = scenario(tmp_path, 2), ("--shards", "6", "--iterations", "18", "--seed", "4")
    client = run(nodes, file, *words)
    until(lambda: len(runs(nodes)) >= 1, 200)
    os.killpg(client.pid, signal.SIGKILL)
    until(lambda: not any(daemons(node) for node in nodes.values()), 120)
    before = {folder.name for folder in runs(nodes)}
    second = run(nodes, file, *words, "--resume", "last")
    until(lambda: len(runs(nodes)) > len(before), 200)
    os.killpg(started["head"].pid, signal.SIGKILL)
    assert second.wait(200) == 0, nodes["head"].said()
    assert "shards were not made" in nodes["head"].said()
    until(lambda: not any(daemons(node) for node in nodes.values()), 120)
    nodes["head"].scheduler()
    for name in ("one", "two"):
        nodes[name].worker(address(nodes))
    third = run(nodes, file, *words, "--resume", "last")
    assert third.wait(300) == 0, nodes["head"].said()
    back = runs(nodes)
    assert before < {folder.name for folder in back}
    assert len(back) == len({folder.manifest().seed for folder in back}) == 6
    assert events(nodes)[-1]["iterations"] == 18


@long
def test_the_scheduler_is_killed(fleet: Fleet, tmp_path: Path) -> None:
    """Without its scheduler the command ends, says how to go on, and no daemon is left; with one again it goes on."""
    nodes = fleet("one", "two")
    started = begin(nodes)
    words = (
        *("compare", TOOLCHAIN, TOOLCHAIN, "--scenario", str(scenario(tmp_path, 2)), "--iterations", "3"),
        *("--looks", "4", "--on", address(nodes), "--insecure", "--results", str(nodes["head"].folder / "results")),
    )
    client = nodes["head"].repro(*words)
    until(lambda: looks(nodes) >= 2, 200)
    os.killpg(started["head"].pid, signal.SIGKILL)
    assert client.wait(200) == 255
    assert "go on with --resume" in nodes["head"].said()
    until(lambda: not any(daemons(node) for node in nodes.values()), 120)
    nodes["head"].scheduler()
    for name in ("one", "two"):
        nodes[name].worker(address(nodes))
    again = nodes["head"].repro(*words, "--resume", "last")
    assert again.wait(300) == 0, nodes["head"].said()
    assert len(runs(nodes)) == 8


named = pytest.mark.skipif(
    not (NAMED and os.environ.get("REPRO_AFFECTED")), reason="names no affected and fixed BuildKit"
)


@long
@named
@pytest.mark.timeout(1500)
def test_a_search(fleet: Fleet, tmp_path: Path) -> None:
    """On three hosts, one of which is killed in the midst, `bisect` names the fixed build.

    REPRO_LATER names folders of daemons that came after the fixed one, with colons between.
    """
    affected, fixed = (os.environ[name] for name in ("REPRO_AFFECTED", "REPRO_FIXED"))
    history = tmp_path / "history"
    history.mkdir()
    later = os.environ.get("REPRO_LATER", f"{fixed}:{fixed}").split(":")
    for number, where in enumerate([affected, fixed, *later], 1):
        (history / f"v{number}").symlink_to(where)
    nodes = fleet("one", "two", "three")
    started = begin(nodes)
    on = ("--on", address(nodes), "--insecure", "--results", str(nodes["head"].folder / "results"), "--json")
    search = nodes["head"].repro(
        *("bisect", "start", "merged-and-killed", "--in", f"path:{history}", "--find", "fixed", "--seed", "1", *on)
    )
    results = nodes["head"].folder / "results"
    until(lambda: any(results.rglob("summary.json")) and bool(daemons(nodes["two"])), 300)
    os.killpg(started["two"].pid, signal.SIGKILL)
    assert search.wait(900) == 0, nodes["head"].said()
    answer = events(nodes)[-1]
    assert (answer["kind"], [*answer["candidates"]]) == ("found", ["v2"]), answer
    assert answer["chance"] >= 0.95


@long
@named
@pytest.mark.timeout(1500)
def test_a_verification(fleet: Fleet) -> None:
    """On three hosts, one of which is killed as it looks at B, `verify` says FIXED; each look counts once."""
    affected, fixed = (os.environ[name] for name in ("REPRO_AFFECTED", "REPRO_FIXED"))
    nodes = fleet("one", "two", "three")
    started = begin(nodes)
    results = nodes["head"].folder / "results"
    on = ("--on", address(nodes), "--insecure", "--results", str(results), "--json")
    sides = ("--broken", f"path:{affected}", "--fixed", f"path:{fixed}", "--ratio", "1", "--seed", "1")
    verified = nodes["head"].repro("verify", "merged-and-killed", *sides, *on)
    until(lambda: any(each["side"] == "B" for each in said_looks(nodes)) and bool(daemons(nodes["two"])), 300)
    os.killpg(started["two"].pid, signal.SIGKILL)
    assert verified.wait(600) == 0, nodes["head"].said()
    counted = [(each["side"], each["number"]) for each in said_looks(nodes)]
    assert len(counted) == len({*counted}) == sum(events(nodes)[-1]["looks"].values())
    until(lambda: not any(daemons(nodes[name]) for name in ("one", "three")), 60)
