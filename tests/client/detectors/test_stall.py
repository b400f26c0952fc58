"""The stall: silence before the export has completed."""

from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.client.activity import Work
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


@pytest.mark.parametrize(
    ("work", "silent", "found"),
    [
        (Work.PROCESS, 1e6, False),
        (Work.DATA, 39.9, False),
        (Work.DATA, 40.0, True),
        (Work.UNKNOWN, 10.0, False),
        (Work.NONE, 10.0, True),
    ],
)
def test_not_while_a_step_is_at_work(work: Work, silent: float, found: bool) -> None:
    """A process that lives is no stall; bytes, which may be another build's, put it off; nobody is asked before."""
    asked = Mock(return_value=work)
    assert (Stall(10.0).waited(Stillness(Phase.SOLVING, 0.0, silent, asked)) is not None) is found
    asked.reset_mock()
    assert Stall(10.0).waited(Stillness(Phase.SOLVING, 0.0, 9.9, asked)) is None
    asked.assert_not_called()


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
