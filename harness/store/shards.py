"""What each of the daemons side by side came to, aggregated in SQL."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from harness.core.outcome import Outcome
from harness.store.folder import RunFolder


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


@dataclass(frozen=True)
class ShardSamples:
    """How one of the daemons side by side was, in bins of equal time; of what was not measured None."""

    at: tuple[float, ...]
    """The last sample of the bin."""
    cpu: tuple[float | None, ...]
    """Mean cores."""
    rss: tuple[int | None, ...]
    """The most in the bin, in bytes."""
    goroutines: tuple[int | None, ...]
    """The most in the bin."""


def shard_samples(folder: RunFolder, bins: int = 300) -> Mapping[int, ShardSamples]:
    """Return how each of the daemons side by side was over time; nothing where there is one."""
    query = """
        SELECT shard, max(at), avg(cpu), max(rss), max(goroutines)
        FROM samples JOIN (SELECT generation, shard FROM daemons) USING (generation)
        GROUP BY shard, CAST(at / ? AS INTEGER) ORDER BY shard, 2"""
    with folder.reading() as database:
        (several,) = database.execute("SELECT count(DISTINCT shard) > 1 FROM daemons").fetchone()
        if not several:
            return {}
        (last,) = database.execute("SELECT coalesce(max(at), 0) FROM samples").fetchone()
        rows = database.execute(query, (last / bins or 1,)).fetchall()
    of = {shard: [row[1:] for row in rows if row[0] == shard] for shard in dict.fromkeys(row[0] for row in rows)}
    return {shard: ShardSamples(*zip(*seen, strict=True)) for shard, seen in of.items()}


def shards_of(folder: RunFolder) -> list[Shard]:
    """Return the shards of a run, in their order; none of a run of an earlier version."""
    with folder.reading() as database:
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
