"""The cache graph of a daemon that runs, as we read it in its database and as it reads it itself."""

import hashlib
import json
import signal
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil

from harness.buildkit.cache_db import CacheGraph, Link, read_graph
from tests.system.conftest import SCENARIOS, Repro, folder_from, left_of

Above = Mapping[str, Iterable[tuple[Hashable, str]]]
"""By key, what it is made from: what a link says, and the other key."""
ROOTS = ("random:", "sha256:")


def structure(above: Above, name_of: Callable[[str], str]) -> Counter[str]:
    """Return a graph whose inner keys have no names in common with another's: each as all that it is made from."""
    known: dict[str, str] = {}

    def of(key: str) -> str:
        if key not in known:
            made_from = sorted((repr(link), of(source)) for link, source in above[key])
            known[key] = hashlib.sha256(repr((name_of(key), made_from)).encode()).hexdigest()
        return known[key]

    return Counter(map(of, above))


def ours(graph: CacheGraph) -> Counter[str]:
    """Return the part of a graph that can be reached from its roots, which is what BuildKit tells."""
    above: dict[str, list[tuple[Hashable, str]]] = {}
    waiting = [key for key in graph.links if key.startswith(ROOTS)]
    while waiting:
        key = waiting.pop()
        if key not in above:
            above[key] = []
            waiting += [link.target for link in graph.links.get(key, ())]
    for link in (link for key in above for link in graph.links.get(key, ())):
        above[link.target].append(((link.input, link.output, operation(link), link.selector), link.source))
    return structure(above, lambda key: key if key.startswith(ROOTS) else "")


def operation(link: Link) -> str:
    """Return the digest of a link as BuildKit tells it: with the output (`WalkLinksAll`)."""
    return "sha256:" + hashlib.sha256(f"{link.digest}@{link.output}".encode()).hexdigest()


def theirs(records: list[dict[str, Any]]) -> Counter[str]:
    """Return the graph of ``/debug/cache/store``."""
    above = {
        str(each["id"]): [
            ((up["input"], up["output"], up.get("digest", ""), up.get("selector", "")), str(up["target"]))
            for up in each.get("parents", ())
        ]
        for each in records
    }
    names = {str(each["id"]): each.get("digest", "") for each in records}
    random = {str(each["id"]) for each in records if each.get("random")}
    return structure(above, lambda key: names[key].replace("sha256:", "random:") if key in random else names[key])


def test_as_the_daemon_reads_it(repro: Repro) -> None:
    """What we read in the database of a daemon with kills and prunes behind it is the graph that it tells itself."""
    scenario, daemon = str(SCENARIOS / "prune-race.yaml"), folder_from("REPRO_FIXED")
    code, output = repro("run", scenario, "--daemon", daemon, "--set", "stop.iterations=12", "--keep")
    assert code == 0, output
    facts = repro.folder.read_json("run.json")["daemon"]
    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=facts["details"]["debug_socket"])) as client:
            told = client.get("http://daemon/debug/cache/store", headers={"Accept": "application/json"}).json()
        graph = read_graph(Path(facts["root"]) / "cache.db")
        assert graph.damage == ()
        assert ours(graph) == theirs(told or [])
        code, output = repro("cache", facts["address"], "--json")
        assert code == 0, output
        said = json.loads(output)
        assert said["consistent"], said["faults"]
        assert said["shape"]["keys"] == len(graph.keys)
        assert said["records"] is not None
    finally:
        psutil.Process(facts["pid"]).send_signal(signal.SIGCONT)
        repro("clean")
        assert not left_of(repro.folder.name)
