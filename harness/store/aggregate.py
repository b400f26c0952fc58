"""What a run's records come to, for charts and tables: aggregated in SQL, so that a million of them are no burden.

Everything works while the run goes on, and on a run that has recorded nothing yet. Times are seconds since its start.
"""

import json
import math
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from harness.core.outcome import FAILURES, FindingKind, Outcome, finding_kind
from harness.core.records import Sample
from harness.store.database import record_of
from harness.store.folder import RunFolder

_TIME: Final = "max(started, coalesce(exported, 0), coalesce(killed, 0), coalesce(exited, 0))"
"""The last that is known of an iteration."""
_TAILS: Final = f"""
    SELECT exited - exported AS tail FROM iterations
    WHERE outcome = '{Outcome.OK}' AND exited IS NOT NULL AND exported IS NOT NULL"""  # noqa: S608 — our own words
"""The tails that the judge counts."""
_BIN: Final = "CAST(floor(log10(max(tail, 1e-6)) * 10) AS INTEGER)"
_BINS_A_DECADE: Final = 10
_PLACE: Final = "rowid >= ? AND rowid < ?"
_BY_OUTCOME: Final = f"""
    SELECT outcome, count(*), count(exited - exported), max(exited - exported)
    FROM iterations WHERE {_PLACE} GROUP BY outcome"""  # noqa: S608 — our own words


@dataclass(frozen=True)
class Outcomes:
    """How often each outcome came; those that did not are left out."""

    counts: Mapping[Outcome, int]

    @property
    def total(self) -> int:
        """Iterations that are over."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Timeline:
    """Bins of equal time, one entry of each column a bin."""

    since: tuple[float, ...]
    until: tuple[float, ...]
    outcomes: Mapping[Outcome, tuple[int, ...]]
    """Iterations by what became of them; outcomes that never came are left out."""
    p50: tuple[float | None, ...]
    """The tail in seconds: median, nearest rank; None where no build had one."""
    p99: tuple[float | None, ...]
    longest: tuple[float | None, ...]


@dataclass(frozen=True)
class TailHistogram:
    """How many tails were how long, in logarithmic bins; exact quantiles of all."""

    since: tuple[float, ...]
    until: tuple[float, ...]
    counts: tuple[int, ...]
    n: int
    p50: float | None
    p99: float | None
    longest: float | None


@dataclass(frozen=True)
class Samples:
    """Samples in bins of equal time; of what was not measured None. A peak is never averaged away."""

    at: tuple[float, ...]
    """The last sample of the bin."""
    cpu: tuple[float | None, ...]
    """Mean cores of the daemon's processes."""
    cpu_most: tuple[float | None, ...]
    rss_least: tuple[int | None, ...]
    rss_most: tuple[int | None, ...]
    goroutines_least: tuple[int | None, ...]
    goroutines_most: tuple[int | None, ...]
    running_least: tuple[int, ...]
    running_most: tuple[int, ...]
    own_cpu: tuple[float, ...]
    """Mean cores of the harness."""
    own_rss: tuple[int, ...]
    """The most in the bin."""
    lag: tuple[float, ...]
    """The most in the bin."""


@dataclass(frozen=True)
class EndTimes:
    """The first and the last that was measured; None where nothing was."""

    goroutines: tuple[int, int] | None
    rss: tuple[int, int] | None


@dataclass(frozen=True)
class Spans:
    """Stretches of time in which an actor that is no build acted; close ones in one where there are many."""

    actor: tuple[str, ...]
    kind: tuple[str, ...]
    since: tuple[float, ...]
    until: tuple[float, ...]
    count: tuple[int, ...]
    """Acts in the stretch."""
    busy: tuple[float, ...]
    """The share of it in which one was going on, at most 1."""


@dataclass(frozen=True)
class ActorActs:
    """What one actor that is no build did."""

    actor: str
    kind: str
    done: int
    could_not: int
    late_p99: float | None
    """Seconds from what called for it to its taking effect."""


@dataclass(frozen=True)
class Findings:
    """The hangs and stalls, in the order in which they were seen."""

    iteration: tuple[int, ...]
    kind: tuple[FindingKind, ...]
    at: tuple[float, ...]
    actor: tuple[str, ...]
    phase: tuple[str, ...]
    waited: tuple[float, ...]


@dataclass(frozen=True)
class Audits:
    """What the idle daemon held; see `records.Audit`."""

    iteration: tuple[int, ...]
    series: tuple[int, ...]
    at: tuple[float, ...]
    goroutines: tuple[int | None, ...]
    lasting: tuple[int | None, ...]
    open_files: tuple[int | None, ...]
    rss: tuple[int | None, ...]
    running: tuple[int | None, ...]
    cache: tuple[int | None, ...]


@dataclass(frozen=True)
class LifetimeTable:
    """The daemons of a run, in the order in which they lived."""

    trials: tuple[int, ...]
    """Builds whose export completed, and that would have been seen to hang, up to the first that hung, which is one."""
    seconds: tuple[float, ...]
    """From its first build to its first hang, or to its last build's end."""
    hung: tuple[bool, ...]
    """Whether it ended with a hang."""


def iterations(folder: RunFolder) -> int:
    """Return how many iterations are over; without a look at any of them."""
    with folder.reading() as connection:
        last: int = _row(connection, "SELECT coalesce(max(rowid), 0) FROM iterations")[0]
        return last


def last_time(folder: RunFolder) -> float:
    """Return the time of the last that was recorded; 0 where nothing was."""
    with folder.reading() as connection:
        return _end(connection)


def outcomes(folder: RunFolder) -> Outcomes:
    """Return how often each outcome came."""
    with folder.reading() as connection:
        return Outcomes(_counted(connection))


def timeline(folder: RunFolder, bins: int = 300) -> Timeline:
    """Return iterations and their tails over time.

    Read bin by bin, by the place of the records in the database: they lie in the order in which the builds ended, and
    so nothing is sorted but the tails of one bin. A build whose end was recorded late, as a hang's, may count a bin
    later; every build counts once.
    """
    with folder.reading() as connection:
        end = _end(connection)
        if not end:
            return Timeline(since=(), until=(), outcomes={}, p50=(), p99=(), longest=())
        edges = [end * number / bins for number in range(bins + 1)]
        places = _places(connection, edges)
        counts, tails = [], []
        for place in pairwise(places):
            here = {outcome: rest for outcome, *rest in connection.execute(_BY_OUTCOME, place)}
            counts.append({outcome: count for outcome, (count, _, _) in here.items()})
            _, n, longest = here.get(Outcome.OK, (0, 0, None))
            tails.append((*_quantiles(connection, place, n), longest))
    came = [outcome for outcome in Outcome if any(outcome in here for here in counts)]
    columns = {outcome: tuple(here.get(outcome, 0) for here in counts) for outcome in came}
    p50, p99, longest = zip(*tails, strict=True)
    return Timeline(
        since=tuple(edges[:-1]), until=tuple(edges[1:]), outcomes=columns, p50=p50, p99=p99, longest=longest
    )


def tails(folder: RunFolder) -> TailHistogram:
    """Return how the tails are distributed: ten bins a decade, without gaps; and their quantiles, nearest rank."""
    histogram = f"""
        SELECT bin, count(*), max(tail) FROM (
            SELECT {_BIN} AS bin, tail FROM ({_TAILS})
        ) GROUP BY bin ORDER BY bin"""  # noqa: S608 — our own words
    with folder.reading() as connection:
        found = {number: (count, longest) for number, count, longest in connection.execute(histogram)}
        n = sum(count for count, _ in found.values())
        if not n:
            return TailHistogram(since=(), until=(), counts=(), n=0, p50=None, p99=None, longest=None)
        p50, p99 = (_within(connection, found, _rank(n, share)) for share in (0.5, 0.99))
    numbers = range(min(found), max(found) + 1)
    return TailHistogram(
        since=tuple(10 ** (number / _BINS_A_DECADE) for number in numbers),
        until=tuple(10 ** ((number + 1) / _BINS_A_DECADE) for number in numbers),
        counts=tuple(found.get(number, (0, 0.0))[0] for number in numbers),
        n=n,
        p50=p50,
        p99=p99,
        longest=found[max(found)][1],
    )


def samples(folder: RunFolder, bins: int = 300) -> Samples:
    """Return how daemon and harness were, over time."""
    query = """
        SELECT max(at), avg(cpu), max(cpu), min(rss), max(rss), min(goroutines), max(goroutines),
               min(running), max(running), avg(own_cpu), max(own_rss), max(lag)
        FROM samples GROUP BY CAST(at / ? AS INTEGER) ORDER BY 1"""
    with folder.reading() as connection:
        last = _row(connection, "SELECT coalesce(max(at), 0) FROM samples")[0]
        return Samples(*_columns(connection, query, (last / bins or 1,), 12))


def ends(folder: RunFolder) -> EndTimes:
    """Return how the daemon was at first and at last."""
    with folder.reading() as connection:
        return EndTimes(_first_and_last(connection, "goroutines"), _first_and_last(connection, "rss"))


def spans(folder: RunFolder, limit: int = 400) -> Spans:
    """Return when other actors acted: every act of an actor with at most `limit`, else in about as many stretches."""
    query = """
        SELECT actor, kind, min(started), max(ended), count(*),
               min(1.0, sum(ended - started) / max(max(ended) - min(started), 1e-9))
        FROM actions JOIN (SELECT actor AS of, count(*) <= :limit AS few FROM actions GROUP BY actor) ON actor = of
        GROUP BY actor, kind, CASE WHEN few THEN actions.rowid ELSE CAST(started / :width AS INTEGER) END
        ORDER BY 3"""
    with folder.reading() as connection:
        last = _row(connection, "SELECT coalesce(max(ended), 0) FROM actions")[0]
        return Spans(*_columns(connection, query, {"limit": limit, "width": last / limit or 1}, 6))


def acts(folder: RunFolder) -> tuple[ActorActs, ...]:
    """Return what each actor that is no build did, in the order in which they began."""
    query = (
        "SELECT actor, min(kind), count(acted), count(*) - count(acted) FROM actions GROUP BY actor ORDER BY min(rowid)"
    )
    late = "SELECT acted - due FROM actions WHERE actor = ? AND acted IS NOT NULL ORDER BY 1 DESC LIMIT 1 OFFSET ?"
    with folder.reading() as connection:
        return tuple(
            ActorActs(
                actor,
                kind,
                done,
                not_done,
                _row(connection, late, (actor, done - 1 - _rank(done, 0.99)))[0] if done else None,
            )
            for actor, kind, done, not_done in connection.execute(query).fetchall()
        )


def failures(folder: RunFolder) -> Sequence[tuple[str, int]]:
    """Return the signatures of builds' errors and how often each came, the commonest first."""
    query = f"""
        SELECT CASE failure WHEN '' THEN error ELSE failure END AS kind, count(*) FROM iterations
        WHERE outcome IN ({", ".join(f"'{each}'" for each in FAILURES)}) GROUP BY kind ORDER BY 2 DESC, 1 LIMIT 100"""  # noqa: S608 — our own words
    with folder.reading() as connection:
        return [(str(text), int(count)) for text, count in connection.execute(query)]


def merged(folder: RunFolder) -> tuple[int, Sequence[str]]:
    """Return of how many builds a step was merged into another build's, and the steps of the last one."""
    with folder.reading() as connection:
        where = "FROM iterations WHERE merged != '[]'"
        last = connection.execute(f"SELECT merged {where} ORDER BY rowid DESC LIMIT 1").fetchone()
        return _row(connection, f"SELECT count(*) {where}")[0], json.loads(last[0]) if last else ()


def findings(folder: RunFolder) -> Findings:
    """Return what was found."""
    query = "SELECT iteration, kind, at, actor, phase, waited FROM findings ORDER BY at"
    with folder.reading() as connection:
        iteration, kind, *rest = _columns(connection, query, (), 6)
        return Findings(iteration, tuple(finding_kind(each) for each in kind), *rest)


def first_hang(folder: RunFolder) -> int | None:
    """Return the iteration that was first seen to hang; None where none was."""
    query = "SELECT iteration FROM findings WHERE kind = ? ORDER BY at LIMIT 1"
    with folder.reading() as connection:
        hang = connection.execute(query, (str(Outcome.HANG),)).fetchone()
        return hang[0] if hang else None


def finding_counts(folder: RunFolder) -> dict[str, int]:
    """Return how many findings there are of each kind."""
    with folder.reading() as connection:
        return dict(connection.execute("SELECT kind, count(*) FROM findings GROUP BY kind"))


def last_sample(folder: RunFolder) -> Sample | None:
    """Return how the daemon was at last; None where it was not measured."""
    with folder.reading() as connection:
        connection.row_factory = sqlite3.Row
        row = connection.execute("SELECT * FROM samples ORDER BY rowid DESC LIMIT 1").fetchone()
        return record_of(Sample, row) if row else None


@dataclass(frozen=True)
class DiskUse:
    """What a run took of its disks while its first daemon lived."""

    iterations: int
    seconds: float
    bytes: int


def disk_use(folder: RunFolder) -> DiskUse | None:
    """Return what a run took of its disks; None where fewer than two samples say what was free."""
    builds = "SELECT count(*), max(exited) FROM iterations WHERE generation = 1"
    query = "SELECT disk_free FROM samples WHERE disk_free IS NOT NULL AND at <= ? ORDER BY at"
    with folder.reading() as connection:
        count, seconds = _row(connection, builds)
        free = [value for (value,) in connection.execute(query, [seconds or 0.0])]
        return DiskUse(count, seconds, free[0] - free[-1]) if len(free) > 1 else None


def lives(folder: RunFolder, threshold: float = 0.0) -> LifetimeTable:
    """Return how long each daemon lived without a hang, as `harness.analysis.lifetimes` counts it.

    Args:
        folder: the run's.
        threshold: seconds from a build's export to its hang's being told (`detect.export_hang`).
    """
    query = f"""
        WITH told AS (
            SELECT coalesce(f.generation, 1) AS of, f.at AS at,
                coalesce(i.exported, max(f.at - f.waited, coalesce(i.started, 0))) AS onset
            FROM findings AS f LEFT JOIN iterations AS i ON i.number = f.iteration WHERE f.kind = '{Outcome.HANG}'
        ), hangs AS (
            SELECT of, min(at) AS hung_at, min(onset) AS onset FROM told GROUP BY of
        ), tells AS (
            SELECT EXISTS (SELECT 1 FROM iterations WHERE released IS NOT NULL)
                OR EXISTS (SELECT 1 FROM findings WHERE seen_by = 'history') AS it_does
        ) SELECT
            count(CASE WHEN outcome = '{Outcome.OK}' AND coalesce(exported <= onset, 1)
                AND (it_does OR coalesce(kill_due - exported >= :threshold, 1)) THEN exited - exported END)
                + (max(hung_at) IS NOT NULL),
            max(coalesce(max(hung_at), max(coalesce(exited, cut, started))) - min(started), 0),
            max(hung_at) IS NOT NULL
        FROM iterations LEFT JOIN hangs ON of = coalesce(generation, 1) JOIN tells
        GROUP BY coalesce(generation, 1) ORDER BY coalesce(generation, 1)"""  # noqa: S608 — our own words
    with folder.reading() as connection:
        trials, seconds, hung = _columns(connection, query, {"threshold": threshold}, 3)
        return LifetimeTable(trials, seconds, tuple(map(bool, hung)))


def audits(folder: RunFolder, limit: int = 600) -> Audits:
    """Return what the idle daemon held: every audit, or evenly chosen ones where there are more than `limit`."""
    query = """
        SELECT iteration, series, at, goroutines, lasting, open_files, rss, running, cache
        FROM audits WHERE (rowid - 1) % max(1, (SELECT count(*) FROM audits) / ?) = 0 ORDER BY at"""
    with folder.reading() as connection:
        return Audits(*_columns(connection, query, (limit,), 9))


def _counted(connection: sqlite3.Connection) -> dict[Outcome, int]:
    """Return the outcomes that came, in the order of their declaration; in one pass, for to group is to sort."""
    sums = ", ".join(f"sum(outcome = '{outcome}')" for outcome in Outcome)
    counts = _row(connection, f"SELECT {sums} FROM iterations")  # noqa: S608 — our own words
    return {outcome: count for outcome, count in zip(Outcome, counts, strict=True) if count}


def _end(connection: sqlite3.Connection) -> float:
    """Return the time of the last that was recorded; 0 where nothing was."""
    query = f"""
        SELECT max(coalesce(max({_TIME}), 0), (SELECT coalesce(max(at), 0) FROM samples))
        FROM iterations WHERE rowid > (SELECT max(rowid) FROM iterations) - 64"""  # noqa: S608 — our own words
    end: float = _row(connection, query)[0]
    return end


def _places(connection: sqlite3.Connection, edges: Sequence[float]) -> list[int]:
    """Return for each edge the row at which the iterations that ended later begin; none is left out at either end.

    One whose client never exited goes with the next that did; in the end there are only such, and those go last.
    """
    first, last = _row(connection, "SELECT coalesce(min(rowid), 1), coalesce(max(rowid), 0) FROM iterations")
    exited = "SELECT rowid FROM iterations WHERE exited IS NOT NULL ORDER BY rowid DESC LIMIT 1"
    last_exited = (connection.execute(exited).fetchone() or (first - 1,))[0]
    query = "SELECT exited FROM iterations WHERE rowid >= ? AND exited IS NOT NULL ORDER BY rowid LIMIT 1"
    places = [first]
    for edge in edges[1:-1]:
        low, high = places[-1], last_exited + 1
        while low < high:
            middle = (low + high) // 2
            if _row(connection, query, (middle,))[0] < edge:
                low = middle + 1
            else:
                high = middle
        places.append(low)
    return [*places, last + 1]


def _quantiles(connection: sqlite3.Connection, place: tuple[int, int], n: int) -> tuple[float | None, float | None]:
    """Return the median and the 99th percentile of the `n` tails at a place."""
    if not n:
        return None, None
    query = f"""
        WITH tails AS MATERIALIZED ({_TAILS} AND {_PLACE} ORDER BY tail)
        SELECT (SELECT tail FROM tails LIMIT 1 OFFSET ?), (SELECT tail FROM tails LIMIT 1 OFFSET ?)"""  # noqa: S608 — our own words
    p50, p99 = _row(connection, query, (*place, _rank(n, 0.5), _rank(n, 0.99)))
    return p50, p99


def _within(connection: sqlite3.Connection, found: Mapping[int, tuple[int, float]], rank: int) -> float | None:
    """Return the tail of a rank; only the bin that it lies in is sorted."""
    number = min(found)
    for number, (count, _) in sorted(found.items()):  # noqa: B007 — the one that is left is wanted
        if rank < count:
            break
        rank -= count
    query = f"""
        SELECT tail FROM ({_TAILS}) WHERE {_BIN} = ?
        ORDER BY tail LIMIT 1 OFFSET ?"""  # noqa: S608 — our own words
    tail: float | None = _row(connection, query, (number, rank))[0]
    return tail


def _rank(n: int, share: float) -> int:
    """Return the nearest rank, from 0, as `rates.quantile` takes it."""
    return max(0, math.ceil(share * n) - 1)


def _first_and_last(connection: sqlite3.Connection, column: str) -> tuple[int, int] | None:
    query = f"SELECT {column} FROM samples WHERE {column} IS NOT NULL ORDER BY rowid"  # noqa: S608 — our own names
    first = connection.execute(f"{query} LIMIT 1").fetchone()
    last = connection.execute(f"{query} DESC LIMIT 1").fetchone()
    return (first[0], last[0]) if first and last else None


def _columns(
    connection: sqlite3.Connection, query: str, values: Sequence[object] | Mapping[str, object], width: int
) -> list[tuple[Any, ...]]:
    """Return the columns of what a query returns: as many empty ones where it returns nothing."""
    rows = connection.execute(query, values).fetchall()
    return [*zip(*rows, strict=True)] if rows else [()] * width


def _row(connection: sqlite3.Connection, query: str, values: Sequence[object] = ()) -> tuple[Any, ...]:
    row: tuple[Any, ...] = connection.execute(query, values).fetchone()
    return row
