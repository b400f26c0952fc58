"""BuildKit's cache database: the solver's graph in ``cache.db``, and what ``metadata_v2.db`` says of its results.

``cache.db`` (``solver/bboltcachestorage/storage.go``) has four buckets. By the id of a cache key, ``_result`` has the
results that it leads to (key ``<worker>::<ref>``, value ``{"CreatedAt": …, "ID": …}``), and ``_links`` the keys that
are made from it (key ``{"Input": …, "Output": …, "Digest": …, "Selector": …}@<id>``, no value). ``_byresult`` is the
index of the first by result, ``_backlinks`` that of the second by target. An id is ``random:<hash>`` of a client's own
files in one session, ``sha256:<hash>`` of another source, and 25 letters and digits of what is made from others.

``metadata_v2.db`` (``cache/metadata/metadata.go``) has in ``_main``, by ref, a bucket of fields: JSON with a ``value``.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.buildkit.bbolt import BoltBucket, BoltDatabase, NoDatabase, read_whole

RESULTS, LINKS, BY_RESULT, BACKLINKS = b"_result", b"_links", b"_byresult", b"_backlinks"
_OF_RECORDS: Final = frozenset({b"_main", b"_index", b"_external"})
"""Each is made when it is first needed."""
_BUCKETS: Final = (RESULTS, LINKS, BY_RESULT, BACKLINKS)


class NoCacheDatabase(NoDatabase):
    """A bbolt database that is not the solver's."""

    def __init__(self, path: Path, has: Iterable[bytes]) -> None:
        names = ", ".join(name.decode(errors="replace") for name in has) or "nothing"
        self.args = (f"{path} is no cache.db of BuildKit: it has {names}, and none of _result, _links",)


@dataclass(frozen=True, order=True)
class Link:
    """A step from one cache key to one that is made from it."""

    source: str
    target: str
    input: int = 0
    output: int = 0
    digest: str = ""
    """Of the operation."""
    selector: str = ""


@dataclass(frozen=True)
class CacheGraph:
    """The solver's graph, as the four buckets have it."""

    results: Mapping[str, Mapping[str, str]]
    """By cache key, its results with the time of each; a key may have a bucket with none."""
    links: Mapping[str, tuple[Link, ...]]
    by_result: Mapping[str, frozenset[str]]
    backlinks: Mapping[str, frozenset[str]]
    damage: tuple[str, ...] = ()
    """What could not be read, in sentences; the rest was."""
    transaction: int = 0
    """The number of the last one that was written."""
    size: int = 0
    """Of the file, in bytes."""
    pages: int = 0
    free_pages: int = 0
    page_size: int = 0

    @property
    def keys(self) -> frozenset[str]:
        """Every cache key that any bucket names."""
        targets = {link.target for links in self.links.values() for link in links}
        return frozenset(self.results.keys() | self.links.keys() | self.backlinks.keys() | targets)

    @property
    def edges(self) -> frozenset[Link]:
        """Every link."""
        return frozenset(link for links in self.links.values() for link in links)


@dataclass(frozen=True)
class CacheRecord:
    """A record of the cache, as ``metadata_v2.db`` has it."""

    ref: str
    description: str = ""
    """Such as ``mount / from exec /bin/sh -c …``, or ``local source for context``."""
    kind: str = ""
    """Such as ``regular``, ``source.local``."""
    created: float | None = None
    """Seconds since 1970."""
    snapshot: str = ""
    mutable: str = ""
    """The record that this one was created from; the two share their content until one of them is written to."""


@dataclass(frozen=True)
class Pair:
    """Both databases at one time; without the second nothing is known of what a result is."""

    graph: CacheGraph
    records: Mapping[str, CacheRecord] | None = None

    def name_of(self, key: str) -> str:
        """Return what a person calls a cache key: its results' descriptions, or where it comes from."""
        refs = [result.rpartition("::")[2] for result in self.graph.results.get(key, ())]
        descriptions = [(self.records or {})[ref].description for ref in refs if ref in (self.records or {})]
        if named := [each for each in dict.fromkeys(descriptions) if each]:
            return "; ".join(named)
        return "a client's own files" if key.startswith("random:") else ""


def read_graph(path: Path) -> CacheGraph:
    """Return the graph in a ``cache.db``, of one transaction, also where it is written to meanwhile.

    Raises:
        NoDatabase, Torn, CaptureError: see `bbolt.read_whole`.
        NoCacheDatabase: it is a bbolt database of something else.
    """
    return read_whole(path, _graph)


def read_records(path: Path) -> dict[str, CacheRecord]:
    """Return the cache records in a ``metadata_v2.db``, by their refs.

    Raises:
        NoDatabase, Torn, CaptureError: see `bbolt.read_whole`.
    """
    return read_whole(path, _records)


def read_pair(path: Path) -> Pair:
    """Return the graph in a ``cache.db``, and the records beside it where a ``metadata_v2.db`` can be found.

    Raises:
        NoDatabase, NoCacheDatabase, Torn, CaptureError: see `read_graph`.
    """
    graph = read_graph(path)
    beside = beside_of(path)
    return Pair(graph, read_records(beside) if beside else None)


def beside_of(path: Path) -> Path | None:
    """Return the ``metadata_v2.db`` of a ``cache.db``: beside it, or in a worker's folder; None where there is none, or
    several.
    """
    if path.name != "cache.db":
        return None
    found = sorted({*path.parent.glob("metadata_v2.db"), *path.parent.glob("*/metadata_v2.db")})
    return found[0] if len(found) == 1 else None


def _graph(database: BoltDatabase) -> CacheGraph:
    top = dict(database.root.buckets())
    if RESULTS not in top and LINKS not in top and not database.damage:
        raise NoCacheDatabase(database.path, database.root.keys())
    results, links, by_result, backlinks = (top.get(name) for name in _BUCKETS)
    if missing := [name.decode() for name in _BUCKETS if name not in top]:
        database.note(f"there is no {', '.join(missing)}")
    found = CacheGraph(
        results={key: _results_of(bucket) for key, bucket in _inner(results)},
        links={key: tuple(_links_of(key, bucket)) for key, bucket in _inner(links)},
        by_result={key: _keys_of(bucket) for key, bucket in _inner(by_result)},
        backlinks={key: _keys_of(bucket) for key, bucket in _inner(backlinks)},
    )
    free = len(database.free_pages())
    meta = database.meta
    return CacheGraph(
        **{name: getattr(found, name) for name in ("results", "links", "by_result", "backlinks")},
        damage=tuple(database.damage),
        transaction=meta.transaction,
        size=database.size,
        pages=meta.pages,
        free_pages=free,
        page_size=meta.page_size,
    )


def _inner(bucket: BoltBucket | None) -> Iterator[tuple[str, BoltBucket]]:
    for key, inner in bucket.buckets() if bucket else ():
        yield _text(key), inner


def _results_of(bucket: BoltBucket) -> dict[str, str]:
    return {_text(key): str(_json(bucket.database, value).get("CreatedAt", "")) for key, value in bucket.values()}


def _links_of(source: str, bucket: BoltBucket) -> Iterator[Link]:
    for key, _ in bucket.values():
        written, found, target = key.rpartition(b"@")
        if not found:
            bucket.database.note(f"a link of {source} has no target: {_text(key)[:80]!r}")
            continue
        link = _json(bucket.database, written)
        yield Link(
            source,
            _text(target),
            input=_int(link.get("Input")),
            output=_int(link.get("Output")),
            digest=str(link.get("Digest") or ""),
            selector=str(link.get("Selector") or ""),
        )


def _keys_of(bucket: BoltBucket) -> frozenset[str]:
    return frozenset(_text(key) for key in bucket.keys())  # noqa: SIM118 — a bucket is no dict


def _records(database: BoltDatabase) -> dict[str, CacheRecord]:
    top = dict(database.root.buckets())
    if top.keys() - _OF_RECORDS and not database.damage:
        raise NoDatabase(database.path, f"of BuildKit's records: it has {', '.join(sorted(map(_text, top)))}")
    return {ref: _record(ref, bucket) for ref, bucket in _inner(top.get(b"_main"))}


def _record(ref: str, bucket: BoltBucket) -> CacheRecord:
    values = {_text(key): _json(bucket.database, value).get("value") for key, value in bucket.values() if value}
    created = values.get("cache.createdAt")
    return CacheRecord(
        ref,
        description=str(values.get("cache.description") or ""),
        kind=str(values.get("cache.recordType") or ""),
        created=created / 1e9 if isinstance(created, int) else None,
        snapshot=str(values.get("cache.snapshot") or ""),
        mutable=str(values.get("cache.equalMutable") or ""),
    )


def _json(database: BoltDatabase, text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        database.note(f"a value is not as BuildKit writes it: {_text(text)[:80]!r}")
        return {}
    return value


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0


def _text(data: bytes) -> str:
    return data.decode(errors="backslashreplace")
