"""The detectors of a run, from its scenario's thresholds."""

from harness.detectors.base import Detector
from harness.detectors.export_hang import ExportHang
from harness.detectors.stall import Stall
from harness.scenario import Detect


def detectors(thresholds: Detect) -> tuple[Detector, ...]:
    """Return every detector, set as the scenario says."""
    return (ExportHang(thresholds.export_hang), Stall(thresholds.stall))
