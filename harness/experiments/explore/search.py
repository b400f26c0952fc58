"""A search among mixes: each short run says how soon one of them hangs, and chance says the rest.

1. *Search*, for most of the time: Optuna's tree-structured Parzen estimator proposes mixes, as many at once as there
   are places. A run ends at its first hang, or once it has made a few times as many builds, or taken a few times as
   long, as the best that hung so far.
2. *Choose*: the mixes that hung soonest are run again, those of them that still hang soon once more as often, and by
   these runs the best is chosen. What came soon by luck does not again.
3. *Measure*: the one that is chosen is run afresh. Only these runs are in its rate: what it was chosen by would flatter
   it.

All is kept as it is seen, a line a run; a search that was ended is built up again from that.
"""

import math
import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from time import monotonic
from typing import Any, Final, Literal

import anyio
import anyio.lowlevel
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from harness.analysis.rates import rate
from harness.core.errors import ScenarioError
from harness.core.outcome import Ending
from harness.core.records import Rate
from harness.core.rng import SEED_BITS, Dice
from harness.experiments.fleet.errors import Refused
from harness.experiments.journal import entries, line_of
from harness.experiments.short_run import HOST_TRIES, HostFails, ShortRun
from harness.host.interrupt import first_of
from harness.scenario.vary import Mix, Varied

_SEARCH, _CHOOSE = 0.6, 0.8
"""The shares of the time at which searching and choosing end."""
_HEATS: Final = ((5, 2), (2, 4))
"""So many mixes, the best by then, are run again until each has so many of these runs."""
_LEAST_FRESH: Final = 3
"""However late it is, a rate rests on some runs."""
_FRESH: Final = 10
"""Runs that measure the one that is chosen, at most."""
_RUNS_IN_TIME: Final = 30
"""At first a run may take so large a part of the time."""
_LEAST_SECONDS: Final = 15.0
_LONGER: Final = 3.0
"""Times what the best hangs took: what has not hung by then is not among them."""
_BEST: Final = 5
_MORE: Final = 4
"""Times the builds after which the best hung, for the same reason, once two did."""
_LEAST_BUILDS: Final = 20
_BUILDS_WITHOUT: Final = 1_000.0
"""What a mix that did not hang is worth, in builds; one on which nothing could be built is worth thrice that."""
_REFUSED: Final = 50
"""So many mixes in a row may be no scenario."""
_TRIALS_THAT_RANK: Final = 10

Phase = Literal["search", "choose", "measure"]


@dataclass(frozen=True)
class Bounds:
    """When a run of a mix ends, if nothing is found before."""

    seconds: float
    builds: int | None = None
    """Those that were killed, too; None: as the scenario says."""


Take = Callable[[Mix, Bounds, int], Awaitable[ShortRun]]
"""Runs a mix within bounds, with a seed."""


@dataclass(frozen=True)
class Tried:
    """One run of a mix."""

    phase: Phase
    number: int
    """From 1, across all phases."""
    point: Mapping[str, float]
    """The mix as the search has it: by its place, a number of a range, or which of its choices."""
    hung: bool
    """As is looked for."""
    look: ShortRun
    seconds: float
    """What the whole search had taken by its end."""

    @property
    def score(self) -> float:
        """How soon it hung, as the logarithm of builds; a made-up one where it did not."""
        builds = self.look.builds if self.hung else _BUILDS_WITHOUT * (1 if self.look.builds else 3)
        return math.log(max(builds, 1))


@dataclass(frozen=True)
class Explored:
    """What a search came to."""

    mix: Mapping[str, Any]
    """What is chosen, as it is written, by its place; empty where nothing hung."""
    builds: tuple[int, ...]
    """To the hang, of each fresh run that hung."""
    runs: int
    """Fresh runs."""
    rate: Rate | None
    """Hangs a build in the fresh runs, each up to its first."""
    median: float | None
    """Of the builds to a hang in the fresh runs; None where half of them did not hang."""
    ranking: Mapping[str, float]
    """How much of what makes a mix good lies with each value, the largest first; they sum to 1."""
    searched: int
    hung: int
    """Of those that were searched with."""
    first_hang: float | None
    """Seconds until the first one, of any mix."""
    seconds: float


@dataclass
class Exploration:
    """One search on its way."""

    file: Path
    """Its journal."""
    left_open: Sequence[Varied]
    seconds: float
    """How long it may take."""
    seed: int
    slots: Callable[[], int]
    """How many runs can be made at once."""
    take: Take
    counts: Callable[[ShortRun], bool]
    """Whether a run is a hang that is looked for."""
    report: Callable[[Tried], None] = lambda tried: None  # noqa: ARG005 — nobody hears
    dropped: Callable[[str], None] = lambda why: None  # noqa: ARG005 — nobody hears
    """Is told of a run that says nothing."""
    tried: list[Tried] = field(default_factory=list)
    clock: Callable[[], float] = monotonic
    _before: float = 0.0
    _began: float = 0.0
    _study: optuna.Study = field(init=False)
    _begun: int = 0
    _broken: int = 0
    _refused: int = 0

    def __post_init__(self) -> None:
        self._began = self.clock()
        self.tried = entries(self.file, Tried)
        self._before = max((each.seconds for each in self.tried), default=0.0)
        self._begun = len(self.tried)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says of some of its parts that they may change
            sampler = optuna.samplers.TPESampler(
                seed=(self.seed + self._begun) % 2**32, multivariate=True, constant_liar=True
            )
        self._study = optuna.create_study(sampler=sampler)
        for each in self._of("search"):
            self._learn(each)

    @property
    def spent(self) -> float:
        """Seconds so far."""
        return self._before + self.clock() - self._began

    async def run(self) -> Explored:
        """Go through the steps.

        Raises:
            HostFails: the host breaks.
            Interrupted: by the user; what was seen is kept.
        """
        await self._side_by_side(self._proposed, "search", lambda: self.spent < self._until * self.seconds)
        contenders = self._soonest()
        for most, runs in _HEATS:
            contenders = contenders[:most]
            again = [point for point in contenders for _ in range(runs - len(self._again(point)))]
            await self._listed(again, "choose", lambda: self.spent < _CHOOSE * self.seconds)
            contenders = sorted(contenders, key=lambda point: self._worth(point, runs))
        chosen = contenders[0] if contenders else None
        if chosen is not None:
            fresh = [chosen] * (_FRESH - len(self._of("measure")))
            await self._listed(
                fresh, "measure", lambda: self.spent < self.seconds or len(self._of("measure")) < _LEAST_FRESH
            )
        return self._explored(chosen)

    def mix(self, point: Mapping[str, float]) -> dict[tuple[str | int, ...], Any]:
        """Return a point of the search as what is written in the scenario."""
        return {each.path: each.at(point[each.name]) for each in self.left_open}

    # Runs

    async def _listed(self, points: Sequence[Mapping[str, float]], phase: Phase, goes_on: Callable[[], bool]) -> None:
        left = [*points]
        await self._side_by_side(lambda: (None, left.pop(0)), phase, lambda: bool(left) and goes_on())

    async def _side_by_side(
        self,
        proposed: Callable[[], tuple[optuna.Trial | None, Mapping[str, float]]],
        phase: Phase,
        goes_on: Callable[[], bool],
    ) -> None:
        """Run what is proposed, as many at once as there are places, while there is reason to."""
        try:
            async with anyio.create_task_group() as tasks:
                running = 0
                ended = anyio.Event()

                async def one(trial: optuna.Trial | None, point: Mapping[str, float]) -> None:
                    nonlocal running, ended
                    await self._once(trial, point, phase)
                    running -= 1
                    over, ended = ended, anyio.Event()
                    over.set()

                while goes_on():
                    if running < self.slots():
                        running += 1
                        tasks.start_soon(one, *proposed())
                    else:
                        await ended.wait()
                    await anyio.lowlevel.checkpoint()
        except BaseExceptionGroup as group:
            raise first_of(group) from None

    async def _once(self, trial: optuna.Trial | None, point: Mapping[str, float], phase: Phase) -> None:
        self._begun += 1
        number = self._begun
        seed = Dice(self.seed, "explore").throw(number).getrandbits(SEED_BITS)
        bounds = self._bounds if phase == "search" else Bounds(self._at_first)
        try:
            look = await self.take(self.mix(point), bounds, seed)
        except (ScenarioError, Refused) as refusal:  # values that are each well-formed need not go together
            self._refused += 1
            if self._refused >= _REFUSED:
                raise
            self._drop(trial, str(refusal))
            return
        if look.ending is Ending.INFRA:
            self._broken += 1
            if self._broken >= HOST_TRIES:
                raise HostFails("runs", look.because)
            self._drop(trial, look.because)
            return
        self._broken = self._refused = 0
        tried = Tried(
            phase=phase, number=number, point=dict(point), hung=self.counts(look), look=look, seconds=self.spent
        )
        self.tried.append(tried)
        with self.file.open("a") as file:
            file.write(line_of(tried))
        if trial:
            self._study.tell(trial, tried.score)
        self.report(tried)

    def _drop(self, trial: optuna.Trial | None, why: str) -> None:
        self.dropped(why)
        if trial:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)

    # The search

    @property
    def _until(self) -> float:
        """The share of the time at which searching ends: all of it as long as there is nothing to choose from."""
        return _SEARCH if any(each.hung for each in self._of("search")) else 1.0

    def _proposed(self) -> tuple[optuna.Trial | None, Mapping[str, float]]:
        trial = self._study.ask(self._space)
        return trial, {name: float(value) for name, value in trial.params.items()}

    def _learn(self, tried: Tried) -> None:
        """Take up what an earlier process saw."""
        space = self._space
        params = {
            name: tried.point[name] if isinstance(each, FloatDistribution) else int(tried.point[name])
            for name, each in space.items()
        }
        self._study.add_trial(optuna.trial.create_trial(params=params, distributions=space, value=tried.score))

    @property
    def _space(self) -> dict[str, BaseDistribution]:
        return {each.name: _distribution(each) for each in self.left_open}

    @property
    def _at_first(self) -> float:
        return max(self.seconds / _RUNS_IN_TIME, _LEAST_SECONDS)

    @property
    def _bounds(self) -> Bounds:
        """When a run of the search ends now."""
        hung = [each.look for each in self._of("search") if each.hung]
        took, made = (
            sorted(each)[:_BEST] for each in ([look.seconds for look in hung], [look.builds for look in hung])
        )
        seconds = max(_LONGER * median(took), _LEAST_SECONDS) if len(took) == _BEST else self._at_first
        builds = max(math.ceil(_MORE * median(made)), _LEAST_BUILDS) if len(made) > 1 else None
        return Bounds(min(seconds, self._at_first), builds)

    def _of(self, phase: Phase) -> list[Tried]:
        return [each for each in self.tried if each.phase == phase]

    def _soonest(self) -> list[Mapping[str, float]]:
        """Return the mixes that hung, the soonest first."""
        found: list[Mapping[str, float]] = []
        for each in sorted((each for each in self._of("search") if each.hung), key=lambda each: each.score):
            if each.point not in found:
                found.append(each.point)
        return found

    def _again(self, point: Mapping[str, float]) -> list[Tried]:
        """Return the runs by which a mix is chosen: not the one for which it is a contender."""
        return [each for each in self._of("choose") if each.point == point]

    def _worth(self, point: Mapping[str, float], runs: int) -> float:
        """Return how soon a mix hung in the first runs of being run again; with none it is worth the least."""
        again = self._again(point)[:runs]
        return fmean(each.score for each in again) if again else math.inf

    # What it comes to

    def _explored(self, chosen: Mapping[str, float] | None) -> Explored:
        fresh, searched = self._of("measure"), self._of("search")
        builds = sorted(each.look.builds for each in fresh if each.hung)
        middle = [*builds, *[math.inf] * (len(fresh) - len(builds))]
        half = median(middle) if middle else math.inf
        names = {} if chosen is None else self.mix(chosen)
        return Explored(
            mix={".".join(map(str, path)): value for path, value in names.items()},
            builds=tuple(builds),
            runs=len(fresh),
            rate=rate(len(builds), sum(each.look.builds for each in fresh)) if fresh else None,
            median=half if math.isfinite(half) else None,
            ranking=self._ranking(),
            searched=len(searched),
            hung=sum(each.hung for each in searched),
            first_hang=min((each.seconds for each in self.tried if each.hung), default=None),
            seconds=self.spent,
        )

    def _ranking(self) -> dict[str, float]:
        """Return what matters: how far the distribution of each value among the best mixes is from that among all."""
        if len(self._of("search")) < _TRIALS_THAT_RANK or not any(each.hung for each in self.tried):
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            evaluator = optuna.importance.PedAnovaImportanceEvaluator()
            found = optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        return dict(sorted(found.items(), key=lambda item: -item[1]))


def _distribution(each: Varied) -> BaseDistribution:
    if each.kind == "choice":
        return CategoricalDistribution([*range(len(each.values))])
    low, high = each.ends
    if each.kind == "integer":
        return IntDistribution(int(low), int(high), log=each.by_factors)
    return FloatDistribution(low, high, log=each.by_factors)
