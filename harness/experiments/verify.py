"""Whether a toolchain B is free of a hang that A has; it is looked at until that can be said, one way or the other.

1. Both are had, before a daemon is started.
2. A is looked at until it has hung a few times: it must, or the scenario has no power. So A's rate is known, and how
   many builds without a hang a B as bad as A would hardly come to (`contrast.clean_needed`).
3. B is looked at until it has come to so many, on so many daemons, each for as long as the slowest of A's hangs took,
   that a B as bad as A, or as a tenth of it, would hardly be silent on all of them either. The one count holds where
   all builds are alike, the other where only daemons are: such as where a hang takes a warm cache. The first hang of
   A's kind ends it; one of another name is told apart, and the builds before it count for nothing. What is said holds
   for daemons up to an age, in builds: that to which so many daemons of B have come.
4. A is looked at once more, until it hangs: a host that has changed meanwhile, so that nothing hangs on it any more,
   would make any B look fixed.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final, Literal

from harness.analysis.exposure import Exposure
from harness.analysis.rates import excluded_rate, rate
from harness.analysis.silence import Silence
from harness.analysis.two_sample import clean_needed, format_ratio, ratio_of
from harness.buildkit.likeness import format_likeness, most_alike
from harness.core.errors import Interrupted
from harness.core.outcome import Ending, ExitCode
from harness.core.records import Rate
from harness.core.units import counted, format_duration
from harness.core.wording import Wording
from harness.experiments.series import SeenRun, Series, Side

Said = Literal["fixed", "better", "not fixed", "no power", "another hang", "host changed", "not enough"]

_EXIT_CODES: Final[Mapping[Said, ExitCode]] = {"fixed": ExitCode.CLEAN, "not fixed": ExitCode.HANG}
_SIGNATURE: Final = "unknown"
"""Of a hang whose evidence does not say what it is."""
_PATIENCE: Final = 3
"""So many looks at A without any hang, in a row at B that say nothing, and other hangs on B, are enough."""
_LOOKS_A_HANG: Final = 4
"""At most so many looks at A for each hang that is wanted; with fewer hangs, B must be clean for longer."""
_COUNTED: Final = 0.5
"""The share of iterations that count as builds, until B has shown its own."""
_SURE: Final = 0.99
"""So sure must A's last silence be before it is taken for a change of the host."""
_FORGOTTEN: Final = 100_000
"""More iterations than this are no look: what a scenario without `stop.iterations` allows."""


@dataclass(frozen=True)
class VerifyOptions:
    """What is asked."""

    confidence: float
    """With which a B as bad as A is told from a fixed one."""
    hangs: int
    """That A's rate is to be known by."""
    ratio: float
    """B's rate is to be below so many times A's: 1 is `not as bad`, 0.1 `not a tenth as bad`."""
    iterations: int | None
    """Of a look, at most; None: the scenario's."""
    seconds: float | None
    """After which B is not looked at anew."""
    age: int | None = None
    """Builds that each daemon of B is to have at least, for a hang may come only later; None: as A's hangs took."""
    also: tuple[str, ...] = ()
    """Signatures that are the hang of A under another name."""


@dataclass(frozen=True)
class Verification:
    """A verification that is over."""

    scenario: str
    seed: int
    broken: str
    fixed: str
    daemons: Mapping[str, str]
    verdict: Said
    because: str
    exit_code: ExitCode
    confidence: float
    signature: str
    """Of the hang that was looked for: A's most frequent."""
    a: Rate
    """Of that hang, on A, before B was looked at."""
    b: Rate
    """Of that hang, on B."""
    needed: int | None
    """Trials without a hang on B that say `fixed`; of several hosts, if they go on as they did."""
    chance: float | None
    """How likely a B that bad is silent for as long as B was."""
    excluded: float
    """The rate per build that B's builds exclude at `confidence`."""
    excluded_ratio: float | None
    """The same, as a multiple of A's rate, which itself is not known exactly."""
    hosts: int
    """On which both were looked at; B's builds count as far as these share them as A's."""
    age: int
    """Builds of a daemon up to which what is said of B holds; 0 where too few daemons said anything."""
    more: int
    """Builds without a hang on B that are missing for `fixed`."""
    other: Mapping[str, int]
    """Hangs on B that A has not, by signature."""
    other_likeness: Mapping[str, float | None]
    """How like A's hang each of them is, from 0 to 1, by the functions that hang; None where those are not known."""
    looks: Mapping[str, int]
    seconds: float
    folder: str
    kinds: tuple[str, ...]
    """Of findings that A had, or, as long as it had none, that its scenario looks for: `hang`, `failure` and so on."""


async def verify(
    series: Series, broken: Side, fixed: Side, demand: VerifyOptions, report: Callable[[SeenRun], None]
) -> Verification:
    """Verify that B is free of A's hang; see the steps above.

    The error is bounded: a B that is `ratio` times as bad as A is called fixed in at most 1 - confidence, for A's
    builds until its n-th hang say exactly how long such a B is silent, on average over what A may be. One that never
    hangs is never `not fixed`. Where the time is over before, it is `better` if B is at least less bad than A.

    Args:
        series: where the looks are kept.
        broken: A.
        fixed: B.
        demand: how sure it is to be, and what may be spent.
        report: hears of each look.

    Raises:
        UsageError, InfraError, SubjectError: a look could not be begun.
    """
    await series.require(broken, fixed)
    of = _Verifying(series, broken, fixed, demand, report)
    try:
        verdict, because = await of.through()
        code = _EXIT_CODES.get(verdict, ExitCode.INCONCLUSIVE)
    except Interrupted:
        so_far = f": {of.explain_missing()}" if of.looks_at_b else ""
        verdict, because, code = "not enough", f"interrupted{so_far}", ExitCode.INTERRUPTED
    found = of.concluded(verdict, because, code)
    series.conclude("verify.json", asdict(found))
    return found


@dataclass
class _Verifying:
    series: Series
    broken: Side
    fixed: Side
    demand: VerifyOptions
    report: Callable[[SeenRun], None]
    known: list[SeenRun] = field(default_factory=list)
    """The looks at A by which its rate is known."""
    hosts: frozenset[str] = frozenset()
    """Those that were there at the last look: only what is missing on these can still come."""

    async def through(self) -> tuple[Said, str]:
        """Go through the steps, until one says what is to be said."""
        return (
            await self.power()
            or await self.silence()
            or await self.host()
            or (("another hang", self.explain_other()) if self.other else ("fixed", self.explain_fixed()))
        )

    @property
    def a(self) -> Rate:
        """A's rate of the hang that is looked for, without the last look at it."""
        return rate(sum(self._is_sought(seen) for seen in self.known), _builds(self.known))

    @property
    def b(self) -> Rate:
        """B's, of the same."""
        return rate(sum(_hung(seen) and self.name(seen) in self.of_a for seen in self.looks_at_b), self.builds_of_b)

    @property
    def looks_at_b(self) -> list[SeenRun]:
        return self.series.of("B")

    @property
    def builds_of_b(self) -> int:
        """Builds of the looks at B, but for those that ended in another hang: it may be A's, under another name."""
        return _builds([seen for seen in self.looks_at_b if not _hung(seen) or self.name(seen) in self.of_a])

    def name(self, seen: SeenRun) -> str:
        """Return a hang's name; those that the user takes for A's have A's."""
        raw = seen.look.signature or _SIGNATURE
        return self.signature if raw in self.demand.also else raw

    @property
    def of_a(self) -> Counter[str]:
        """A's hangs by name; those that show none only where none does, for else nothing says that two are one."""
        hangs = Counter(self.name(seen) for seen in self.series.of("A") if _hung(seen))
        return Counter({name: count for name, count in hangs.items() if name == self.signature or name != _SIGNATURE})

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of what A had, or of what its scenario looks for as long as it had nothing."""
        had = dict.fromkeys(seen.look.kind for seen in self.known if _hung(seen) and self.name(seen) == self.signature)
        return tuple(had or self.broken.scenario.stop.on)

    @property
    def words(self) -> Wording:
        """How that is named."""
        return Wording.of(self.kinds)

    @property
    def signature(self) -> str:
        """The hang that is looked for."""
        hangs = Counter(seen.look.signature or _SIGNATURE for seen in self.known if _hung(seen))
        return hangs.most_common(1)[0][0] if hangs else ""

    @property
    def other(self) -> Counter[str]:
        """B's hangs that A has not."""
        return Counter(self.name(seen) for seen in self.looks_at_b if _hung(seen) and self.name(seen) not in self.of_a)

    @property
    def other_likeness(self) -> dict[str, float | None]:
        """How like A's hang each of those is."""
        sought = [seen.look.frames for seen in self.series.of("A") if _hung(seen) and self.name(seen) == self.signature]
        return {
            name: most_alike(
                sought, [seen.look.frames for seen in self.looks_at_b if _hung(seen) and self.name(seen) == name]
            )
            for name in self.other
        }

    @property
    def needed(self) -> int | None:
        """Trials without a hang on B that are enough; of several hosts, if they go on as they did."""
        return self.silent_builds.needed(self.demand.confidence, self.demand.ratio) if self.a.hangs else None

    @property
    def silent_builds(self) -> Silence:
        """What B's builds without a hang say, host by host."""
        b = [seen.exposure for seen in self.looks_at_b if not _hung(seen)]
        return Silence.of(self._of_a(), b, self.hosts)

    @property
    def silent_daemons(self) -> Silence:
        """The same of whole daemons, each a trial."""
        b = [replace(seen.exposure, builds=1) for seen in self._speaking() if not _hung(seen)]
        return Silence.of([replace(each, builds=1) for each in self._of_a()], b, self.hosts)

    def _of_a(self) -> list[Exposure]:
        """Return the looks at A by which its rate is known; only hangs that are looked for are hangs there."""
        return [replace(seen.exposure, hung=self._is_sought(seen)) for seen in self.known]

    @property
    def daemons(self) -> int:
        """Daemons of B that are to be silent."""
        return self.silent_daemons.needed(self.demand.confidence, self.demand.ratio)

    @property
    def age(self) -> int:
        """Builds to which so many daemons of B have come."""
        ages = sorted((seen.exposure.builds for seen in self._speaking()), reverse=True)
        return ages[self.daemons - 1] if self.a.hangs and len(ages) >= self.daemons else 0

    @property
    def longest(self) -> int:
        """Iterations of a look, at most; the age that is asked for goes before."""
        return self.demand.iterations or self.broken.scenario.stop.iterations or _FORGOTTEN

    @property
    def late(self) -> bool:
        """Whether the time is over."""
        return self.demand.seconds is not None and self.series.seconds >= self.demand.seconds

    async def look(self, side: Side, iterations: int, least: int = 0, ahead: int = 0) -> SeenRun:
        """Look at a side; where there are places for it, with those begun as well that are likely to follow."""
        seen = await self.series.look(side, max(min(iterations, self.longest), least), ahead)
        self.report(seen)
        return seen

    async def power(self) -> tuple[Said, str] | None:
        """Look at A until it has hung often enough, or no more can be had; it has no power if it does not hang.

        Of several hosts only those count that are there now, and each is to have had its turn: B's builds say something
        only on hosts that A was looked at on.
        """
        self.hosts = frozenset(self.series.runner.hosts)
        wanted = max(self.demand.hangs, len(self.hosts))
        most = wanted * _LOOKS_A_HANG
        while len(here := self._at_a_here()) < most and not (self.known and self.late):
            if len(self.known) - len(here) >= _PATIENCE * most:  # hosts come and go
                break
            hangs = sum(self._is_sought(seen) for seen in here)
            unable = any(seen.look.ending is Ending.UNABLE for seen in here)
            if hangs >= wanted or unable or (len(here) >= _PATIENCE and not hangs):
                break
            self.known.append(await self.look(self.broken, self.longest, ahead=wanted - hangs - 1))
            self.hosts = frozenset(self.series.runner.hosts)
        here = self._at_a_here()
        if self.a.hangs and (self.late or any(self._is_sought(seen) for seen in here)):
            return None
        mute = [seen.look.because for seen in here if seen.look.said == "nothing"]
        why = f"; {len(mute)} of {len(here)} looks said nothing: {mute[0]}" if mute else ""
        where = " on the hosts that are there now" if self.a.hangs else ""
        return "no power", (
            f"the test has no power: A did not {self.words.base} in {_builds(here)} builds{where}, so that B does not "
            f"either would say nothing{why}"
        )

    async def silence(self) -> tuple[Said, str] | None:
        """Look at B until it has been silent for long enough, or has not."""
        mute = 0
        shortest = max(seen.look.iterations for seen in self.known if _hung(seen))
        while self.more or len(self._speaking()) < self.daemons or self.age < (self.demand.age or 0):
            if self.looks_at_b and self.late:
                said: Said = "better" if (self.excluded_ratio or math.inf) < 1 else "not enough"
                return said, f"the time is over: {self.explain_missing()}"
            if no_power := await self.power():  # hosts on which A hung may have gone
                return no_power
            old_enough = math.ceil((self.demand.age or 0) / self.share_counted)
            missing = max(self.daemons - len(self._speaking()), 1)
            iterations = max(shortest, self.share_of_a_look(missing))
            looks = math.ceil(self.more / self.share_counted / max(min(iterations, self.longest), old_enough))
            seen = await self.look(self.fixed, iterations, old_enough, max(missing, looks) - 1)
            if _hung(seen) and self.name(seen) in self.of_a:
                return "not fixed", self.explain_not_fixed(seen)
            mute = mute + 1 if seen.look.said == "nothing" else 0
            if mute >= _PATIENCE or seen.look.ending is Ending.UNABLE:
                return "not enough", f"B says nothing, {counted(mute, 'look')} in a row: {seen.look.because}"
            if self.other.total() >= _PATIENCE:
                return "another hang", self.explain_other()
        return None

    async def host(self) -> tuple[Said, str] | None:
        """Look at A until it hangs once more; a host on which it does not any more has changed."""
        before = len(self.series.of("A"))
        enough = clean_needed(self.a.hangs, self.a.trials, _SURE)
        while True:
            again = self.series.of("A")[before:]
            if any(_hung(seen) for seen in again):
                return None
            if _builds(again) >= enough or len(again) >= self.demand.hangs * _LOOKS_A_HANG:
                return "host changed", (
                    f"B did not {self.words.base} in {self.builds_of_b} builds, but A does not any more either, in "
                    f"{_builds(again)}: something else than the toolchain has changed meanwhile"
                )
            await self.look(self.broken, self.longest, ahead=len(self.known) // self.a.hangs - 1)

    def _at_a_here(self) -> list[SeenRun]:
        """Return the looks at A on hosts that are there now; all where nobody is."""
        return [seen for seen in self.known if not self.hosts or seen.exposure.host in self.hosts]

    def _is_sought(self, seen: SeenRun) -> bool:
        return _hung(seen) and self.name(seen) == self.signature

    def _speaking(self) -> list[SeenRun]:
        """Return the looks at B that said something."""
        return [seen for seen in self.looks_at_b if seen.look.said != "nothing"]

    @property
    def share_counted(self) -> float:
        """The share of iterations on B that are builds which count."""
        iterations = sum(seen.look.iterations for seen in self.looks_at_b)
        return max(self.builds_of_b / iterations if iterations else _COUNTED, 0.05)

    def share_of_a_look(self, missing: int) -> int:
        """Return the iterations that the next of so many looks at B is to have, so that all have about as many."""
        return math.ceil(max(self.more, 1) / missing / self.share_counted)

    @property
    def more(self) -> int:
        """Builds without a hang that are missing."""
        return self.silent_builds.missing(self.demand.confidence, self.demand.ratio) if self.a.hangs else 0

    def explain_missing(self) -> str:
        """Return what was shown, and what is missing for more."""
        at_most = f", so at most {self.excluded_ratio:.2g} times A's rate" if self.excluded_ratio else ""
        daemons = max(self.daemons - len(self._speaking()), 0)
        spent = sum(seen.look.seconds for seen in self.looks_at_b)
        seconds = max(spent / (self.builds_of_b or 1) * self.more, spent / len(self.looks_at_b) * daemons)
        on = f" on {counted(daemons, 'more daemon')}" if daemons else ""
        missing = f"{self.more:,} more without one{on}" if self.more else f"none{on} either"
        return (
            f"0 {self.words.plural} in {self.builds_of_b} builds on B{self.explain_hosts()}{at_most}, at "
            f"{100 * self.demand.confidence:g} %; {missing} would say that it is below "
            f"{self.demand.ratio:g} times, about {format_duration(round(seconds))}"
        )

    def explain_not_fixed(self, seen: SeenRun) -> str:
        of = f"a {self.words.noun} that A has too" if self.name(seen) == _SIGNATURE else self.name(seen)
        return (
            f"B {self.words.third} too: {of}, within {seen.exposure.builds} builds of its daemon {seen.number}, after "
            f"{self.builds_of_b} in all; A {self.words.past} {self.a.hangs} times in {self.a.trials}"
            f"{format_ratio(ratio_of(self.a, self.b))}"
        )

    def explain_fixed(self) -> str:
        """Return what was shown, and for which builds."""
        words, chance, at_most = self.words, self.chance or 0.0, self.excluded_ratio or 0.0
        bad = "as bad as A" if self.demand.ratio == 1 else f"{self.demand.ratio:g} times as bad as A"
        return (
            f"0 {words.plural} in {self.builds_of_b} builds on {len(self.looks_at_b)} daemons{self.explain_hosts()}; "
            f"one {bad}, which {words.past} {self.a.hangs} times in {self.a.trials}, would be silent for so long with "
            f"a chance of {100 * chance:.2g} %. Excluded at {100 * self.demand.confidence:g} %: a rate above "
            f"{self.excluded:.2g} per build, or above {at_most:.2g} times A's, in the first {self.age:,} builds of a "
            "daemon; of later ones nothing is known"
        )

    def explain_hosts(self) -> str:
        """Return how many of B's builds count where there are several hosts; empty of one."""
        silence = self.silent_builds
        if silence.matched == silence.all_clean:
            return ""
        return f" ({silence.matched} count: so many are shared by {len(silence.trials)} hosts as A's are)"

    def explain_other(self) -> str:
        """Return B's hangs that A has not, how like A's they are, and what the user can say of them."""
        likeness = self.other_likeness
        other = ", ".join(f"{name} {count}{format_likeness(likeness[name])}" for name, count in self.other.items())
        same = " ".join(f"--also {name}" for name in self.other)
        silent = f"B has not shown A's {self.words.noun} ({self.signature}) in {self.builds_of_b} builds"
        hangs = self.words.third.upper()
        return (
            f"{silent}, but it {hangs} UNDER ANOTHER NAME: {other}. Whether that is the same is for you to say: if so, "
            f"add {same} --resume last"
        )

    @property
    def chance(self) -> float | None:
        """How likely a B that bad is as silent as B."""
        return self.silent_builds.chance(self.demand.ratio) if self.a.hangs else None

    @property
    def excluded(self) -> float:
        """The rate that B's builds exclude."""
        return excluded_rate(self.builds_of_b, 1 - self.demand.confidence)

    @property
    def excluded_ratio(self) -> float | None:
        """The multiple of A's rate that they exclude."""
        if not self.a.hangs or not self.builds_of_b:
            return None
        return self.silent_builds.excluded(self.demand.confidence)

    def concluded(self, verdict: Said, because: str, code: ExitCode) -> Verification:
        """Return what all looks come to."""
        looks = {name: self.series.of(name) for name in ("A", "B")}
        return Verification(
            scenario=self.broken.scenario.name,
            seed=self.series.seed,
            broken=self.broken.toolchain,
            fixed=self.fixed.toolchain,
            daemons={
                name: next((each.look.daemon for each in seen if each.look.daemon), "") for name, seen in looks.items()
            },
            verdict=verdict,
            because=because,
            exit_code=code,
            confidence=self.demand.confidence,
            signature=self.signature,
            a=self.a,
            b=self.b,
            needed=self.needed,
            chance=self.chance,
            excluded=self.excluded,
            excluded_ratio=self.excluded_ratio,
            hosts=len(self.silent_builds.trials),
            age=self.age,
            more=self.more,
            other=dict(self.other),
            other_likeness=self.other_likeness,
            looks={name: len(seen) for name, seen in looks.items()},
            seconds=self.series.seconds,
            folder=str(self.series.path),
            kinds=self.kinds,
        )


def _builds(looks: Sequence[SeenRun]) -> int:
    return sum(seen.exposure.builds for seen in looks)


def _hung(seen: SeenRun) -> bool:
    return seen.exposure.hung
