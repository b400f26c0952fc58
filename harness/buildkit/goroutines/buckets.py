"""Goroutines counted by what they do, the most first: how a dump of thousands is read."""

from collections.abc import Iterable
from pathlib import Path

from harness.buildkit.goroutines.files import texts_of
from harness.buildkit.goroutines.model import Bucket, Frame, Goroutine
from harness.buildkit.goroutines.parse import counted, goroutines
from harness.buildkit.goroutines.rewrapped import way_of_file


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
    way = way_of_file(dump)
    with texts_of(dump) as texts:
        found = buckets(each for text in texts for each in goroutines(way(text)))
    return found or counted_of(dump)


def counted_of(dump: Path) -> list[Bucket]:
    """Return the buckets of a file in the counted form, the fullest first; empty where it is in none.

    Raises:
        OSError: it cannot be read.
    """
    way = way_of_file(dump)
    with texts_of(dump) as texts:
        return sorted((each for text in texts for each in counted(way(text))), key=lambda bucket: -bucket.count)
