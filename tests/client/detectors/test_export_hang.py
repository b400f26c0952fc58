"""The export hang: only after every export has completed, and from that moment on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.client.detectors.base import Stillness
from harness.client.detectors.export_hang import ExportHang
from harness.core.outcome import Outcome, Phase

TIMES = st.floats(0, 1e6)


@pytest.mark.parametrize("phase", Phase)
def test_only_after_the_export(phase: Phase) -> None:
    """A build that stands still anywhere else is no export hang, however long it stands."""
    waited = ExportHang(60.0).waited(Stillness(phase, 1e6, 1e6))
    assert waited == (1e6 if phase is Phase.EXPORTED else None)


@given(TIMES, TIMES, TIMES)
def test_from_the_threshold_on(threshold: float, in_phase: float, silent: float) -> None:
    """It is found from the threshold on, the threshold included, and what is said after the export does not count."""
    waited = ExportHang(threshold).waited(Stillness(Phase.EXPORTED, in_phase, silent))
    assert waited == (in_phase if in_phase >= threshold else None)


def test_what_it_finds() -> None:
    """It finds hangs."""
    assert ExportHang(60.0).outcome is Outcome.HANG
