r"""Reads goroutine dumps as they come, line by line: what stands around them is passed over.

The stacks of every goroutine (``debug=2``, SIGQUIT, dockerd's SIGUSR1; runtime/traceback.go)::

    goroutine 7 [select, 5 minutes, locked to thread]:    a goroutine begins          HEAD   -> in a goroutine
    main.(*T).run(0xc000123, {0x1, 0x2})                  a call                      CALL   -> its place follows
    \t/src/main.go:12 +0x1a                               its place                   PLACE
    ...additional frames elided...                        what was left out           ELIDED
    created by main.start in goroutine 1                  its maker                   MAKER  -> its place follows
                                                          it ends                     blank  -> outside

The counted form (``debug=1``; runtime/pprof/pprof.go)::

    12 @ 0x47a4ae 0x4594a5                                so many share a stack       COUNT  -> in a bucket
    #\t0x47a4ad\tmain.run+0xcd\t/src/main.go:12           a call with its place       ENTRY
"""

import re
from collections.abc import Iterable, Iterator
from typing import IO, Final

from harness.buildkit.goroutines.model import Bucket, Frame, Goroutine

_HEAD: Final = re.compile(rb"goroutine (\d+)(?: [^\[]*)? \[([^\]]*)\].*:$")
_MINUTES: Final = re.compile(r"(\d+) minutes?$")
_PLACE: Final = re.compile(rb"\t(.+):(\d+)(?: \+0x[0-9a-f]+)?(?: fp=.*)?$")
_MAKER: Final = re.compile(rb"created by (.+?)(?: in goroutine (\d+))?$")
_ELIDED: Final = re.compile(rb"\.\.\.(?:additional|\d+) frames elided\.\.\.$")
_COUNT: Final = re.compile(rb"(\d+) @(?: 0x[0-9a-f]+)+$")
_ENTRY: Final = re.compile(rb"#\t0x[0-9a-f]+\t(.+?)(?:\+0x[0-9a-f]+)?\t+(.+):(\d+)$")


_LONGEST: Final = 65_536
"""Bytes of a line that are read at once: a file that is no dump may have no line ends at all."""


def lines_of(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a binary file, overlong ones in pieces."""
    while line := stream.readline(_LONGEST):
        yield line


class _Frames:
    """The frames met so far: a dump of thousands of goroutines has a few hundred."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes], Frame] = {}
        self._stacks: dict[tuple[Frame, ...], tuple[Frame, ...]] = {}

    def frame(self, function: bytes, place: bytes) -> Frame:
        """Return the frame of a function and the line that says where it stands."""
        known = self._known.get((function, place))
        if known is None:
            match = _PLACE.match(place)
            file, line = (match[1], int(match[2])) if match else (b"", 0)
            known = Frame(function.decode(errors="replace"), file.decode(errors="replace"), line)
            self._known[function, place] = known
        return known

    def stack(self, frames: list[Frame]) -> tuple[Frame, ...]:
        """Return the one tuple for all that are equal."""
        stack = tuple(frames)
        return self._stacks.setdefault(stack, stack)


def goroutines(lines: Iterable[bytes]) -> Iterator[Goroutine]:
    """Yield the goroutines of a dump with stacks, as far as it goes; one that is cut off has what was there of it.

    Args:
        lines: with or without their ends, such as an open binary file.
    """
    known = _Frames()
    head: re.Match[bytes] | None = None
    frames: list[Frame] = []
    creator: Frame | None = None
    call, maker, elided = b"", None, False

    def whole() -> Iterator[Goroutine]:
        if head:
            if call:
                frames.append(known.frame(call, b""))
            yield _goroutine(head, known.stack(frames), creator, maker, elided=elided)

    for raw in lines:
        line = raw.rstrip(b"\r\n")
        if line.startswith(b"goroutine ") and (match := _HEAD.match(line)):
            yield from whole()
            head, frames, creator, call, maker, elided = match, [], None, b"", None, False
        elif head is None:
            continue
        elif line.startswith(b"\t"):
            if maker and creator is None:
                creator = known.frame(maker[1], line)
            elif call:
                frames.append(known.frame(call, line))
            call = b""
        elif not line:
            yield from whole()
            head = None
        elif line.startswith(b"created by "):
            maker = _MAKER.match(line)
        elif line.startswith(b"..."):
            elided = elided or bool(_ELIDED.match(line))
        else:
            call = line.rpartition(b"(")[0]
    yield from whole()


def _goroutine(
    head: re.Match[bytes],
    frames: tuple[Frame, ...],
    creator: Frame | None,
    maker: re.Match[bytes] | None,
    *,
    elided: bool,
) -> Goroutine:
    state, *notes = head[2].decode(errors="replace").split(", ")
    waited = next((int(match[1]) for note in notes if (match := _MINUTES.match(note))), 0)
    if maker and creator is None:
        creator = Frame(maker[1].decode(errors="replace"))
    return Goroutine(
        id=int(head[1]),
        state=state.removesuffix(" (scan)"),
        minutes=waited,
        locked="locked to thread" in notes,
        frames=frames,
        creator=creator,
        parent=int(maker[2]) if maker and maker[2] else None,
        elided=elided,
    )


def counted(lines: Iterable[bytes]) -> Iterator[Bucket]:
    """Yield the buckets of a dump in the counted form; it knows no states, times or ids."""
    known = _Frames()
    count = 0
    frames: list[Frame] = []
    for raw in lines:
        line = raw.rstrip(b"\r\n")
        if match := _COUNT.match(line):
            if count:
                yield Bucket("", known.stack(frames), None, count)
            count, frames = int(match[1]), []
        elif count and (match := _ENTRY.match(line)):
            frames.append(known.frame(match[1], b"\t" + match[2] + b":" + match[3]))
    if count:
        yield Bucket("", known.stack(frames), None, count)
