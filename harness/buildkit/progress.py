"""BuildKit's progress stream: ``--progress=rawjson`` of buildctl and buildx, read into phases with times.

The stream is a sequence of JSON objects (``client.SolveStatus``: vertexes, statuses, logs, warnings). Newer clients
print one a line, buildx before 0.14 prints each over many lines; other lines are the client's own messages.
"""

import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from harness.core.outcome import Phase, StepState

EXPORT_NAME: Final = re.compile(r"(\[[^]]+\] )?(exporting |importing to docker)")
"""How the names of export vertexes begin: image, oci, docker, cache; ``bake`` puts the target in front. The second is
buildx's load from a container.
"""
_CACHE_EXPORT: Final = re.compile(r"(\[[^]]+\] )?exporting (content )?cache\b")
"""How the names of those begin that export a cache."""
_INTERNAL: Final = "[internal]"
"""How the names of vertexes begin that read the Dockerfile and the context."""
_ORDER: Final = tuple(Phase)
_KEPT_LINES: Final = 40
_LONGEST: Final = 2**22
"""Bytes of one object: BuildKit's own, of a thousand steps, have some hundred thousand."""


@dataclass(frozen=True)
class Step:
    """A vertex of the build that has just started or completed.

    `MERGED` is what a client sees of BuildKit's ``scheduler.mergeTo``: a step that it began is there a second time, as
    another build's vertex, and cached.
    """

    name: str
    state: StepState

    @property
    def text(self) -> str:
        """What a build has come to with it, in few words; all that comes before its own steps is one."""
        name = "loading" if self.name.startswith(_INTERNAL) else self.name
        return name if self.state is StepState.STARTED else f"{name}, {self.state}"


@dataclass(frozen=True)
class Vertex:
    """A vertex of a build as its client knows it: a step, or what the daemon does besides.

    Times are the daemon's clock, as it writes them (RFC 3339).
    """

    digest: str
    name: str
    inputs: tuple[str, ...] = ()
    """The digests of those that it is made from."""
    started: str = ""
    completed: str = ""
    cached: bool = False
    error: str = ""


@dataclass(frozen=True)
class News:
    """What a piece of the stream brought: the phases entered, in order, and the steps that started or completed."""

    phases: tuple[Phase, ...] = ()
    steps: tuple[Step, ...] = ()


class Progress:
    """One build's stream as it comes; what the build is doing and since when.

    Times are whatever clock the caller passes; only their order matters here.

    Args:
        started: the time at which the client started.
        exports: how many results it exports; only once that many have completed has the build exported.
        cache_may_fail: whether a cache that could not be exported fails no build (`ignore-error`).
    """

    def __init__(self, started: float, exports: int = 1, *, cache_may_fail: bool = False) -> None:
        self.reached: dict[Phase, float] = {Phase.STARTED: started}
        """The latest time at which each phase was entered; a cache export after an image export re-enters."""
        self.moved = started
        """When the stream last said anything."""
        self.point, self.point_at = str(Phase.STARTED), started
        """What it has come to last, a phase or a step, and when."""
        self.messages: deque[str] = deque(maxlen=_KEPT_LINES)
        """The client's own lines, such as ``ERROR: failed to build: …``."""
        self.last: deque[str] = deque(maxlen=_KEPT_LINES)
        """The stream's last objects, one line each, for the record of a finding."""
        self.vertex_error = ""
        """What the last vertex that failed reported."""
        self.vertexes: dict[str, Vertex] = {}
        """All that the stream named, by digest, in the order in which it did."""
        self.merged: dict[str, None] = {}
        """The names of the steps that were taken over from another build, in order."""
        self._wanted, self._cache_may_fail = exports, cache_may_fail
        self._exports: dict[str, bool] = {}
        self._results: set[str] = set()
        self._started: set[str] = set()
        self._completed: set[str] = set()
        self._seen: dict[str, str] = {}
        self._worked_on: dict[str, str] = {}
        """By the name of a step that began to be worked on here, its digest."""
        self._unread = bytearray()
        self._looked = 0
        """How much of that was looked through for an end; what comes is looked through once."""

    @property
    def phase(self) -> Phase:
        """Where the build stands now."""
        return Phase.EXITED if Phase.EXITED in self.reached else self.came_to

    @property
    def came_to(self) -> Phase:
        """How far the build has come, whether or not its client is still there."""
        if self._exports:
            done = len(self._results) >= self._wanted and all(self._exports.values())
            return Phase.EXPORTED if done else Phase.EXPORTING
        return Phase.SOLVING if self._seen else Phase.STARTED

    @property
    def completed_vertexes(self) -> int:
        """How many steps have completed."""
        return len(self._completed)

    @property
    def running(self) -> tuple[str, ...]:
        """The names of the steps that have started and not completed."""
        return tuple(name for digest, name in self._seen.items() if digest in self._started - self._completed)

    @property
    def rests(self) -> bool:
        """Whether an export has begun, and all that has begun is complete, well or not: nothing is left to be done.

        The export of a build whose client is killed ends with an error, and the build may hang after it all the same.
        """
        return bool(self._exports) and self._started <= self._completed

    def feed(self, chunk: bytes, now: float) -> News:
        """Take what the client printed at time `now`; return what it brought."""
        before = self.phase
        self.moved = now
        steps: list[Step] = []
        for item in self._split(chunk):
            if isinstance(item, str):
                self.messages.append(item)
            else:
                steps += self._take(item)
        for step in steps:
            if step.state in {StepState.STARTED, StepState.MERGED}:
                self.point, self.point_at = step.text, now
        after = self.phase
        if after is before:
            return News(steps=tuple(steps))
        if after in {Phase.EXPORTING, Phase.EXPORTED}:
            self.point, self.point_at = str(after), now
        for passed in _ORDER[: _ORDER.index(after)]:  # what came and went within one chunk
            self.reached.setdefault(passed, now)
        self.reached[after] = now
        entered = _ORDER[_ORDER.index(before) + 1 : _ORDER.index(after) + 1]
        return News(entered or (after,), tuple(steps))

    def exited(self, now: float) -> None:
        """Note that the client has ended; what is read after that was said before it."""
        if self._unread.strip():
            self.feed(b"\n", now)
        self.reached[Phase.EXITED] = max(now, *self.reached.values())

    def _split(self, chunk: bytes) -> Iterator[dict[str, Any] | str]:
        """Yield the objects about vertexes, and the client's messages; an incomplete object waits for its rest.

        An object begins at a line that starts with ``{`` and ends at the line that completes it: itself in the
        compact form (``{"vertexes":[…]}``), a lone ``}`` in the indented form.
        """
        self._unread += chunk
        while (end := self._end()) >= 0:
            text = self._unread[:end].decode(errors="replace").strip()
            del self._unread[: end + 1]
            self._looked = 0
            if not text:
                continue
            if not text.startswith("{"):
                yield text
                continue
            self.last.append(text)
            # Nine objects in ten are logs and byte counts: to decode those costs CPU for nothing.
            if '"vertexes"' in text:
                yield _decoded(text)

    def _end(self) -> int:
        """Return the end of the first unread object; negative while it is incomplete.

        What grows beyond any object of BuildKit's is no object, and is taken line by line, or cut.
        """
        start, self._looked = self._looked, len(self._unread)
        is_long = len(self._unread) > _LONGEST
        if self._unread.startswith(b"{\n"):
            close = self._unread.find(b"\n}\n", max(0, start - 2))
            return close + 2 if close >= 0 else 1 if is_long else close
        end = self._unread.find(b"\n", start)
        return _LONGEST if end < 0 and is_long else end

    def _take(self, status: dict[str, Any]) -> Iterator[Step]:
        for vertex in _dicts(status.get("vertexes")):
            digest, name, completed = str(vertex.get("digest")), str(vertex.get("name")), "completed" in vertex
            self._seen[digest] = name
            self._keep(digest, name, vertex)
            if "started" in vertex and digest not in self._started:
                self._started.add(digest)
                yield Step(name, StepState.STARTED)
            if export := EXPORT_NAME.match(name):
                may_fail = self._cache_may_fail and _CACHE_EXPORT.match(name)
                self._exports[digest] = completed and (bool(may_fail) or not vertex.get("error"))
                self._results.add(export[1] or "")  # one result may have several: its image, its load, its cache
            if "started" in vertex and not vertex.get("cached"):
                self._worked_on.setdefault(name, digest)
            if completed and digest not in self._completed:
                self._completed.add(digest)
                yield Step(name, StepState.COMPLETED)
                if vertex.get("cached"):
                    yield Step(name, StepState.CACHED)
                    if self._worked_on.get(name, digest) != digest:
                        self.merged[name] = None
                        yield Step(name, StepState.MERGED)
            elif not completed:
                self._completed.discard(digest)  # a vertex that is entered again
            self.vertex_error = str(vertex.get("error") or self.vertex_error)

    def _keep(self, digest: str, name: str, vertex: dict[str, Any]) -> None:
        known = self.vertexes.get(digest)
        inputs = vertex.get("inputs")
        self.vertexes[digest] = Vertex(
            digest=digest,
            name=name,
            inputs=tuple(map(str, inputs)) if isinstance(inputs, list) else known.inputs if known else (),
            started=known.started if known and known.started else str(vertex.get("started") or ""),
            completed=str(vertex.get("completed") or ""),
            cached=bool(vertex.get("cached")) or bool(known and known.cached),
            error=str(vertex.get("error") or ""),
        )


def _decoded(text: str) -> dict[str, Any] | str:
    try:
        item = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return item if isinstance(item, dict) else text


def plain_lines(item: str) -> list[str]:
    """Return what one object of a stream says, as a client's plain output would: ``exporting to image DONE``."""
    status = _decoded(item)
    if isinstance(status, str):
        return [status]
    lines = [
        f"  {line.get('id', '')}{' done' if 'completed' in line else ''}" for line in _dicts(status.get("statuses"))
    ]
    lines += [
        f"{vertex.get('name', '')} {_state(vertex)}"
        for vertex in _dicts(status.get("vertexes"))
        if "started" in vertex or "completed" in vertex
    ]
    return lines


def items_in(log: bytes) -> frozenset[str]:
    """Return what a log says, however it was cut into lines: a daemon lists steps in another order each time."""
    items = set()
    for line in log.splitlines():
        item = _decoded(line.decode(errors="replace"))
        for kind, parts in item.items() if isinstance(item, dict) else ():
            if isinstance(parts, list):
                items |= {f"{kind} {json.dumps(part, sort_keys=True)}" for part in parts}
    return frozenset(items)


def _dicts(items: object) -> list[dict[str, Any]]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _state(vertex: dict[str, Any]) -> str:
    if vertex.get("error"):
        return f"ERROR {vertex['error']}"
    if vertex.get("cached"):
        return "CACHED"
    return "DONE" if "completed" in vertex else "started"
