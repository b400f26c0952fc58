"""BuildKit's debug log: merges of edges, snapshots made for a build's files, and what removed them.

Lines are logrus's text (``time="2026-11-28T06:56:07Z" level=debug msg="merging edges" dest_vertex_digest="sha256:…"``),
the same in a buildkitd's log and in a dockerd's, whose times are not whole seconds. Lines are in the order of what they
tell.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

_FIELD: Final = re.compile(r'([A-Za-z_.]+)=("(?:[^"\\]|\\.)*"|\S*)')
_ESCAPE: Final = re.compile(r"\\(.)")
_LOCAL: Final = re.compile(r"(new|reusing) ref for local: ([a-z0-9]{25})")
_WORDS: Final = ("merging edges", "ref for local: ", "remove snapshot")


@dataclass(frozen=True)
class Merge:
    """Two builds came to the same step by different vertexes: the edge of one was merged into the other's
    (``scheduler.mergeTo``), which has taken over what the first depends on.
    """

    line: int
    at: float
    """Seconds since 1970, as are all times here."""
    source: str
    """The digest of the vertex that was merged away."""
    target: str
    name: str


@dataclass(frozen=True)
class LocalFiles:
    """A client's files were asked for, into a new snapshot or into one that an earlier build had left."""

    line: int
    at: float
    snapshot: str
    reused: bool
    step: str
    trace: str
    """Of whose client it was; empty where the log does not say."""


@dataclass(frozen=True)
class Removal:
    """A snapshot was removed, by a client's prune or, without a trace, by the daemon's own GC."""

    line: int
    at: float
    snapshot: str
    trace: str


Event = Merge | LocalFiles | Removal


@dataclass(frozen=True)
class DaemonLog:
    """What a log says, in order."""

    events: tuple[Event, ...]
    since: float | None
    """When its first line was written; nothing is known of what was before."""
    debug: bool
    """Whether it has lines of level debug; without, it says nothing of all this."""

    @property
    def merges(self) -> list[Merge]:
        """Edges that were merged."""
        return [event for event in self.events if isinstance(event, Merge)]

    @property
    def files(self) -> list[LocalFiles]:
        """Clients' files that were asked for."""
        return [event for event in self.events if isinstance(event, LocalFiles)]

    @property
    def removals(self) -> list[Removal]:
        """Snapshots that were removed."""
        return [event for event in self.events if isinstance(event, Removal)]


def read_log(lines: Iterable[str]) -> DaemonLog:
    """Return the merges and snapshots that a log tells of; other lines are skipped."""
    events: list[Event] = []
    since: float | None = None
    debug = False
    for number, line in enumerate(lines, 1):
        debug = debug or " level=debug " in line
        if since is None and line.startswith("time="):
            since = _seconds(dict(_fields(line)).get("time", ""))
        if any(word in line for word in _WORDS):
            events += _events(number, dict(_fields(line)))
    return DaemonLog(tuple(events), since, debug)


def _events(number: int, fields: dict[str, str]) -> Iterator[Event]:
    at, message, trace = _seconds(fields.get("time", "")), fields.get("msg", ""), fields.get("traceID", "")
    if at is None:
        return
    if message == "merging edges":
        source, target = (fields.get(name, "") for name in ("source_edge_vertex_digest", "dest_vertex_digest"))
        yield Merge(number, at, source, target, fields.get("dest_vertex_name", ""))
    elif message == "remove snapshot":
        yield Removal(number, at, fields.get("key", ""), trace)
    elif match := _LOCAL.fullmatch(message):
        yield LocalFiles(
            line=number,
            at=at,
            snapshot=match[2],
            reused=match[1] == "reusing",
            step=fields.get("span", ""),
            trace=trace,
        )


def _fields(line: str) -> Iterator[tuple[str, str]]:
    for name, value in _FIELD.findall(line):
        yield name, _ESCAPE.sub(r"\1", value[1:-1]) if value.startswith('"') else value


def _seconds(time: str) -> float | None:
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:
        return None
