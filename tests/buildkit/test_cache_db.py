"""BuildKit's databases as it writes them, and as they are where they are damaged."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.buildkit.bbolt import NoDatabase
from harness.buildkit.cache_db import (
    CacheRecord,
    Link,
    NoCacheDatabase,
    beside_of,
    read_graph,
    read_pair,
    read_records,
)
from tests.buildkit.test_bbolt import REAL
from tests.support.bolt import Content, bolt

A, B = "random:" + "a" * 64, "b" * 25
RESULT = f"{'w' * 25}::{'r' * 25}"
GRAPH: Content = {
    b"_result": {
        A.encode(): {},
        B.encode(): {RESULT.encode(): json.dumps({"CreatedAt": "2026", "ID": RESULT}).encode()},
    },
    b"_links": {A.encode(): {b'{"Input":1,"Digest":"sha256:op","Selector":"sha256:s"}@' + B.encode(): b""}},
    b"_byresult": {RESULT.encode(): {B.encode(): b""}},
    b"_backlinks": {B.encode(): {A.encode(): b""}},
}
RECORDS: Content = {
    b"_index": {},
    b"_main": {
        b"r" * 25: {
            b"cache.description": b'{"value":"[1/2] COPY a /a"}',
            b"cache.createdAt": b'{"value":1795848965269361889}',
            b"cache.recordType": b'{"value":"regular"}',
            b"cache.equalMutable": b'{"value":"m"}',
            b"cache.deleted": b"",
        }
    },
}


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """A daemon's root with both databases, as buildkitd has them."""
    (tmp_path / "runc-overlayfs").mkdir()
    (tmp_path / "cache.db").write_bytes(bolt(GRAPH))
    (tmp_path / "runc-overlayfs" / "metadata_v2.db").write_bytes(bolt(RECORDS))
    return tmp_path


def test_graph(both: Path) -> None:
    """Keys, results, links with their operation, and both indexes are read, and what the file itself says."""
    graph = read_graph(both / "cache.db")
    assert graph.results == {A: {}, B: {RESULT: "2026"}}
    assert graph.edges == {Link(A, B, input=1, digest="sha256:op", selector="sha256:s")}
    assert graph.by_result == {RESULT: {B}}
    assert graph.backlinks == {B: {A}}
    assert graph.keys == {A, B}
    assert (graph.damage, graph.transaction, graph.page_size) == ((), 7, 4096)


def test_records_name_keys(both: Path) -> None:
    """A record is found beside the graph, and names the keys whose results it holds."""
    pair = read_pair(both / "cache.db")
    assert pair.records == {
        "r" * 25: CacheRecord(
            "r" * 25, "[1/2] COPY a /a", kind="regular", created=1795848965.269361889, snapshot="", mutable="m"
        )
    }
    assert pair.name_of(B) == "[1/2] COPY a /a"
    assert pair.name_of(A) == "a client's own files"


def test_records_of_another_worker_are_not_taken(both: Path) -> None:
    """Where a root has records of several workers, or a file is a mere copy by another name, none are taken."""
    assert beside_of(both / "other.db") is None
    (both / "runc-native").mkdir()
    (both / "runc-native" / "metadata_v2.db").write_bytes(bolt(RECORDS))
    assert beside_of(both / "cache.db") is None
    assert read_pair(both / "cache.db").records is None


def test_real_graph() -> None:
    """The graph of a daemon that hung is read whole: every link has its backlink, every result its index."""
    graph = read_graph(REAL)
    assert (len(graph.keys), len(graph.edges), len(graph.by_result)) == (60, 50, 46)
    assert {(link.source, link.target) for link in graph.edges} == {
        (source, target) for target, sources in graph.backlinks.items() for source in sources
    }
    assert {(key, result) for key, results in graph.results.items() for result in results} == {
        (key, result) for result, keys in graph.by_result.items() for key in keys
    }
    assert graph.damage == ()


@pytest.mark.parametrize(("read", "content"), [(read_graph, RECORDS), (read_records, GRAPH)])
def test_another_database(tmp_path: Path, read: Callable[[Path], object], content: Content) -> None:
    """A database of something else is called that, with what it has."""
    (tmp_path / "x.db").write_bytes(bolt(content))
    with pytest.raises(NoDatabase, match=r"it has _index, _main|it has _backlinks, _byresult"):
        read(tmp_path / "x.db")


def test_nothing_at_all(tmp_path: Path) -> None:
    """A database without a bucket is no cache either."""
    (tmp_path / "x.db").write_bytes(bolt({}))
    with pytest.raises(NoCacheDatabase, match="it has nothing"):
        read_graph(tmp_path / "x.db")


def test_records_of_a_daemon_that_has_built_nothing(tmp_path: Path) -> None:
    """A daemon that has just come up has no records, and no bucket for them."""
    (tmp_path / "x.db").write_bytes(bolt({}))
    assert read_records(tmp_path / "x.db") == {}


def test_values_of_another_kind(tmp_path: Path) -> None:
    """What is not as BuildKit writes it is told, and the rest is read."""
    odd: Content = {
        b"_result": {B.encode(): {RESULT.encode(): b"[1]"}},
        b"_links": {A.encode(): {b"no target": b"", b"{]@" + B.encode(): b"", b'{"Input":"x"}@\xff': b""}},
        b"_byresult": {},
    }
    (tmp_path / "x.db").write_bytes(bolt(odd))
    graph = read_graph(tmp_path / "x.db")
    assert {link.target for link in graph.edges} == {B, "\\xff"}
    assert graph.results == {B: {RESULT: ""}}
    said = "\n".join(graph.damage)
    assert "there is no _backlinks" in said
    assert "has no target: 'no target'" in said
    assert "'[1]'" in said
