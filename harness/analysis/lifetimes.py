"""The daemons of a run, one by one: in how many trials, and for how long, each lived until its first hang."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from harness.core.outcome import Outcome
from harness.core.records import Finding, Iteration

_UNSETTLED: Final = frozenset({Outcome.HANG, Outcome.STALL, Outcome.CUT_OFF})
"""What would have become of such a build, had its daemon not hung, nobody knows."""


@dataclass(frozen=True)
class Life:
    """One daemon, up to its first hang, or to the end of what was asked of it."""

    generation: int
    """Which daemon of the run it is, from 1."""
    trials: int
    """Builds whose export completed and that nobody killed; the one that hung is the last of them."""
    seconds: float
    """From its first build to its first hang, or to its last build's end."""
    hung: bool
    """Whether it ended with a hang in a trial; one behind a build that we timed out ends it as any other end does."""
    unsettled: int = 0
    """Builds that nobody killed, in flight as it hung: of each nobody knows whether it would have hung by itself."""


class Lives:
    """The daemons of a run, from its findings and then its iterations, one at a time."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self._hangs: dict[int, Finding] = {}
        for finding in sorted(findings, key=lambda finding: finding.at):
            if finding.kind is Outcome.HANG:
                self._hangs.setdefault(finding.generation, finding)
        self._trials = {daemon: int(hang.seen_by == "client") for daemon, hang in self._hangs.items()}
        self._onset: dict[int, float] = {daemon: hang.at - hang.waited for daemon, hang in self._hangs.items()}
        self._open: dict[int, list[float]] = {}
        self._first: dict[int, float] = {}
        self._last: dict[int, float] = {}

    def add(self, iteration: Iteration) -> None:
        """Count one; what a daemon does after its first hang, hang again or go on, is no trial."""
        daemon = iteration.generation
        exited = iteration.started if iteration.exited is None else iteration.exited
        trial = iteration.outcome is Outcome.OK and iteration.tail is not None
        hang = self._hangs.get(daemon)
        if hang is None or (iteration.exited is not None and iteration.exited <= hang.at):
            self._trials[daemon] = self._trials.get(daemon, 0) + trial
        elif iteration.number == hang.iteration:
            self._onset[daemon] = onset_of(hang, iteration)
        elif trial or (iteration.outcome in _UNSETTLED and iteration.seen_by == "client"):
            self._open.setdefault(daemon, []).append(iteration.started)
        self._first[daemon] = min(iteration.started, self._first.get(daemon, iteration.started))
        self._last[daemon] = max(exited, self._last.get(daemon, exited))

    def told(self) -> list[Life]:
        """Return one each, in the order in which they lived."""
        return [self._life(daemon, trials) for daemon, trials in sorted(self._trials.items())]

    def _life(self, daemon: int, trials: int) -> Life:
        hang = self._hangs.get(daemon)
        end = hang.at if hang else self._last[daemon]
        hung = bool(hang and hang.seen_by == "client")
        unsettled = sum(started <= self._onset[daemon] for started in self._open.get(daemon, ())) if hung else 0
        return Life(daemon, trials, end - self._first.get(daemon, end), hung, unsettled)


def onset_of(finding: Finding, build: Iteration) -> float:
    """Return when a build began to hang, to the best of what is known: its export's completion, if that was seen."""
    if build.exported is not None:
        return build.exported
    return max(finding.at - finding.waited, build.started)  # attended time is told in beats, so it may be a beat more


def lives(iterations: Iterable[Iteration], findings: Iterable[Finding]) -> list[Life]:
    """Return the daemons of a run, in the order in which they lived."""
    found = Lives(findings)
    for iteration in iterations:
        found.add(iteration)
    return found.told()
