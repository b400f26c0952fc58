"""A build that stands still before its export has completed; only progress starts its timer again."""

from dataclasses import dataclass
from typing import Final

from harness.client.activity import Work
from harness.client.detectors.base import Stillness
from harness.core.outcome import Outcome, Phase

_AT_WORK: Final = 4
"""How many times as long a build may say nothing whose daemon reads and writes: that may be for another build."""


@dataclass(frozen=True)
class Stall:
    """A build without progress for `threshold` attended seconds, none of whose steps is seen to work."""

    threshold: float
    outcome: Outcome = Outcome.STALL

    def waited(self, stillness: Stillness) -> float | None:
        """Return the seconds since the stream last said anything; None while a step's process lives."""
        if stillness.phase is Phase.EXPORTED or stillness.silent < self.threshold:
            return None
        work = stillness.work()
        is_excused = work in {Work.PROCESS, Work.UNKNOWN} or (
            work is Work.DATA and stillness.silent < _AT_WORK * self.threshold
        )
        return None if is_excused else stillness.silent
