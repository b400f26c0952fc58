"""What the charts of a run show, by the name of the source: columns of equal length, plain enough for JSON.

A page that follows a run gives each source of the figures the columns of that name anew.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from harness.core.outcome import Outcome
from harness.core.units import format_duration
from harness.store import aggregate
from harness.store.folder import RunFolder
from harness.store.shards import ShardSamples, shard_samples

Columns = Mapping[str, Sequence[Any]]

COLOURS: Final[Mapping[Outcome, str]] = {
    Outcome.OK: "#5b9a72",
    Outcome.TIMED_OUT: "#a9bcc9",
    Outcome.FAILED: "#dd9a3c",
    Outcome.LATE_FAILURE: "#b5651d",
    Outcome.HANG: "#c1121f",
    Outcome.STALL: "#7b2cbf",
    Outcome.INFRA: "#8d6e63",
    Outcome.CUT_OFF: "#d9d9d9",
}
_SHADES: Final = ("#f4a259", "#5b8ebf", "#9381ff", "#8cb369", "#bc4b51", "#6d6875")
"""What other actors are drawn in, in the order in which they first act."""
_SHARDS: Final = ("#1d3557", "#e07a5f", "#2a9d8f", "#9d4edd", "#b08900", "#d62828", "#4d908e", "#6c757d")
"""What daemons side by side are drawn in."""
_LEAST_SHADE, _MOST_SHADE = 0.35, 1.0
_LEAST_BINS, _MOST_BINS = 40, 300
_MIB: Final = 2**20
_MILLISECONDS: Final = 1000
_MINUTE: Final = 60


def columns_of(
    folder: RunFolder, bins: int | None = None, tails: aggregate.TailHistogram | None = None
) -> dict[str, Columns]:
    """Return the columns of every source; without `bins`, as many as the run has iterations, within reason.

    Who has the tails already gives them along: they take long.

    ``time`` has one row: `end`, the last second of the common axis, and `bin`, the seconds of a bin. ``outcomes`` has a
    column by each outcome's name, also of those that never came. Tails are in milliseconds, memory in MiB, all else as
    it was recorded. What was not measured has no row. ``shards`` has a row a daemon, of those side by side, and in it
    lists; none where there is one.
    """
    bins = bins or min(max(aggregate.iterations(folder), _LEAST_BINS), _MOST_BINS)
    return _columns(
        aggregate.timeline(folder, bins),
        aggregate.samples(folder, bins),
        aggregate.spans(folder),
        aggregate.findings(folder),
        tails or aggregate.tails(folder),
        aggregate.audits(folder),
        shard_samples(folder, bins),
    )


def no_columns() -> dict[str, Columns]:
    """Return the columns of every source for a run that has recorded nothing."""
    return _columns(
        aggregate.Timeline(since=(), until=(), outcomes={}, p50=(), p99=(), longest=()),
        aggregate.Samples(*[()] * 12),
        aggregate.Spans(*[()] * 6),
        aggregate.Findings(*[()] * 6),
        aggregate.TailHistogram(since=(), until=(), counts=(), n=0, p50=None, p99=None, longest=None),
        aggregate.Audits(*[()] * 9),
        {},
    )


def _columns(
    line: aggregate.Timeline,
    measured: aggregate.Samples,
    acts: aggregate.Spans,
    found: aggregate.Findings,
    tails: aggregate.TailHistogram,
    audits: aggregate.Audits,
    shards: Mapping[int, ShardSamples],
) -> dict[str, Columns]:
    end = max([*line.until[-1:], *measured.at[-1:], *acts.until[-1:], 1.0])
    none = (0,) * len(line.since)
    return {
        "time": {"end": [end], "bin": [line.until[0] - line.since[0] if line.since else 0.0]},
        "outcomes": {
            "since": line.since,
            "until": line.until,
            "middle": [(since + until) / 2 for since, until in zip(line.since, line.until, strict=True)],
            "width": [until - since for since, until in zip(line.since, line.until, strict=True)],
            **{str(outcome): line.outcomes.get(outcome, none) for outcome in Outcome},
        },
        "tail": _measured(
            at=line.until,
            p50=_times(line.p50, _MILLISECONDS),
            p99=_times(line.p99, _MILLISECONDS),
            longest=_times(line.longest, _MILLISECONDS),
        ),
        "goroutines": _measured(at=measured.at, least=measured.goroutines_least, most=measured.goroutines_most),
        "memory": _measured(
            at=measured.at, least=_times(measured.rss_least, 1 / _MIB), most=_times(measured.rss_most, 1 / _MIB)
        ),
        "cpu": _measured(at=measured.at, mean=measured.cpu, most=measured.cpu_most),
        "running": _measured(at=measured.at, least=measured.running_least, most=measured.running_most),
        "own": _measured(at=measured.at, cpu=measured.own_cpu, rss=_times(measured.own_rss, 1 / _MIB)),
        "acts": _shaded(acts),
        "findings": _marked(found),
        "tails": _histogram(tails),
        "audits": _audited(audits),
        "held": _measured(at=audits.at, records=audits.running),
        "cache": _measured(at=audits.at, records=audits.cache),
        "shards": _apart(shards),
    }


def shades(acts: Columns) -> dict[str, str]:
    """Return the colour of each actor that has a lane, from the columns of ``acts``."""
    return dict(zip(acts["actor"], acts["colour"], strict=True))


def titles(columns: Mapping[str, Columns]) -> dict[str, str]:
    """Return what stands above each chart: what it shows, in what unit, and how wide a bin is."""
    (bin_,) = columns["time"]["bin"]
    each = f" each {format_duration(round(bin_, 1) if bin_ < _MINUTE else round(bin_))}" if bin_ else ""
    return {
        "outcomes": f"Builds that ended{each}, by outcome",
        "acts": "When other actors acted, a lane each",
        "tail": f"Tail: from export to exit, ms; of the builds{each}" if each else "Tail: from export to exit, ms",
        "goroutines": f"Goroutines of the daemon; least and most{each}",
        "memory": f"Memory of the daemon, MiB; least and most{each}",
        "cpu": f"CPU of the daemon, cores; mean and most{each}",
        "running": f"Builds in flight; least and most{each}",
        "held": "Builds that the idle daemon held, at audits",
        "cache": "Records in the daemon's cache, at audits",
        "tails": "How long builds took from export to exit, ms; ten bins a decade",
        "audits": "Goroutines that last, at audits of the idle daemon",
    }


def _shaded(acts: aggregate.Spans) -> Columns:
    colours = {actor: _SHADES[place % len(_SHADES)] for place, actor in enumerate(dict.fromkeys(acts.actor))}
    return {
        "since": acts.since,
        "until": acts.until,
        "actor": acts.actor,
        "kind": acts.kind,
        "count": acts.count,
        "colour": [colours[actor] for actor in acts.actor],
        "alpha": [_LEAST_SHADE + (_MOST_SHADE - _LEAST_SHADE) * busy for busy in acts.busy],
    }


def _marked(found: aggregate.Findings) -> Columns:
    return {
        # where it was, not where it was told: that comes only once nothing has for as long as the scenario says
        "at": [max(0.0, at - waited) for at, waited in zip(found.at, found.waited, strict=True)],
        "iteration": found.iteration,
        "kind": [str(kind) for kind in found.kind],
        "actor": found.actor,
        "colour": [COLOURS[kind if isinstance(kind, Outcome) else Outcome.FAILED] for kind in found.kind],
    }


def _histogram(tails: aggregate.TailHistogram) -> Columns:
    return {
        "since": _times(tails.since, _MILLISECONDS),
        "until": _times(tails.until, _MILLISECONDS),
        "count": tails.counts,
    }


def _audited(audits: aggregate.Audits) -> Columns:
    return _measured(
        iteration=audits.iteration, lasting=audits.lasting, series=[str(number) for number in audits.series]
    )


def _apart(shards: Mapping[int, ShardSamples]) -> Columns:
    """Return a row for each of the daemons side by side, with a line of each measure."""
    lines = [
        {
            "goroutines": _measured(at=seen.at, y=seen.goroutines),
            "memory": _measured(at=seen.at, y=_times(seen.rss, 1 / _MIB)),
            "cpu": _measured(at=seen.at, y=seen.cpu),
        }
        for seen in shards.values()
    ]
    return {
        "shard": [f"shard {shard}" for shard in shards],
        "colour": [_SHARDS[place % len(_SHARDS)] for place in range(len(shards))],
        **{name: [line[name]["y"] for line in lines] for name in ("goroutines", "memory", "cpu")},
        **{f"{name}_at": [line[name]["at"] for line in lines] for name in ("goroutines", "memory", "cpu")},
    }


def _measured(**columns: Sequence[Any]) -> Columns:
    """Return the columns without the rows in which something was not measured."""
    rows = [row for row in zip(*columns.values(), strict=True) if None not in row]
    return {name: [row[place] for row in rows] for place, name in enumerate(columns)}


def _times(values: Sequence[float | None], factor: float) -> list[float | None]:
    return [None if value is None else value * factor for value in values]
