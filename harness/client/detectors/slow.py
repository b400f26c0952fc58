"""A client that returned after its export, and took far longer for it than those before it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from harness.client.detectors.base import Detection, Success
from harness.core.outcome import Symptom
from harness.core.units import format_duration

_LEAST_SECONDS: Final = 1.0
"""The tail is some 5 ms where nothing is wrong: a hundred times that is still what a busy host does to any process."""


@dataclass(frozen=True)
class Slow:
    """A tail of more than `times` the median."""

    times: float
    usual: Callable[[], float | None]
    """The median of the run's tails so far, in seconds; None while they are too few."""

    def weigh(self, build: Success) -> Detection | None:
        """Return a finding where the build's tail is too long."""
        usual = self.usual()
        if build.tail is None or usual is None or build.tail < max(_LEAST_SECONDS, self.times * usual):
            return None
        took, median = format_duration(round(build.tail, 1)), f"{1000 * usual:.1f} ms"
        text = f"the client returned {took} after its export, where half of those before it took less than {median}"
        return Detection(Symptom.SLOW, build.tail, text)
