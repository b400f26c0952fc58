"""Made-up runs: lines of builds on daemons that hang at a known rate, recorded as a run records them.

Each build that comes to the end of its export is as likely to hang as any other. In one kind of world a hang poisons
its daemon, so that all later exports hang too; in the other it does not. Clients may be due for a kill, which comes
whether they hang or not. A hang is told once it has lasted for the threshold; then the daemon is renewed, or the run
ends. None of the harness's own analysis is used.
"""

import heapq
import math
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final

from harness.core.outcome import Outcome, Phase
from harness.core.records import Finding, Iteration


@dataclass(frozen=True)
class World:
    """What is true."""

    rate: float
    """The chance that a build hangs as its export ends, on a daemon that has not hung."""
    lines: int = 4
    poisons: bool = True
    """Whether every export hangs after a daemon's first hang."""
    kills: float = 0.0
    """The share of builds whose client is due for a kill."""
    kill_after: tuple[float, float] = (0.2, 4.0)
    """Seconds from a client's start, uniform."""
    history: bool = False
    """Whether the daemon tells of a hang that has lost its client."""
    threshold: float = 5.0
    """Seconds from the export's end to the hang's being told."""
    spread: float = 0.5
    """Of a build's duration, whose median is a second: the standard deviation of its logarithm."""
    between: float = math.inf
    """How alike daemons are: each one's rate is drawn from Beta(rate * between, (1 - rate) * between)."""


@dataclass
class Records:
    """What a run would have recorded."""

    iterations: list[Iteration] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0


def run(world: World, random: Random, *, builds: int = 0, hangs: int = 0, seconds: float = math.inf) -> Records:
    """Return a run that ends after so many builds, hangs, or seconds; a hung daemon is renewed until then."""
    told = Records()
    daemon, hung = 0, True
    while hung and told.seconds < seconds and not (hangs and len(told.findings) >= hangs):
        left = builds - len(told.iterations) if builds else 0
        if builds and left <= 0:
            break
        daemon += 1
        hung = _Daemon(world, random, told, daemon).live(told.seconds + 1.0, left, seconds)
    return told


class _Daemon:
    """One daemon, to its first hang that is told, or to the end."""

    def __init__(self, world: World, random: Random, told: Records, daemon: int) -> None:
        self._world, self._random, self._told, self._number = world, random, told, daemon
        alike = world.between
        self._rate = world.rate
        if alike < math.inf:
            self._rate = random.betavariate(world.rate * alike, (1 - world.rate) * alike)
        self._poisoned = False
        self._finding: Finding | None = None

    def live(self, since: float, builds: int, end: float) -> bool:
        """Make its records; return whether it hung."""
        world, random = self._world, self._random
        starts = [(since + random.random(), line) for line in range(world.lines)]
        moments: list[tuple[float, int, float, int, float | None]] = []
        begun, last = 0, since
        while starts or moments:
            stop = min(end, self._finding.at if self._finding else math.inf)
            if starts and (not moments or starts[0][0] <= moments[0][0]):
                start, line = heapq.heappop(starts)
                if start < stop and not (builds and begun >= builds):
                    begun += 1
                    due = start + random.uniform(*world.kill_after) if random.random() < world.kills else None
                    export = start + random.lognormvariate(0, world.spread)
                    number = len(self._told.iterations) + len(moments) + 1
                    heapq.heappush(moments, (min(export, due or export), number, start, line, due))
                continue
            moment, number, start, line, due = heapq.heappop(moments)
            free = self._one(number, start, moment, due, stop)
            last = max(last, min(free, stop) if free < math.inf else moment)
            if free < stop:
                heapq.heappush(starts, (free, line))
        self._told.seconds = self._finding.at if self._finding else (end if end < math.inf else last)
        if self._finding:
            self._told.findings.append(self._finding)
        return self._finding is not None

    def _one(self, number: int, start: float, moment: float, due: float | None, stop: float) -> float:
        """Record a build whose export ends, or whose kill comes, at a moment; return when its line is free."""
        world, made = self._world, self._told.iterations
        build = partial(_build, number=number, started=start, generation=self._number, due=due)
        if moment > stop:
            made.append(build(Outcome.CUT_OFF, cut=stop))
            return math.inf
        released = (due or 0.0) + 2 * _DEATH if world.history else None
        if moment == due:
            made.append(build(Outcome.TIMED_OUT, killed=due, exited=due + _DEATH, released=released))
            return due + _DEATH
        hangs = self._poisoned or self._random.random() < self._rate
        self._poisoned = world.poisons and (self._poisoned or hangs)
        if not hangs:
            back = moment + self._random.expovariate(200)
            made.append(build(Outcome.OK, exported=moment, exited=back))
            return back
        seen = moment + world.threshold
        if due is not None and due < min(seen, stop):
            made.append(build(Outcome.TIMED_OUT, exported=moment, killed=due, exited=due + _DEATH))
            if world.history:
                self._tell(number, due + world.threshold, stop, "history")
            return due + _DEATH
        if seen > stop:
            made.append(build(Outcome.CUT_OFF, exported=moment, cut=stop))
        else:
            made.append(build(Outcome.HANG, exported=moment))
            self._tell(number, seen, stop, "client")
        return math.inf

    def _tell(self, iteration: int, at: float, stop: float, seen_by: str) -> None:
        if at > stop:
            return
        self._finding = Finding(
            iteration=iteration,
            kind=Outcome.HANG,
            at=at,
            actor="ci",
            args={},
            phase=Phase.EXPORTED,
            waited=self._world.threshold,
            completed_steps=1,
            last_progress=(),
            hunted=True,
            generation=self._number,
            seen_by=seen_by,
        )


_DEATH: Final = 0.05
"""Seconds from the signal to a client's end."""


def _build(
    outcome: Outcome,
    *,
    number: int,
    started: float,
    generation: int,
    due: float | None,
    exported: float | None = None,
    exited: float | None = None,
    killed: float | None = None,
    cut: float | None = None,
    released: float | None = None,
) -> Iteration:
    return Iteration(
        number=number,
        actor="ci",
        args={},
        outcome=outcome,
        started=started,
        solving=started,
        exporting=exported,
        exported=exported,
        exited=exited,
        killed=killed,
        returncode=None if exited is None else 0,
        generation=generation,
        released=released,
        kill_due=due,
        cut=cut,
    )
