"""The messages of BuildKit's control API, as far as the harness uses them.

Field numbers: ``api/services/control/control.proto`` of moby/buildkit v0.25.1; older and newer daemons pass over what
they do not know, and so do we.
"""

from dataclasses import dataclass, field
from typing import Final, Self

from harness.buildkit.wire import Value, fields, message, nested, number, text

SERVICE: Final = "moby.buildkit.v1.Control"


@dataclass(frozen=True)
class PruneMessage:
    """What is to be removed of the build cache (``PruneRequest``)."""

    filters: tuple[str, ...] = ()
    """In BuildKit's own form: ``type==regular``."""
    all: bool = False
    keep: int | None = None
    """Bytes to leave."""

    def encoded(self) -> bytes:
        """Return the request; what is to be left stands in the fields of BuildKit before 0.17 and since."""
        keep = self.keep or 0
        return message([*((1, text) for text in self.filters), (2, self.all), (4, keep), (5, keep)])


@dataclass(frozen=True)
class UsageRecord:
    """A record of the build cache (``UsageRecord``)."""

    id: str = ""
    size: int = 0
    """In bytes."""
    in_use: bool = False
    description: str = ""
    kind: str = ""
    """Such as ``regular`` or ``source.local``."""
    parents: tuple[str, ...] = ()

    @classmethod
    def decoded(cls, data: bytes) -> Self:
        """Return the record.

        Raises:
            NotAMessage: it is none.
        """
        known: dict[int, Value] = {}
        parents = []
        for key, value in fields(data):
            if key in {5, 12} and value:  # one in older daemons, several since
                parents.append(text(value))
            known[key] = value
        return cls(
            id=text(known.get(1, b"")),
            size=number(known.get(4, 0)),
            in_use=bool(known.get(3)),
            description=text(known.get(9, b"")),
            kind=text(known.get(10, b"")),
            parents=tuple(parents),
        )


def disk_usage(filters: tuple[str, ...] = ()) -> bytes:
    """Return the request for all records of the cache (``DiskUsageRequest``)."""
    return message((1, text) for text in filters)


def cache_records(data: bytes) -> tuple[UsageRecord, ...]:
    """Return the records of a ``DiskUsageResponse``.

    Raises:
        NotAMessage: it is none.
    """
    return tuple(UsageRecord.decoded(nested(value)) for key, value in fields(data) if key == 1)


@dataclass(frozen=True)
class BuildEvent:
    """A build's record, as it began, ended or was deleted (``BuildHistoryEvent``)."""

    kind: str = "started"
    """`started`, `complete` or `deleted`."""
    ref: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    """What the frontend was told, such as ``build-arg:NAME``."""
    completed: bool = False
    began: float | None = None
    """Seconds since 1970, by the daemon's clock."""

    @classmethod
    def decoded(cls, data: bytes) -> Self:
        """Return the event.

        Raises:
            NotAMessage: it is none.
        """
        kind, ref, completed, began = 0, "", False, None
        attributes: dict[str, str] = {}
        for key, value in fields(data):
            if key == 1:
                kind = number(value)
            elif key == 2:
                for inner, part in fields(nested(value)):
                    if inner == 1:
                        ref = text(part)
                    elif inner == 3:
                        entry = dict(fields(nested(part)))
                        attributes[text(entry.get(1, b""))] = text(entry.get(2, b""))
                    elif inner == 6:
                        moment = dict(fields(nested(part)))
                        began = number(moment.get(1, 0)) + number(moment.get(2, 0)) / 1e9
                    elif inner == 7:
                        completed = True
        return cls(_EVENTS.get(kind, "started"), ref, attributes, completed, began)


_EVENTS: Final = {0: "started", 1: "complete", 2: "deleted"}


def history(*, active: bool, follow: bool) -> bytes:
    """Return the request for records of builds (``BuildHistoryRequest``): running ones alone, and what comes after."""
    return message([(1, active), (3, not follow)])


def forgotten(ref: str) -> bytes:
    """Return the request to delete the record of one build (``UpdateBuildHistoryRequest``)."""
    return message([(1, ref), (3, True)])
