"""The daemons of a run, one by one: in how many trials, and for how long, each lived until its first hang."""

from collections.abc import Iterable
from dataclasses import dataclass

from harness.outcome import Outcome
from harness.records import Finding, Iteration


@dataclass(frozen=True)
class Life:
    """One daemon, up to its first hang, or to the end of what was asked of it."""

    generation: int
    """Which daemon of the run it is, from 1."""
    trials: int
    """Builds whose export completed and that nobody killed; the one that hung first is the last of them."""
    seconds: float
    """From its first build to its first hang, or to its last build's end."""
    hung: bool
    """Whether a trial hung. A hang behind a build that we timed out ends a life as its time would."""


class Lives:
    """The daemons of a run, from its findings and then its iterations, one at a time."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self._hung: dict[int, float] = {}
        """When each daemon that hung did so first."""
        self._trials: dict[int, int] = {}
        self._counted: set[int] = set()
        """Those whose first hang a client showed."""
        for finding in sorted(findings, key=lambda finding: finding.at):
            daemon = finding.generation
            if finding.kind is Outcome.HANG and daemon not in self._hung:
                self._hung[daemon] = finding.at
                shown = finding.seen_by == "client"
                self._trials[daemon] = int(shown)
                self._counted |= {daemon} if shown else set()
        self._first: dict[int, float] = {}
        self._last: dict[int, float] = {}

    def add(self, iteration: Iteration) -> None:
        """Count one; what a daemon does after its first hang, hang again or go on, is no trial."""
        daemon = iteration.generation
        exited = iteration.started if iteration.exited is None else iteration.exited
        trial = iteration.outcome is Outcome.OK and iteration.tail is not None
        if daemon not in self._hung or exited <= self._hung[daemon]:
            self._trials[daemon] = self._trials.get(daemon, 0) + trial
        self._first[daemon] = min(iteration.started, self._first.get(daemon, iteration.started))
        self._last[daemon] = max(exited, self._last.get(daemon, exited))

    def told(self) -> list[Life]:
        """Return one each, in the order in which they lived."""
        return [
            Life(
                daemon, trials, self._end(daemon) - self._first.get(daemon, self._end(daemon)), daemon in self._counted
            )
            for daemon, trials in sorted(self._trials.items())
        ]

    def _end(self, daemon: int) -> float:
        return self._hung[daemon] if daemon in self._hung else self._last[daemon]


def lives(iterations: Iterable[Iteration], findings: Iterable[Finding]) -> list[Life]:
    """Return the daemons of a run, in the order in which they lived."""
    found = Lives(findings)
    for iteration in iterations:
        found.add(iteration)
    return found.told()
