"""The messages of a build that is asked of the control API: the request, its progress, and the files that it is sent.

Field numbers: ``control.proto`` of moby/buildkit v0.25.1, ``wire.proto`` and ``stat.proto`` of tonistiigi/fsutil.
"""

import base64
import json
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Final, Self

from harness.buildkit.wire import Value, entries, fields, message, nested, number, text

FRONTEND: Final = "dockerfile.v0"
FILE_SYNC: Final = "/moby.filesync.v1.FileSync/DiffCopy"
"""The method by which a daemon asks for a folder's files."""
STAT, REQUEST, DATA, FINISHED, FAILED = range(5)
"""The types of packets."""
_DIRECTORY, _LINK = 1 << 31, 1 << 27
"""Go's bits for the kind of a file (``io/fs.FileMode``); those below 0o777 are everybody's."""
_SPECIAL: Final = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


@dataclass(frozen=True)
class SolveMessage:
    """A build by the Dockerfile frontend (``SolveRequest``)."""

    ref: str
    """The name of its record."""
    session: str
    options: Mapping[str, str]
    """What the frontend is told, such as ``build-arg:NAME``."""
    exporter: str
    """Such as ``image``."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """What the exporter is told."""

    def encoded(self) -> bytes:
        """Return the request; the exporter stands in the fields of BuildKit before 0.13 and since."""
        exporter = message([(1, self.exporter), *entries(2, self.attributes)])
        return message(
            [
                (1, self.ref),
                (3, self.exporter),
                *entries(4, self.attributes),
                (5, self.session),
                (6, FRONTEND),
                *entries(7, self.options),
                (13, exporter),
            ]
        )


def status_request(ref: str) -> bytes:
    """Return the request for the progress of a build (``StatusRequest``)."""
    return message([(1, ref)])


def progress_line(data: bytes) -> bytes:
    """Return a ``StatusResponse`` as clients print it with ``--progress=rawjson``: an object, a line.

    Raises:
        NotAMessage: it is none.
    """
    status: dict[str, list[dict[str, Any]]] = {}
    for key, value in fields(data):
        if key in _PARTS:
            name, shape = _PARTS[key]
            status.setdefault(name, []).append(_object(nested(value), shape))
    return json.dumps(status, separators=(",", ":")).encode() + b"\n"


_TEXT, _TEXTS, _FLAG, _NUMBER, _TIME, _BYTES = range(6)
_PARTS: Final[Mapping[int, tuple[str, Mapping[int, tuple[str, int]]]]] = {
    1: (
        "vertexes",
        {
            1: ("digest", _TEXT),
            2: ("inputs", _TEXTS),
            3: ("name", _TEXT),
            4: ("cached", _FLAG),
            5: ("started", _TIME),
            6: ("completed", _TIME),
            7: ("error", _TEXT),
        },
    ),
    2: (
        "statuses",
        {
            1: ("id", _TEXT),
            2: ("vertex", _TEXT),
            3: ("name", _TEXT),
            4: ("current", _NUMBER),
            5: ("total", _NUMBER),
            6: ("timestamp", _TIME),
            7: ("started", _TIME),
            8: ("completed", _TIME),
        },
    ),
    3: ("logs", {1: ("vertex", _TEXT), 2: ("timestamp", _TIME), 3: ("stream", _NUMBER), 4: ("data", _BYTES)}),
}
"""By field: the list's name, and by field of its objects their name and kind; warnings are left out."""


def _object(data: bytes, shape: Mapping[int, tuple[str, int]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in fields(data):
        if key not in shape:
            continue
        name, kind = shape[key]
        if kind == _TEXTS:
            made.setdefault(name, []).append(text(value))
        else:
            made[name] = _plain(value, kind)
    return made


def _plain(value: Value, kind: int) -> str | int | bool:
    match kind:
        case 0:
            return text(value)
        case 2:
            return bool(value)
        case 3:
            return number(value)
        case 4:
            return _time(nested(value))
        case _:
            return base64.b64encode(nested(value)).decode()


def _time(data: bytes) -> str:
    """Return a ``Timestamp`` as Go writes one (RFC 3339)."""
    parts = dict(fields(data))
    seconds, nanos = number(parts.get(1, 0)), number(parts.get(2, 0))
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanos:09d}Z"


@dataclass(frozen=True)
class Packet:
    """A piece of a folder on its way to the daemon (``fsutil.types.Packet``)."""

    kind: int
    file: int = 0
    """The file's place among all that were told."""
    data: bytes = b""
    stat: bytes = b""

    def encoded(self) -> bytes:
        """Return the message."""
        return message([(1, self.kind), (2, self.stat), (3, self.file), (4, self.data)])

    @classmethod
    def decoded(cls, data: bytes) -> Self:
        """Return the packet.

        Raises:
            NotAMessage: it is none.
        """
        known = dict(fields(data))
        return cls(number(known.get(1, 0)), number(known.get(3, 0)), nested(known.get(4, b"")))


def told(path: str, mode: int, size: int, modified: int, link: str = "") -> Packet:
    """Return the packet that tells of a file, a folder or a link; its owner is root, as clients have it.

    Args:
        path: below the folder that is sent.
        mode: as `os.lstat` has it.
        size: in bytes.
        modified: in nanoseconds since 1970.
        link: what a link points to.
    """
    bits = stat.S_IMODE(mode) & 0o777 | sum(bit for ours, bit in _SPECIAL if mode & ours)
    if stat.S_ISDIR(mode):
        bits, size = bits | _DIRECTORY, 0
    elif stat.S_ISLNK(mode):
        bits |= _LINK
    return Packet(STAT, stat=message([(1, path), (2, bits), (5, size), (6, modified), (7, link)]))


def wanted(path: str, patterns: Sequence[str]) -> bool:
    """Whether a path below a folder matches a pattern, is above or below what does; any, without patterns."""
    return not patterns or any(_may_match(path, pattern) for pattern in patterns)


def _may_match(path: str, pattern: str) -> bool:
    parts = [part for part in pattern.split("/") if part not in {"", "."}]
    return "**" in parts or all(fnmatchcase(name, part) for name, part in zip(path.split("/"), parts, strict=False))
