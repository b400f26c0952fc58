"""The errors of a run's builds, counted by their signature, each with its rate."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from harness.analysis.watched_rate import watched_rate
from harness.core.outcome import FAILURES, Outcome, Symptom
from harness.core.records import Action, ActorTotals, FailureCount, Finding, Iteration, Rate

_KINDS_COUNTED: Final = 1_000
"""Kinds of errors that are kept apart: a bound on memory, far above what a daemon has."""
_KINDS_TOLD: Final = 20
_REGISTRY: Final = "registry"
"""The kind of actor whose acts make exports fail."""
_REST: Final = "of other kinds"


class Provocations:
    """When the run's registry was made a bad one by the scenario itself: exports that meet that may fail."""

    def __init__(self) -> None:
        self._spans: dict[int, list[tuple[float, float]]] = {}

    def seen(self, actions: Iterable[Action]) -> Iterator[Action]:
        """Yield the acts again, and take note of those on the registry that requests met."""
        for act in actions:
            if act.kind == _REGISTRY and act.effect and act.acted is not None:
                self._spans.setdefault(act.generation, []).append((act.acted, act.ended))
            yield act

    def met(self, build: Iteration) -> bool:
        """Whether a build had come to its export, and such an act went on before it ended."""
        if build.exporting is None or build.exited is None:
            return False
        spans = self._spans.get(build.generation, ())
        return any(began <= build.exited and ended >= build.exporting for began, ended in spans)


@dataclass
class _Kind:
    first: int
    example: str
    count: int = 0


class Failures:
    """Counts builds whose clients ended by themselves, and those of them that reported an error."""

    def __init__(self, provocations: Provocations | None = None) -> None:
        self.ended = 0
        """Builds that succeeded or failed."""
        self.provoked = 0
        """Of those that failed, how many did in an export that met a fault of the scenario's own."""
        self._provocations = provocations or Provocations()
        self._kinds: dict[tuple[str, Outcome], _Kind] = {}

    def add(self, iteration: Iteration) -> None:
        """Count one."""
        failed = iteration.outcome in FAILURES
        self.ended += failed or iteration.outcome is Outcome.OK
        if failed:
            self.provoked += self._provocations.met(iteration)
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
