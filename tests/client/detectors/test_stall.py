"""The stall: silence before the export has completed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.client.detectors.base import Detector, Stillness
from harness.client.detectors.export_hang import ExportHang
from harness.client.detectors.stall import Stall
from harness.client.detectors.table import detectors
from harness.core.outcome import Outcome, Phase
from harness.scenario import Detect

TIMES = st.floats(0, 1e6)


@pytest.mark.parametrize("phase", [Phase.STARTED, Phase.SOLVING, Phase.EXPORTING])
def test_before_the_export(phase: Phase) -> None:
    """A build that says nothing before its export has completed stalls, wherever it stands, from the threshold on."""
    stall = Stall(10.0)
    assert stall.waited(Stillness(phase, 1e6, 9.99)) is None
    assert stall.waited(Stillness(phase, 0.0, 10.0)) == 10.0
    assert stall.outcome is Outcome.STALL


@given(TIMES, TIMES, TIMES)
def test_only_progress_starts_it_again(threshold: float, in_phase: float, silent: float) -> None:
    """Only how long the stream is silent counts, not how long the phase lasts."""
    waited = Stall(threshold).waited(Stillness(Phase.SOLVING, in_phase, silent))
    assert waited == (silent if silent >= threshold else None)


def test_not_after_the_export() -> None:
    """Silence after the export is the other detector's."""
    assert Stall(10.0).waited(Stillness(Phase.EXPORTED, 1e6, 1e6)) is None


def test_the_table() -> None:
    """A run has both detectors, each with its own threshold."""
    made: list[Detector] = [ExportHang(3.0), Stall(7.0)]
    thresholds = Detect.model_validate({"export_hang": "3s", "stall": "7s"})
    assert sorted(detectors(thresholds), key=str) == sorted(made, key=str)


@given(st.sampled_from(Phase), TIMES, TIMES)
def test_one_finding_at_most(phase: Phase, in_phase: float, silent: float) -> None:
    """No build is both a hang and a stall."""
    still = Stillness(phase, in_phase, silent)
    found = [detector.outcome for detector in detectors(Detect()) if detector.waited(still) is not None]
    assert len(found) <= 1
