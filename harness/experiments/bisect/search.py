"""A search from the list of its candidates to its answer.

1. Both ends are built or fetched: what cannot be obtained there ends the search before hours are spent.
2. Of several scenarios, the one that hangs soonest on the bad end is taken.
3. The bad end is looked at until it hung a few times: so the hang, its rate, and how many clean builds mean anything
   are known.
4. The good end is looked at for as long as a bad one would hardly keep quiet; where it is only to hang more rarely,
   until it hung as often as the bad end, or far more rarely than that.
5. Candidate after candidate is looked at, each time the one that is expected to say most in a second, for as long as
   it is worth it; one that cannot be built or started is skipped.
6. The answer is there as soon as it is believed with the confidence that was asked for, also by who expects good
   candidates that hang now and then and a second change, and who is blamed has hung twice. Where the hang rather seems
   to come and go among the candidates than to be brought by one, nobody is blamed; nor where the good end hangs about
   as often as the bad one.

Every observation is saved before the next is made, so a search that was ended goes on where it stood.
"""

import math
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any, Final, Literal, Protocol

import anyio

from harness.core.errors import InfraError, UsageError
from harness.core.outcome import Ending
from harness.core.rng import SEED_BITS
from harness.core.wording import Wording
from harness.experiments.bisect.belief import Belief, CulpritGroup
from harness.experiments.bisect.candidates import CannotBeHad, EndsCannotBeHad, Range, TellsCost, require_ends
from harness.experiments.bisect.choice import Acquisition, Costs, next_looks
from harness.experiments.bisect.state import Had, Observation, Purpose, State, save
from harness.experiments.runner import LocalRunner, Runner
from harness.experiments.short_run import ShortRun, look
from harness.host.interrupt import first_of
from harness.scenario import Scenario

_SEEDS: Final = 2**SEED_BITS
_TRIES: Final = 3
"""So many looks in a row that say nothing are borne of one candidate; then it is skipped."""
_GOOD_END: Final = 0.8
"""A bad candidate keeps quiet with a chance of a fifth for as long as the good end is looked at first."""
_COUNTED_LEAST: Final = 0.05
"""At least such a share of a look's iterations is thought to count, however few did so far."""
_FAR_MORE_RARELY: Final = 10.0
"""The good end is looked at for so many times the builds that a hang of the bad end takes, where both may hang."""
_NO_ORDER: Final = 0.8
"""So surely must there be no order for a search to end with that."""


class BadEndIsClean(UsageError):
    """A bad end that does not hang, or whatever it is that is looked for."""

    def __init__(self, name: str, builds: int, good: str, words: Wording, *, good_hangs: bool) -> None:
        both = f"; {good} {words.third}, so the ends are the wrong way round: swap them, or say --find the other way"
        neither = (
            f"; nor does {good}: find a scenario that {words.third} first, or give it longer (--set stop.iterations=N)"
        )
        super().__init__(
            f"the bad end {name} does not {words.base} in {builds} builds{both if good_hangs else neither}"
        )


class ScenarioDoesNotRun(UsageError):
    """Looks at the bad end that say nothing."""

    def __init__(self, name: str, because: str) -> None:
        super().__init__(f"looks at the bad end {name} say nothing: {because}; see to the scenario first")


class UnknownHang(UsageError):
    """The hangs of the bad end have no signature, or each another: there is none to search for."""

    def __init__(self, name: str, words: Wording, runs: list[str]) -> None:
        super().__init__(
            f"the bad end {name} {words.third}, but its evidence gives no signature ({', '.join(runs)}), or each time "
            f"another: look at it with `repro show`, and say --any-hang if every {words.noun} is to count"
        )


class HostBreaks(InfraError):
    """Looks that end because of us or of the host."""

    def __init__(self, name: str, because: str) -> None:
        super().__init__(f"{_TRIES} looks at {name} in a row came to nothing because of this host: {because}")


class SearchReporter(Protocol):
    """Receives the events of a search."""

    def began(self, state: State) -> None:
        """The list of candidates is there, and what was seen before."""
        ...

    def preparing(self, what: str) -> None:
        """Something that may take a while has begun."""
        ...

    def saw(self, state: State, observation: Observation) -> None:
        """A look has ended."""
        ...

    def skipped(self, state: State, candidate: int) -> None:
        """A candidate cannot be tried."""
        ...

    def calibrated(self, state: State) -> None:
        """The bad end has hung often enough."""
        ...


Take = Callable[[Scenario, str, int, int], Awaitable[ShortRun]]
"""Looks with a scenario at a toolchain for so many iterations, with a seed."""


@dataclass(frozen=True)
class SearchAnswer:
    """What a search came to."""

    kind: Literal[
        "found", "narrowed", "another name", "good end hangs", "not yet", "not ended", "no more to learn", "no order"
    ]
    """`narrowed`: one of several, and what would tell them apart cannot be tried. `another name`: whether hangs of
    another name are the same one decides, and only the user can say that.
    """
    group: CulpritGroup
    """Who it is believed to be, and how firmly."""


def settled(state: State) -> SearchAnswer | None:
    """Return the answer that what is believed is firm enough for; None where there is none yet."""
    answer, once = _standing(state, state.belief)
    return None if once is not None else answer


def _standing(state: State, belief: Belief) -> tuple[SearchAnswer | None, int | None]:
    """Return the answer that is believed, and the candidate that is to hang once more before anybody is blamed."""
    if state.asked.find != "worse" and belief.good_hang_alike >= state.asked.confidence:
        all_bad = CulpritGroup((0,), belief.good_hang_alike)
        return SearchAnswer("good end hangs", all_bad), belief.hung_once(all_bad)
    group = belief.answer(state.asked.confidence)
    if group is None:
        return (SearchAnswer("no order", belief.groups[0]) if belief.no_order >= _NO_ORDER else None), None
    if 0 in group.members:
        return SearchAnswer("good end hangs", group), belief.hung_once(group)
    if _hangs_before(state, belief, group):
        return SearchAnswer("another name", group), None
    return SearchAnswer("found" if len(group.members) == 1 else "narrowed", group), belief.hung_once(group)


def _hangs_before(state: State, belief: Belief, group: CulpritGroup) -> bool:
    """Whether a hang under another name, if it is the one that is looked for, would change an answer.

    It would where it came on a candidate that is blamed, or is good if another one is to blame.
    """
    members = list(group.members)
    return any(each in members or not belief.bad[members, each].all() for each in state.doubtful)


class BisectSearch:
    """One search on its way."""

    def __init__(
        self,
        folder: Path,
        state: State,
        range_: Range,
        scenarios: Mapping[str, Scenario],
        teller: SearchReporter,
        take: Take | None = None,
        runner: Runner | None = None,
    ) -> None:
        self.folder, self.state, self._range, self._teller = folder, state, range_, teller
        self._runner = runner or LocalRunner()
        self._scenarios = scenarios
        self._take = take or self._run
        self._looks = len(state.observations)
        """How many were begun: each has a seed of its own."""
        self._began = monotonic()
        self._before = state.took

    async def run(self) -> SearchAnswer:
        """Search until there is an answer, nothing more to learn, or no time left.

        Raises:
            UsageError: the range or the scenario cannot give an answer; the message says why.
            InfraError: the host broke.
            Interrupted: by the user; what was seen is saved.
        """
        self._teller.began(self.state)
        await self._have_ends()
        if not self.state.scenario:
            await self._choose_scenario()
        await self._calibrate()
        while (builds := self._of_good_end()) > 0:
            await self._look(self.state.good_end, self.state.scenario, builds, "good end")
        return await self._narrow()

    def _of_good_end(self) -> int:
        """Return for how many more builds the good end is to be looked at first."""
        looks = self.state.of(self.state.good_end)
        if all(_says_nothing(seen) for seen in looks):
            return self.state.belief.clean_needed(_GOOD_END)
        if self.state.asked.find != "worse" or sum(seen.counts for seen in looks) >= self.state.asked.calibrate:
            return 0
        return math.ceil(_FAR_MORE_RARELY / self.state.belief.rate()) - sum(seen.look.builds for seen in looks)

    async def _have_ends(self) -> None:
        self._teller.preparing("getting both ends")
        began = monotonic()
        specs = await require_ends(self._range)
        each = (monotonic() - began) / len(specs)
        ends = dict(zip((0, len(self.state.candidates) - 1), specs, strict=True))
        had = {end: Had(spec=spec, seconds=each) for end, spec in ends.items() if end not in self.state.had}
        self._keep(had={**self.state.had, **had})

    async def _choose_scenario(self) -> None:
        """Take the scenario that hangs soonest on the bad end; each has as long as the best so far took."""
        best, shortest = "", float("inf")
        for name in self.state.asked.scenarios:
            seen = await self._look_for_hang(name, "choose", shortest)
            if seen is not None and seen.look.seconds < shortest:
                best, shortest = name, seen.look.seconds
        if not best:
            await self._nothing_hangs()
        first = next(seen for seen in self.state.observations if seen.scenario == best and seen.counts)
        self._keep(scenario=best, signature=first.look.signature)

    async def _calibrate(self) -> None:
        once = partial(self._look_for_hang, self.state.scenario, "calibrate", float("inf"))
        while missing := self._hangs_missing:
            await self._side_by_side([once] * min(missing, self._runner.slots))
        self._teller.calibrated(self.state)

    @property
    def _calibrated(self) -> bool:
        """Whether the bad end has hung often enough."""
        return not self._hangs_missing

    @property
    def _hangs_missing(self) -> int:
        """How many hangs of the bad end are to be seen yet."""
        seen = sum(seen.counts for seen in self.state.of(self.state.bad_end))
        return max(self.state.asked.calibrate - seen, 0)

    async def _look_for_hang(self, name: str, purpose: Purpose, seconds: float) -> Observation | None:
        """Look at the bad end with a scenario to its own end; return the look if it hung."""
        bad = self.state.bad_end
        scenario = self._scenarios[name]
        if seconds < (scenario.stop.time or float("inf")):
            scenario = scenario.model_copy(update={"stop": scenario.stop.model_copy(update={"time": seconds})})
        for _ in range(_TRIES):
            seen = await self._observe(bad, name, scenario, scenario.stop.iterations or _SEEDS, purpose)
            if seen.counts:
                return seen
            if seen.look.said == "clean" and purpose == "choose":
                return None
            if seen.look.ending is Ending.UNABLE:
                break
        if seen.look.said == "clean":
            await self._nothing_hangs()
        if seen.look.said == "hang":
            runs = [each.look.folder for each in self.state.observations if each.look.said == "hang"]
            raise UnknownHang(self._name(bad), Wording.of([seen.look.kind]), runs)
        raise ScenarioDoesNotRun(self._name(bad), seen.look.because)

    async def _nothing_hangs(self) -> None:
        """Say that the bad end does not hang, and whether the good one does instead."""
        good, name = self.state.good_end, self.state.scenario or self.state.asked.scenarios[0]
        scenario = self._scenarios[name]
        builds = sum(seen.look.builds for seen in self.state.observations if seen.candidate == self.state.bad_end)
        other = await self._observe(good, name, scenario, scenario.stop.iterations or _SEEDS, "good end")
        hangs = other.look.said == "hang"
        raise BadEndIsClean(
            self._name(self.state.bad_end), builds, self._name(good), self.state.words, good_hangs=hangs
        )

    async def _narrow(self) -> SearchAnswer:
        """Look at candidate after candidate."""
        while True:
            belief = self.state.belief
            answer, once = _standing(self.state, belief)
            if answer is not None and once is None:
                return answer
            if self.state.asked.seconds is not None and self._spent > self.state.asked.seconds:
                return SearchAnswer("not yet", belief.groups[0])
            if once is not None:
                await self._look(once, self.state.scenario, belief.clean_needed(), "search")
                continue
            unsettled = belief.unsettled(self.state.asked.confidence) or belief
            choices = next_looks(unsettled, self._costs(), self._runner.slots)
            if not choices:
                return SearchAnswer("no more to learn", belief.groups[0])
            for choice in choices:  # one after the other: a build takes all cores
                await self._obtain(choice.candidate)
            able = [choice for choice in choices if choice.candidate not in self.state.left_out]
            await self._side_by_side(partial(self._search_at, choice) for choice in able)

    async def _search_at(self, choice: Acquisition) -> None:
        await self._look(choice.candidate, self.state.scenario, choice.trials, "search")

    async def _side_by_side(self, looks: Iterable[Callable[[], Coroutine[Any, Any, object]]]) -> None:
        """Make looks at once; all of them are over, and count, before anything follows from one."""
        made = [*looks]
        if len(made) == 1:
            await made[0]()
            return
        try:
            async with anyio.create_task_group() as tasks:
                for each in made:
                    tasks.start_soon(each)
        except BaseExceptionGroup as group:
            raise first_of(group) from None

    async def _obtain(self, candidate: int) -> None:
        """Have a candidate's toolchain, or skip it."""
        try:
            await self._have(candidate)
        except CannotBeHad as refusal:
            self._skip(candidate, refusal.why)

    async def _look(self, candidate: int, name: str, builds: int, purpose: Purpose) -> None:
        """Look at a candidate for so many builds; skip it where the daemon is in the way, again and again."""
        seen = await self._observe(candidate, name, self._scenarios[name], self._length(builds), purpose)
        silent = 0
        for earlier in reversed(self.state.of(candidate)):
            if not _says_nothing(earlier):
                break
            silent += 1
        if silent >= _TRIES and seen.look.ending is Ending.INFRA:
            raise HostBreaks(self._name(candidate), seen.look.because)
        broken = silent and seen.look.ending in {Ending.DAEMON_DIED, Ending.FAILING, Ending.UNABLE}
        if candidate in self.state.doubtful:
            self._teller.skipped(self.state, candidate)
        elif silent >= _TRIES or broken:
            because = seen.look.because
            if seen.is_another_hang:
                name = seen.look.signature
                same = f"if it is the same, say --also {name}" if name else "--any-hang counts that too"
                because = f"it {Wording.of([seen.look.kind]).third} as {name or 'nothing known'}; {same}"
            self._skip(candidate, because)
            if purpose == "good end":
                raise EndsCannotBeHad([CannotBeHad(self._name(candidate), because)])

    def _length(self, builds: int) -> int:
        """Return the iterations of a look that is to come to so many builds.

        Some iterations count for nothing, such as builds that are to fail. And a daemon may hang only once something
        has come about on it, such as a removal: so no look is shorter than those at the bad end took until they hung.
        """
        state = self.state
        clean = [
            seen.look for seen in state.observations if seen.scenario == state.scenario and seen.look.said == "clean"
        ]
        iterations = sum(look.iterations for look in clean)
        counted = sum(look.builds for look in clean) / iterations if iterations else 1.0
        longest = max((seen.look.iterations for seen in state.of(state.bad_end) if seen.counts), default=0)
        return max(math.ceil(builds / max(counted, _COUNTED_LEAST)), longest)

    async def _observe(
        self, candidate: int, name: str, scenario: Scenario, iterations: int, purpose: Purpose
    ) -> Observation:
        """Make one look, and save it."""
        self._teller.preparing(f"looking at {self._name(candidate)}")
        began, asked = monotonic(), self.state.asked
        seed = (asked.seed + self._looks) % _SEEDS
        self._looks += 1
        seen = await self._take(scenario, self.state.had[candidate].spec, iterations, seed)
        wanted = seen.signature if purpose == "choose" else self.state.signature
        observation = Observation(
            candidate=candidate,
            scenario=name,
            purpose=purpose,
            look=seen,
            wall=monotonic() - began,
            counts=self.state.is_sought(seen, wanted),
        )
        self._keep(observations=(*self.state.observations, observation))
        if self._calibrated and purpose != "calibrate":
            self._keep(costs=self._costs(), places=self._runner.slots)
        self._teller.saw(self.state, observation)
        return observation

    async def _have(self, candidate: int) -> None:
        """Return a candidate's toolchain; build or fetch it first where necessary."""
        known = candidate in self.state.had
        if not known:
            self._teller.preparing(f"getting {self._name(candidate)}")
        began = monotonic()
        spec = await self._range.toolchain(candidate)
        if not known:
            self._keep(had={**self.state.had, candidate: Had(spec=spec, seconds=monotonic() - began)})

    async def _run(self, scenario: Scenario, toolchain: str, iterations: int, seed: int) -> ShortRun:
        """Look with a real run."""
        asked = self.state.asked
        return await look(
            scenario,
            toolchain,
            results=self.folder,
            iterations=iterations,
            seed=seed,
            runner=self._runner,
            shards=asked.shards,
            argv=asked.argv,
        )

    def _costs(self) -> Costs:
        """Return what looks have cost so far, and what they will."""
        seen = [each for each in self.state.observations if each.scenario == self.state.scenario and each.look.builds]
        clean = [each for each in seen if each.look.said == "clean"] or seen
        per_build = sum(each.look.seconds for each in clean) / sum(each.look.builds for each in clean)
        start = sum(max(each.wall - each.look.seconds, 0.0) for each in seen) / len(seen)
        hung = [max(each.look.seconds - per_build * each.look.builds, 0.0) for each in seen if each.look.said == "hang"]
        estimate = sum(hung) / len(hung)
        have = [self._seconds_to_have(candidate) for candidate in range(len(self.state.candidates))]
        return Costs(have=have, start=start, trial=per_build, hang=estimate)

    def _seconds_to_have(self, candidate: int) -> float:
        """Return what it will take to have a candidate: what it told, or else the median of what others took."""
        if candidate in self.state.had:
            return 0.0
        estimate = self._range.seconds(candidate) if isinstance(self._range, TellsCost) else None
        return median(had.seconds for had in self.state.had.values()) if estimate is None else estimate

    def _skip(self, candidate: int, why: str) -> None:
        self._keep(skipped={**self.state.skipped, candidate: why})
        self._teller.skipped(self.state, candidate)

    def _keep(self, **news: Any) -> None:
        self.state = self.state.model_copy(update={**news, "elapsed": self._spent})
        save(self.state, self.folder)

    def _name(self, candidate: int) -> str:
        return self.state.candidates[candidate].name

    @property
    def _spent(self) -> float:
        return self._before + monotonic() - self._began


def _says_nothing(seen: Observation) -> bool:
    return seen.is_another_hang or (seen.look.said == "nothing" and not seen.look.builds)
