"""What each of the daemons side by side came to, aggregated in SQL."""

import json
from dataclasses import dataclass

from harness.outcome import Outcome
from harness.store import RunFolder


@dataclass(frozen=True)
class Shard:
    """One of the daemons side by side, over all that took its place."""

    shard: int
    cores: tuple[int, ...]
    """Those that it was pinned to."""
    daemons: int
    iterations: int
    ok: int
    hung: int
    """How many of its daemons hung."""
    goroutines: int | None
    """At last."""
    rss: int | None
    """Bytes, at last."""


def shards_of(folder: RunFolder) -> list[Shard]:
    """Return the shards of a run, in their order; none of a run of an earlier version."""
    with folder.reading() as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'daemons'").fetchone():
            return []
        rows = database.execute(
            f"""
            WITH built AS (
                SELECT generation, count(*) AS n, sum(outcome = '{Outcome.OK}') AS ok
                FROM iterations GROUP BY generation
            ), hangs AS (
                SELECT DISTINCT generation FROM findings WHERE kind = '{Outcome.HANG}'
            ), latest AS (
                SELECT shard, goroutines, rss, max(samples.at)
                FROM samples JOIN daemons USING (generation) GROUP BY shard
            ) SELECT
                daemons.shard, max(cores), count(*), coalesce(sum(n), 0), coalesce(sum(ok), 0), count(hangs.generation),
                max(latest.goroutines), max(latest.rss)
            FROM daemons LEFT JOIN built USING (generation) LEFT JOIN hangs USING (generation)
            LEFT JOIN latest ON latest.shard = daemons.shard GROUP BY daemons.shard ORDER BY daemons.shard"""  # noqa: S608 — our own words
        )
        return [Shard(shard, tuple(json.loads(cores)), *figures) for shard, cores, *figures in rows]
