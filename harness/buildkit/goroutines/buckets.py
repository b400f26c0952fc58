"""Goroutines counted by what they do, the most first: how a dump of thousands is read."""

from collections.abc import Iterable
from pathlib import Path

from harness.buildkit.goroutines.model import Bucket, Frame, Goroutine
from harness.buildkit.goroutines.parse import counted, goroutines, lines_of


def buckets(of: Iterable[Goroutine]) -> list[Bucket]:
    """Return the goroutines by state, stack and maker, the fullest bucket first."""
    gathered: dict[tuple[str, tuple[Frame, ...], Frame | None], list[tuple[int, int]]] = {}
    for each in of:
        gathered.setdefault((each.state, each.frames, each.creator), []).append((each.id, each.minutes))
    found = [
        Bucket(
            *key,
            count=len(members),
            least_minutes=min(minutes for _, minutes in members),
            most_minutes=max(minutes for _, minutes in members),
            ids=tuple(sorted(id_ for id_, _ in members)),
        )
        for key, members in gathered.items()
    ]
    return sorted(found, key=lambda bucket: (-bucket.count, bucket.ids))


def buckets_of(dump: Path) -> list[Bucket]:
    """Return the buckets of a file in either form; empty where it holds no dump.

    Raises:
        OSError: it cannot be read.
    """
    with dump.open("rb") as file:
        found = buckets(goroutines(lines_of(file)))
        if not found:
            file.seek(0)
            found = sorted(counted(lines_of(file)), key=lambda bucket: -bucket.count)
    return found
