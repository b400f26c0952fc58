"""The detectors of a run, from its scenario's thresholds."""

from collections.abc import Callable

from harness.client.detectors.base import Detector, SuccessDetector
from harness.client.detectors.export_hang import ExportHang
from harness.client.detectors.slow import Slow
from harness.client.detectors.stall import Stall
from harness.scenario import Detect, Scenario


def detectors(thresholds: Detect) -> tuple[Detector, ...]:
    """Return every detector, set as the scenario says."""
    return (ExportHang(thresholds.export_hang), Stall(thresholds.stall))


def success_detectors(scenario: Scenario, usual_tail: Callable[[], float | None]) -> tuple[SuccessDetector, ...]:
    """Return those of builds that have succeeded, as far as the scenario wants them, but for the cache's.

    Args:
        scenario: as it is run.
        usual_tail: the median of the tails so far, in seconds.
    """
    return (Slow(scenario.slow_times, usual_tail),) if scenario.slow_times else ()
