"""The errors of a run's builds, counted by their signature, each with its rate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from harness.analysis.watched_rate import watched_rate
from harness.core.outcome import FAILURES, Outcome, Symptom
from harness.core.records import ActorTotals, FailureCount, Finding, Iteration, Rate

_KINDS_COUNTED: Final = 1_000
"""Kinds of errors that are kept apart: a bound on memory, far above what a daemon has."""
_KINDS_TOLD: Final = 20
_REST: Final = "of other kinds"


@dataclass
class _Kind:
    first: int
    example: str
    count: int = 0


class Failures:
    """Counts builds whose clients ended by themselves, and those of them that reported an error."""

    def __init__(self) -> None:
        self.ended = 0
        """Builds that succeeded or failed."""
        self._kinds: dict[tuple[str, Outcome], _Kind] = {}

    def add(self, iteration: Iteration) -> None:
        """Count one."""
        failed = iteration.outcome in FAILURES
        self.ended += failed or iteration.outcome is Outcome.OK
        if failed:
            key = (iteration.failure or " ".join(iteration.error.split()), iteration.outcome)
            if key not in self._kinds and len(self._kinds) >= _KINDS_COUNTED:
                key = (_REST, iteration.outcome)
            kind = self._kinds.setdefault(key, _Kind(iteration.number, iteration.error))
            kind.count += 1

    @property
    def failed(self) -> int:
        """How many told an error."""
        return sum(kind.count for kind in self._kinds.values())

    def counts(self) -> tuple[FailureCount, ...]:
        """Return the commonest kinds, the commonest first."""
        commonest = sorted(self._kinds.items(), key=lambda item: -item[1].count)[:_KINDS_TOLD]
        return tuple(
            FailureCount(
                text=text,
                outcome=outcome,
                count=kind.count,
                first=kind.first,
                example=kind.example,
                rate=watched_rate(kind.count, self.ended),
            )
            for (text, outcome), kind in commonest
        )


def symptom_rates(findings: list[Finding], ended: int, actors: Mapping[str, ActorTotals]) -> dict[str, Rate]:
    """Return how often findings came that are neither hangs nor stalls: of an act per act, of all else per build."""
    rates: dict[str, Rate] = {}
    for kind in dict.fromkeys(finding.kind for finding in findings):
        if kind in {Outcome.HANG, Outcome.STALL}:
            continue
        count = sum(finding.kind is kind for finding in findings)
        acts = sum(totals.acts for totals in actors.values())
        trials = acts if kind is Symptom.ACT else ended
        rates[str(kind)] = watched_rate(count, max(count, trials))
    return rates
