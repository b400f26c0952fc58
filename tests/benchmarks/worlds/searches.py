"""Searches in histories that are made up, many not as a search expects: how often it is right.

Run by hand: ``python -m tests.benchmarks.worlds.searches [--searches N] [--first SEED] [--only WORLD]``. It drives
`BisectSearch` itself, with daemons that are pretended, and shares no code with what a search believes. An answer is
right that has a culprit among the candidates that it names.
"""

import argparse
import asyncio
import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any, Final, Literal

import numpy as np

from harness.cli.kinds import VOCABULARY
from harness.core.outcome import Ending
from harness.experiments.bisect.candidates import CannotBeHad
from harness.experiments.bisect.candidates.base import chain
from harness.experiments.bisect.search import BisectSearch
from harness.experiments.bisect.state import BisectRequest, ListedCandidate, Observation, State
from harness.experiments.short_run import ShortRun
from harness.scenario import load
from tests.support.stub_runs import write_scenario

COUNT: Final = 40
SECONDS: Final = (60.0, 5.0, 0.5)
"""To build a candidate, to start a daemon, and of a build."""
LOOKS: Final = 400
"""A search that takes more than these has not answered."""
NEVER: Final = 2**40


@dataclass(frozen=True)
class World:
    """How often the daemons of a history hang."""

    rates: tuple[float, ...]
    """Per build: of the oldest, and from each culprit on."""
    daemons: float | Literal["all or nothing"] | None = None
    """By how much daemons of one candidate differ: the shape of the gamma distribution of their rates."""
    candidates: float | None = None
    """The same of candidates."""
    renamed: bool = False
    """Whether hangs of the first bad candidates, up to one anywhere, have another name."""
    another: float = 0.0
    """How often each candidate, good or bad, hangs for another fault, in other functions."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """What the search is told."""


WORLDS: Final[Mapping[str, World]] = {
    "as expected, 0.3": World((0, 0.3)),
    "as expected, 0.03": World((0, 0.03)),
    "candidates differ, shape 4, 0.03": World((0, 0.03), candidates=4),
    "good ones hang 1 in 1,000; 0.3": World((0.001, 0.3)),
    "good ones hang 1 in 1,000; 0.03": World((0.001, 0.03)),
    "raised, 0.003 to 0.03": World((0.003, 0.03)),
    "raised, 0.03 to 0.3": World((0.03, 0.3)),
    "daemons differ, shape 4, 0.03": World((0, 0.03), daemons=4),
    "daemons differ, shape 1, 0.03": World((0, 0.03), daemons=1),
    "daemons hang at 0.06, or never": World((0, 0.03), daemons="all or nothing"),
    "two culprits, 0.003 then 0.03": World((0, 0.003, 0.03)),
    "two culprits, 0.03 then 0.3": World((0, 0.03, 0.3)),
    "comes, goes and comes, 0.03": World((0, 0.03, 0, 0.03)),
    "the good end hangs too, 0.03": World((0.03, 0.03)),
    "renamed on the way, 0.03": World((0, 0.03), renamed=True),
    "renamed on the way, 0.03; --also": World((0, 0.03), renamed=True, asked={"also": ("old name",)}),
    "another fault hangs 1 in 100; 0.03": World((0, 0.03), another=0.01),
    "--find worse, 0.003 to 0.03": World((0.003, 0.03), asked={"find": "worse"}),
    "--find worse, 0.03 to 0.3": World((0.03, 0.3), asked={"find": "worse"}),
}

FRAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "loop": ("solver/boltdb.(*Store).Load", "solver.(*exporter).ExportTo", "solver.(*Job).Build", "control.Solve"),
    "old name": ("solver/boltdb.(*Store).Load", "solver.(*exporter).Export", "solver.(*Job).Build", "control.Solve"),
    "another fault": ("session.(*Manager).Get", "grpc.(*Conn).Invoke", "source.(*Manager).Resolve", "control.Solve"),
}


class Made:
    """One such history: its candidates, its daemons, and whoever is told."""

    note = ""

    def __init__(self, world: World, seed: int) -> None:
        self.chance = np.random.default_rng([7_919, seed])
        self.candidates = chain([f"c{number}" for number in range(COUNT)])
        changes = len(world.rates) - 1
        self.culprits = sorted(int(each) for each in self.chance.choice(np.arange(1, COUNT), changes, replace=False))
        self.world = world
        level = np.searchsorted(self.culprits, np.arange(COUNT), side="right")
        self.rates = np.array(world.rates)[level]
        if world.candidates is not None:
            self.rates = self.rates * self.chance.gamma(world.candidates, 1 / world.candidates, COUNT)
        self.builds = self.chance.random(COUNT) >= 0.05
        self.builds[[0, -1]] = True
        first = self.culprits[0]
        self.renamed_before = int(self.chance.integers(first, COUNT)) if world.renamed else 0
        self.had: set[int] = set()
        self.looks = self.trials = 0

    @property
    def brought(self) -> set[int]:
        """The candidates that an answer may name: from each of them on it hangs more often."""
        raised = {self.culprits[n] for n, (before, after) in enumerate(pairwise(self.world.rates)) if after > before}
        return raised if len(set(self.world.rates)) > 1 else {0}

    def seconds(self, index: int) -> float:
        """Return what it takes to have a candidate."""
        return 0.0 if index in self.had else SECONDS[0]

    async def toolchain(self, index: int) -> str:
        """Build one."""
        if not self.builds[index]:
            raise CannotBeHad(f"c{index}", "it does not build")
        self.had.add(index)
        return str(index)

    async def take(self, _: Any, toolchain: str, iterations: int, seed: int) -> ShortRun:
        """Look at one, with a daemon that was not there before."""
        self.looks += 1
        if self.looks > LOOKS:
            raise TimeoutError
        candidate = int(toolchain)
        rate = float(self.rates[candidate])
        if self.world.daemons == "all or nothing":
            rate *= 2 * int(self.chance.integers(2))
        elif self.world.daemons is not None:
            rate *= float(self.chance.gamma(self.world.daemons, 1 / self.world.daemons))
        until = int(self.chance.geometric(min(rate, 1.0))) if rate > 1e-12 else NEVER
        another = int(self.chance.geometric(self.world.another)) if self.world.another else NEVER
        name = "another fault" if another < until else "old name" if candidate < self.renamed_before else "loop"
        until = min(until, another)
        made, hung = min(until, iterations), until <= iterations
        self.trials += made
        took = SECONDS[1] + SECONDS[2] * made
        seen = ShortRun(toolchain, seed, "hang", made, name, took, Ending.FINDINGS, "", "", "", made, FRAMES[name])
        if self.chance.random() < 0.01:
            return ShortRun(toolchain, seed, "nothing", 0, "", took, Ending.INFRA, "no disk", "", "", 0)
        if not hung:
            return ShortRun(toolchain, seed, "clean", made, "", took, Ending.ITERATIONS, "", "", "", made)
        return seen

    def began(self, state: State) -> None:
        """Is told nothing."""

    def preparing(self, what: str) -> None:
        """Is told nothing."""

    def calibrated(self, state: State) -> None:
        """Is told nothing."""

    def saw(self, state: State, observation: Observation) -> None:
        """Is told nothing."""

    def skipped(self, state: State, candidate: int) -> None:
        """Is told nothing."""


@dataclass(frozen=True)
class Told:
    """What a search came to."""

    kind: str
    named: int
    right: bool
    looks: int
    trials: int
    candidates: int
    """How many were built."""

    @property
    def answered(self) -> bool:
        """Whether somebody is blamed, or said to be within no range."""
        return self.kind in {"found", "narrowed", "good end hangs"}


class Unsaved(BisectSearch):
    """A search that writes nothing down: it takes half of the time."""

    def _keep(self, **news: Any) -> None:
        self.state = self.state.model_copy(update=news)


def searched(world: World, seed: int) -> Told:
    """Search one history to its end."""
    made = Made(world, seed)
    known = tuple(ListedCandidate(name=each.name, title=each.title, parents=each.parents) for each in made.candidates)
    asked = BisectRequest(argv=(), scenarios=("one",), range="made up", began=0.0, seed=seed, **world.asked)
    with tempfile.TemporaryDirectory() as folder:
        scenario = load(write_scenario(Path(folder), stop={"iterations": 2000}), VOCABULARY, [])
    state = State(asked=asked, candidates=known)
    search = Unsaved(Path("made up"), state, made, {"one": scenario}, made, made.take)
    try:
        answer = asyncio.run(search.run())
    except TimeoutError:
        return Told("no end", 0, False, made.looks, made.trials, len(made.had))
    except Exception as error:
        return Told(type(error).__name__, 0, False, made.looks, made.trials, len(made.had))
    members = answer.group.members
    brought = {0} if search.state.signature == "another fault" else made.brought
    right = not brought.isdisjoint(members)
    return Told(answer.kind, len(members), right, made.looks, made.trials, len(made.had))


def row(name: str, told: Sequence[Told]) -> str:
    """Return a line of the table."""
    claimed = [one for one in told if one.answered]
    right = fmean(one.right for one in claimed) if claimed else float("nan")
    named = fmean(one.named for one in claimed) if claimed else float("nan")
    means = " | ".join(f"{fmean(getattr(one, of) for one in told):.0f}" for of in ("looks", "trials", "candidates"))
    asked = fmean(one.kind == "another name" for one in told)
    wrong = fmean(one.answered and not one.right for one in told)
    shares = f"{len(claimed) / len(told):.3f} | {asked:.3f} | {right:.3f} | {wrong:.3f}"
    return f"| {name} | {shares} | {named:.1f} | {means} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.searches)
    print(f"n = {asked.searches} a row, seeds from {asked.first}")
    print("| world | answered | asks | right of answers | wrong of all | named | looks | builds | candidates had |")
    print("|---|---|---|---|---|---|---|---|---|")
    with ProcessPoolExecutor(asked.processes) as pool:
        for name, world in WORLDS.items():
            if asked.only in name:
                told = list(pool.map(partial(searched, world), seeds, chunksize=5))
                print(row(name, told), flush=True)


if __name__ == "__main__":
    main()
