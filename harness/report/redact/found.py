"""What is found in a text: where it stands, of what kind it is, and what is put in its place."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Secret:
    """A secret in a text of bytes."""

    start: int
    end: int
    kind: str
    """What it is to a reader: ``GitHub``, ``named value``."""
    instead: bytes | None = None
    """What is put in its place where that is not the usual mark: a text that was decoded, cleaned and encoded again."""
    count: int = 1


def apart(found: Iterable[Secret]) -> Iterator[Secret]:
    """Yield them in order, each beginning where the one before has ended: those that overlap become one."""
    last: Secret | None = None
    for each in sorted(found, key=lambda one: (one.start, -one.end)):
        if last is None or each.start >= last.end:
            if last:
                yield last
            last = each
        elif each.end > last.end:  # what lies within another goes, or was decoded, with it
            last = Secret(last.start, each.end, last.kind)
    if last:
        yield last
