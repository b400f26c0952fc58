"""The hang of the report: every export has completed and the client does not return."""

from dataclasses import dataclass

from harness.client.detectors.base import Stillness
from harness.core.outcome import Outcome, Phase


@dataclass(frozen=True)
class ExportHang:
    """A client that should have been gone for `threshold` attended seconds."""

    threshold: float
    outcome: Outcome = Outcome.HANG

    def waited(self, stillness: Stillness) -> float | None:
        """Return the seconds since the export completed: what is said after that does not start them again."""
        due = stillness.phase is Phase.EXPORTED and stillness.in_phase >= self.threshold
        return stillness.in_phase if due else None
