"""The daemons of a run, one by one: in how many trials, and for how long, each lived until its first hang.

A build's trial is the moment at which its export ends: there it hangs, or it returns. In the order of those moments a
daemon's trials end with its first hang, whether a hang poisons the daemon, or the next build is as likely to hang as
any. Until that hang is told, other builds return, or hang and are not told: none of them is a trial.
"""

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.core.outcome import Outcome
from harness.core.records import Finding, Iteration


@dataclass(frozen=True)
class Life:
    """One daemon, up to its first hang, or to the end of what was asked of it."""

    generation: int
    """Which daemon of the run it is, from 1."""
    trials: int
    """Builds whose export completed, and that would have been seen to hang; the one that hung is the last of them."""
    seconds: float
    """From its first build to its first hang, or to its last build's end."""
    hung: bool
    """Whether it ended with a hang, whoever saw that: its client, or the daemon's history of builds."""
    unsettled: int = 0
    """Builds that we ended while they waited after their export, longer than any that returned: each may have hung."""
    returned_after: int = 0
    """Builds that returned although their export ended after the first hang had begun."""
    hung_after: int = 0
    """Hangs that were told after the first one."""


@dataclass
class _Builds:
    """Builds of one daemon that returned: how many, and when their exports ended, where a hang may come between."""

    count: int = 0
    exported: "array[float]" = field(default_factory=lambda: array("d"))

    def until(self, onset: float) -> int:
        """Return how many exports had ended by then."""
        return sum(moment <= onset for moment in self.exported)


@dataclass
class _Daemon:
    """What is counted of one daemon."""

    hangs: list[Finding] = field(default_factory=list)
    onsets: dict[int, float] = field(default_factory=dict)
    """When each of its hangs began, by iteration."""
    waited_for: _Builds = field(default_factory=_Builds)
    """Builds that would have been seen to hang."""
    due: _Builds = field(default_factory=_Builds)
    """Builds that would have been killed before: only the daemon could have told of a hang."""
    ended: list[tuple[float, float, bool]] = field(default_factory=list)
    """Of builds that we ended: since when each waited, for how long, and whether its phases are known."""
    first: float = math.inf
    last: float = 0.0


class Lives:
    """The daemons of a run, from its findings and then its iterations, one at a time.

    Args:
        findings: all of the run.
        threshold: seconds from a build's export to its hang's being told. A build whose client is due for a kill before
            that is a trial only where the daemon tells what becomes of builds that have lost their clients.
    """

    def __init__(self, findings: Iterable[Finding], threshold: float = 0.0) -> None:
        self._threshold = threshold
        self._tells = False
        self._daemons: dict[int, _Daemon] = {}
        self._longest_tail = self._longest_build = 0.0
        self._of: dict[int, Finding] = {}
        for finding in findings:
            if finding.kind is Outcome.HANG:
                daemon = self._daemons.setdefault(finding.generation, _Daemon())
                daemon.hangs.append(finding)
                daemon.onsets[finding.iteration] = finding.at - finding.waited
                self._of[finding.iteration] = finding
                self._tells |= finding.seen_by == "history"

    def add(self, iteration: Iteration) -> None:
        """Count one."""
        daemon = self._daemons.setdefault(iteration.generation, _Daemon())
        daemon.first = min(daemon.first, iteration.started)
        daemon.last = max(daemon.last, iteration.exited or iteration.cut or iteration.started)
        if iteration.number in self._of:
            daemon.onsets[iteration.number] = onset_of(self._of[iteration.number], iteration)
        elif iteration.released is not None:
            self._tells = True
        elif iteration.outcome is Outcome.OK and iteration.exported is not None and iteration.exited is not None:
            self._returned(daemon, iteration, iteration.exported, iteration.exited)
        elif iteration.outcome in {Outcome.CUT_OFF, Outcome.TIMED_OUT}:
            ended = iteration.killed if iteration.killed is not None else iteration.cut
            since = iteration.started if iteration.exported is None else iteration.exported
            known = iteration.solving is not None  # not of a build in flight as the harness died
            if ended is not None and not (known and iteration.exported is None):
                daemon.ended.append((since, ended - since, known))

    def _returned(self, daemon: _Daemon, build: Iteration, exported: float, exited: float) -> None:
        self._longest_tail = max(self._longest_tail, exited - exported)
        self._longest_build = max(self._longest_build, exited - build.started)
        seen = build.kill_due is None or build.kill_due - exported >= self._threshold
        builds = daemon.waited_for if seen else daemon.due
        builds.count += 1
        if daemon.hangs:
            builds.exported.append(exported)

    def lives(self) -> list[Life]:
        """Return one each, in the order in which they lived."""
        return [self._life(generation, daemon) for generation, daemon in sorted(self._daemons.items())]

    def _life(self, generation: int, daemon: _Daemon) -> Life:
        counted = [daemon.waited_for, daemon.due] if self._tells else [daemon.waited_for]
        count = sum(builds.count for builds in counted)
        longest = {True: self._longest_tail, False: self._longest_build}
        open_ = [since for since, waited, known in daemon.ended if waited > longest[known]]
        if not daemon.hangs:
            first = min(daemon.first, daemon.last)
            return Life(generation, count, daemon.last - first, hung=False, unsettled=len(open_))
        onset = min(daemon.onsets.values())
        before = sum(builds.until(onset) for builds in counted)
        end = min(finding.at for finding in daemon.hangs)
        return Life(
            generation=generation,
            trials=before + 1,
            seconds=end - min(daemon.first, end),
            hung=True,
            unsettled=sum(since <= onset for since in open_),
            returned_after=count - before,
            hung_after=len(daemon.hangs) - 1,
        )


def onset_of(finding: Finding, build: Iteration) -> float:
    """Return when a build began to hang, to the best of what is known: its export's completion, if that was seen."""
    if build.exported is not None:
        return build.exported
    return max(finding.at - finding.waited, build.started)  # attended time is told in beats, so it may be a beat more
