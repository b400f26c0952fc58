"""The detectors of a run, from its scenario's thresholds."""

from harness.client.detectors.base import Detector
from harness.client.detectors.export_hang import ExportHang
from harness.client.detectors.stall import Stall
from harness.scenario import Detect


def detectors(thresholds: Detect) -> tuple[Detector, ...]:
    """Return every detector, set as the scenario says."""
    return (ExportHang(thresholds.export_hang), Stall(thresholds.stall))
