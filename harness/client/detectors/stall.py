"""A build that stands still before its export has completed; only progress starts its timer again."""

from dataclasses import dataclass

from harness.client.detectors.base import Stillness
from harness.core.outcome import Outcome, Phase


@dataclass(frozen=True)
class Stall:
    """A build without a word for `threshold` attended seconds."""

    threshold: float
    outcome: Outcome = Outcome.STALL

    def waited(self, stillness: Stillness) -> float | None:
        """Return the seconds since the stream last said anything."""
        due = stillness.phase is not Phase.EXPORTED and stillness.silent >= self.threshold
        return stillness.silent if due else None
