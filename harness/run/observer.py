"""The events of a run as a Protocol, and an observer that ignores them."""

from typing import Protocol

from harness.core.manifest import DaemonFacts
from harness.core.records import Action, Finding, Iteration, Sample
from harness.scenario import Scenario
from harness.store.folder import RunFolder
from harness.store.resume_point import ResumePoint


class Observer(Protocol):
    """Receives the events of a run: a screen, a log, nothing."""

    def iterated(self, iteration: Iteration) -> None:
        """An iteration came to its outcome."""
        ...

    def acted(self, action: Action) -> None:
        """Another actor has acted."""
        ...

    def found(self, finding: Finding) -> None:
        """A hang or a stall was seen, just now."""
        ...

    def sampled(self, sample: Sample) -> None:
        """Daemon, host and harness were measured."""
        ...


class Reporter(Observer, Protocol):
    """An observer that also hears of the run's beginning, and of what keeps it."""

    def doing(self, what: str) -> None:
        """Something that may take a while has begun, such as `capturing the evidence of iteration 7`."""
        ...

    def started(self, scenario: Scenario, folder: RunFolder, facts: DaemonFacts, seed: int, past: ResumePoint) -> None:
        """The daemon is up, and the run begins, or goes on after its past."""
        ...


class NullObserver:
    """An audience of none, for runs that are told of as a whole."""

    def doing(self, what: str) -> None:
        """Nobody hears of it."""

    def started(self, scenario: Scenario, folder: RunFolder, facts: DaemonFacts, seed: int, past: ResumePoint) -> None:
        """Nobody hears of it."""

    def iterated(self, iteration: Iteration) -> None:
        """Nobody hears of it."""

    def acted(self, action: Action) -> None:
        """Nobody hears of it."""

    def found(self, finding: Finding) -> None:
        """Nobody hears of it."""

    def sampled(self, sample: Sample) -> None:
        """Nobody hears of it."""
