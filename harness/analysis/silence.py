"""How much the silence of B says, given how often A hung, where several hosts made the looks.

Hosts differ in how often daemons hang on them, and a host on which A hangs soon is free again soon: so it makes more of
the looks at A than of those at B, and with all hosts taken as one an A looks worse than the same daemon as B. So B's
builds count only as far as B has them on each host in the share that A had there. A B as bad as A on each host then has
at least so many times the hangs that were due on A, and what was due on A until its n-th hang is known as of one host.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from harness.analysis.exposure import Exposure
from harness.analysis.rates import fewest
from harness.analysis.two_sample import chance_of_silence, clean_needed, ratio_excluded

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Silence:
    """B's silence, on the hosts on which both were looked at; on all of A's before A's hang was on one of them."""

    hangs: int
    """Of A."""
    trials: tuple[int, ...]
    """Of A, on each host; above 0."""
    clean: tuple[int, ...]
    """Of B, on each of them, all without a hang."""
    elsewhere: int = 0
    """Trials of B on other hosts, which say nothing."""

    @classmethod
    def of(cls, a: Sequence[Exposure], b: Sequence[Exposure], hosts: Collection[str] = ()) -> "Silence":
        """Return it for looks at A, some of which hung, and at B, of which the trials are without a hang.

        Args:
            a: the looks at A.
            b: those at B.
            hosts: those that are there still, where others have gone: what is missing is to come from these alone. All
                where there are none, or where A has not hung on them.
        """
        there = {each.host for each in a if each.hung and each.host in hosts} and {*hosts}
        of_a = sorted({each.host for each in a if each.builds and (not there or each.host in there)})
        both = [host for host in of_a if any(each.host == host for each in b)]
        chosen = both if any(each.hung and each.host in both for each in a) else of_a
        return cls(
            hangs=sum(each.hung for each in a if each.host in chosen),
            trials=tuple(sum(each.builds for each in a if each.host == host) for host in chosen),
            clean=tuple(sum(each.builds for each in b if each.host == host) for host in chosen),
            elsewhere=sum(each.builds for each in b if each.host not in chosen),
        )

    @property
    def all_clean(self) -> int:
        """All of B's trials."""
        return sum(self.clean) + self.elsewhere

    @property
    def matched(self) -> int:
        """As many of B's trials as B has on each host in A's share."""
        return self._matched(self.clean)

    def _matched(self, clean: Sequence[float]) -> int:
        if len(clean) == 1:
            return math.floor(clean[0] + _ROUNDING)
        times = min(of_b / of_a for of_a, of_b in zip(self.trials, clean, strict=True))
        return math.floor(times * sum(self.trials) + _ROUNDING)

    def chance(self, ratio: float) -> float:
        """Return how likely a B that is `ratio` times as bad as A on each host is as silent on all of them."""
        return chance_of_silence(self.hangs, sum(self.trials), self.matched, ratio)

    def needed(self, confidence: float, ratio: float) -> int:
        """Return how many trials in all bring that chance to 1 - `confidence`, if hosts share them as so far."""
        enough = clean_needed(self.hangs, sum(self.trials), confidence, ratio)
        if not all(self.clean):
            return self.all_clean + enough
        shares = [each / self.all_clean for each in self.clean]
        return fewest(lambda trials: self._matched([share * trials for share in shares]) >= enough)

    def missing(self, confidence: float, ratio: float) -> int:
        """Return how many of these are not made yet."""
        return max(self.needed(confidence, ratio) - self.all_clean, 0)

    def excluded(self, confidence: float) -> float:
        """Return how many times as bad as A B is at most, at `confidence`; infinite where nothing says so."""
        return ratio_excluded(self.hangs, sum(self.trials), self.matched, confidence)
