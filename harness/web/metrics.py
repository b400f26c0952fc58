"""The runs as Prometheus metrics: those that go on, and those of the last day; older ones would only be labels."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from harness.core.errors import StoreError
from harness.core.outcome import Outcome
from harness.report.standing import standing
from harness.store import aggregate
from harness.store.folder import RunFolder
from harness.store.folders import require_no_way_out
from harness.web.cached_answer import CachedAnswer, CacheSource
from harness.web.runs import Runs, last_record

_Family = GaugeMetricFamily | CounterMetricFamily
_RECENT: Final = 24 * 3600.0
_RUN: Final = ("scenario", "run")
_SAMPLED: Final = (
    ("goroutines", "goroutines", "Goroutines of the daemon."),
    ("rss", "memory_bytes", "Resident bytes of the daemon's processes."),
    ("cpu", "cpu_cores", "Cores that the daemon's processes use."),
    ("running", "builds_in_flight", "Builds in flight."),
    ("own_rss", "harness_memory_bytes", "Resident bytes of the harness."),
    ("own_cpu", "harness_cpu_cores", "Cores that the harness uses."),
    ("unattended", "unattended_seconds", "Seconds that count towards no threshold: the host was held up."),
)
"""Columns of the last sample, and what they are as a metric."""


def metrics_of(runs: Runs) -> bytes:
    """Return the metrics in Prometheus's text format."""
    registry = CollectorRegistry()
    registry.register(_Collector(runs))
    return generate_latest(registry)


class Metrics:
    """The metrics of a moment ago: requests at the same time share one reading of the runs."""

    def __init__(self, runs: Runs) -> None:
        self._source = CacheSource(
            traces=lambda: (time.monotonic(), None), make=lambda: metrics_of(runs)
        )  # a run's age is another each time
        self._kept: CachedAnswer[bytes] = CachedAnswer()

    async def text(self) -> bytes:
        """Return them in Prometheus's text format."""
        return await self._kept.get(self._source)


class _Collector(Collector):
    """Reads the runs at every scrape."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering reads no run."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield each metric of each run; a run that cannot be read is counted as such."""
        families: dict[str, _Family] = {
            "state": GaugeMetricFamily("repro_run_goes_on", "1 while the run goes on.", labels=_RUN),
            "iterations": CounterMetricFamily(
                "repro_iterations", "Iterations that are over.", labels=(*_RUN, "outcome")
            ),
            "findings": CounterMetricFamily("repro_findings", "Hangs and stalls.", labels=(*_RUN, "kind")),
            "age": GaugeMetricFamily(
                "repro_last_record_age_seconds", "Seconds since something was last recorded.", labels=_RUN
            ),
            **{column: GaugeMetricFamily(f"repro_{name}", text, labels=_RUN) for column, name, text in _SAMPLED},
        }
        unreadable = 0
        for folder in self._runs.folders():
            age = last_record(folder)
            if age > _RECENT and not folder.is_locked:
                continue
            try:
                _add(families, folder, age)
            except StoreError:
                unreadable += 1
        yield from families.values()
        yield GaugeMetricFamily("repro_unreadable_runs", "Recent runs whose records cannot be read.", value=unreadable)


def _add(families: dict[str, _Family], folder: RunFolder, age: float) -> None:
    """Add a run's figures, all or none."""
    run = (folder.path.parent.name, folder.name)
    require_no_way_out(folder.path)
    stands = standing(folder)
    if stands.state is None:
        raise StoreError(folder.path, stands.because)
    found: dict[str, int] = {}
    last = None
    counts: Mapping[Outcome, int] = {}
    if (folder.path / "run.db").exists():
        counts = aggregate.outcomes(folder).counts
        found, last = aggregate.finding_counts(folder), aggregate.last_sample(folder)
    families["state"].add_metric(run, float(stands.state == "goes on"))
    if age < float("inf"):
        families["age"].add_metric(run, age)
    for outcome, count in counts.items():
        families["iterations"].add_metric((*run, str(outcome)), count)
    for kind, count in found.items():
        families["findings"].add_metric((*run, kind), count)
    for column, _, _ in _SAMPLED if last else ():
        if (value := getattr(last, column)) is not None:
            families[column].add_metric(run, value)
