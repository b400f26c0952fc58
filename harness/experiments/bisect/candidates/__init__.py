"""What is searched: ordered toolchains, oldest first, and how to have each."""

from harness.experiments.bisect.candidates.base import Candidate, CannotBeHad, Options, Range, TellsCost
from harness.experiments.bisect.candidates.ends import EndsCannotBeHad, require_ends
from harness.experiments.bisect.candidates.table import RANGES, resolve_range

__all__ = [
    "RANGES",
    "Candidate",
    "CannotBeHad",
    "EndsCannotBeHad",
    "Options",
    "Range",
    "TellsCost",
    "require_ends",
    "resolve_range",
]
