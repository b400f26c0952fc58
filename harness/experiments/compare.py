"""Two toolchains, or one with two settings, looked at in turn on the same seeds, until it can be said how they differ.

1. Both sides are had, before a daemon is started.
2. Pairs of looks, A B B A and so on, fresh daemons each, both of a pair with the same seed: so that a host that
   changes meanwhile changes both sides.
3. Halfway through the budget, as soon as there are looks enough (`can_differ`), and in its end, they are held against
   each other (`contrast`); halfway only a difference that is beyond doubt ends it.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from harness.analysis.leak import leak_of
from harness.analysis.rates import quantile
from harness.analysis.two_sample import ALPHA, FINAL_ALPHA, HALFWAY_ALPHA, Said, TwoSampleTest, can_differ, contrast
from harness.buildkit.likeness import format_likeness, most_alike
from harness.core.errors import Interrupted, UsageError
from harness.core.outcome import Ending, ExitCode, Outcome
from harness.core.records import Audit, Finding, Iteration, Leak
from harness.core.wording import Wording
from harness.experiments.series import Name, SeenRun, Series, Side
from harness.store.folder import RunFolder

_DAEMONS_OF_A_LOOK: Final = 1000
_SILENT: Final = 2
"""So many first looks at a side without a single build that counts end a comparison."""
EXIT_CODES: Final[Mapping[Said, ExitCode]] = {
    "different": ExitCode.HANG,
    "no difference": ExitCode.CLEAN,
    "not enough": ExitCode.INCONCLUSIVE,
}


class NothingDiffers(UsageError):
    """One toolchain, and nothing else to compare."""

    def __init__(self) -> None:
        super().__init__(
            "A alone, with no setting of its own, is nothing to compare: name B (A once more is allowed), or say what "
            "differs with --set-a and --set-b"
        )


@dataclass(frozen=True)
class RunBudget:
    """How much is spent at most; the first bound that is reached ends it, at the end of a pair."""

    iterations: int
    """Of a look, which a hang ends before."""
    pairs: int | None
    seconds: float | None

    def ahead(self, pairs: int, slots: int) -> int:
        """Return how many pairs may be begun before this one is over: both sides get on alike."""
        return max(min(self.pairs - pairs if self.pairs else slots, -(-slots // 2)) - 1, 0)

    def spent(self, pairs: int, seconds: float) -> float:
        """Return the share that is spent."""
        return max(pairs / self.pairs if self.pairs else 0.0, seconds / self.seconds if self.seconds else 0.0)


@dataclass(frozen=True)
class SideResult:
    """What one side came to."""

    toolchain: str
    settings: tuple[str, ...]
    daemon: str
    looks: int
    nothing: int
    """Looks that said nothing by themselves; they count as far as they came."""
    iterations: int
    hangs: int
    builds: int
    signatures: dict[str, int]
    tail_seconds: dict[str, float | None]
    leak: Leak | None
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """A comparison that is over."""

    scenario: str
    seed: int
    sides: dict[Name, SideResult]
    verdict: Said
    because: str
    exit_code: ExitCode
    contrast: TwoSampleTest
    """What the looks say, whether or not they were cut short."""
    more_iterations: int | None
    """About how many more a side would be enough."""
    names: str
    """A word on the names of the hangs, where the sides have no name in common; else empty."""
    seconds: float
    folder: str
    kinds: tuple[str, ...]
    """Of what came, or, where nothing did, of what the scenario looks for."""


async def compare(
    series: Series,
    a: Side,
    b: Side,
    budget: RunBudget,
    *,
    factor: float,
    margin: float | None,
    report: Callable[[SeenRun], None],
    also: Collection[str] = (),
) -> Comparison:
    """Compare two sides; see the steps above.

    Args:
        series: where the looks are kept.
        a, b: with the same scenario, but for what is to be compared.
        budget: at least one of its two bounds is there.
        factor, margin: what is a difference that does not matter; see `contrast`.
        report: hears of each look.
        also: names that are one hang's, as the user says. All hangs count, whatever their names are.

    Raises:
        UsageError, InfraError, SubjectError: a look could not be begun.
    """
    await series.require(a, b)

    def held(alpha: float) -> TwoSampleTest:
        exposures = [[seen.exposure for seen in series.of(side.name)] for side in (a, b)]
        return contrast(*exposures, alpha=alpha, factor=factor, margin=margin, words=Wording.of(_kinds(series, a)))

    tested, interrupted, pairs, spent = False, False, 0, 0.0
    result: TwoSampleTest | None = None
    try:
        while spent < 1.0 and result is None:
            ahead = budget.ahead(pairs, series.runner.slots)
            for side in (a, b) if pairs % 2 == 0 else (b, a):
                report(await series.look(side, budget.iterations, ahead))
            pairs += 1
            spent = budget.spent(pairs, series.seconds)
            if _silent(series):
                break
            if 0.5 <= spent < 1.0 and not tested and can_differ(pairs, pairs, HALFWAY_ALPHA):
                tested, halfway = True, held(HALFWAY_ALPHA)
                result = halfway if halfway.verdict == "different" else None
    except Interrupted:
        interrupted = True
    result = result or held(FINAL_ALPHA if tested else ALPHA)
    comparison = _concluded(series, (a, b), result, frozenset(also), interrupted=interrupted)
    series.conclude("compare.json", asdict(comparison))
    return comparison


def _silent(series: Series) -> bool:
    """Whether a side has had its chance, and no build of it counts; or its daemon cannot do what the scenario asks."""
    of_each = [series.of("A"), series.of("B")]
    if any(each.look.ending is Ending.UNABLE for seen in of_each for each in seen):
        return True
    return any(len(seen) >= _SILENT and not any(each.exposure.builds for each in seen) for seen in of_each)


def _concluded(
    series: Series, sides: tuple[Side, Side], result: TwoSampleTest, also: Collection[str], *, interrupted: bool
) -> Comparison:
    """Return what the looks come to. What is cut short, or mostly broke, is neither a difference nor the lack of it."""
    of = {side.name: _of(series, side) for side in sides}
    spoilt = [name for name, one in of.items() if one.nothing * 2 > one.looks]
    verdict, because, code = result.verdict, result.because, EXIT_CODES[result.verdict]
    if interrupted:
        verdict, because, code = "not enough", f"interrupted; so far: {because}", ExitCode.INTERRUPTED
    elif spoilt:
        why = next(seen.look.because for seen in series.of(spoilt[0]) if seen.look.said == "nothing")
        verdict, because = "not enough", f"most looks at {' and '.join(spoilt)} said nothing: {why}"
        code = ExitCode.INCONCLUSIVE
    iterations, builds = (sum(getattr(one, what) for one in of.values()) for what in ("iterations", "builds"))
    more = math.ceil(result.more * iterations / builds) if result.more and builds else None
    if more and verdict == "not enough":
        because += f": about {more:,} more iterations a side, at the rates so far"
    return Comparison(
        scenario=sides[0].scenario.name,
        seed=series.seed,
        sides=of,
        verdict=verdict,
        because=because,
        exit_code=code,
        contrast=result,
        more_iterations=more,
        names=_names(series, also),
        seconds=series.seconds,
        folder=str(series.path),
        kinds=_kinds(series, sides[0]),
    )


def _kinds(series: Series, side: Side) -> tuple[str, ...]:
    """Return the kinds of what came on either side, or, where nothing did, of what the scenario looks for."""
    found = (seen.look.kind for name in (*"AB",) for seen in series.of(name) if seen.exposure.hung)
    return tuple(dict.fromkeys(found) or side.scenario.stop.on)


def _names(series: Series, also: Collection[str]) -> str:
    """Return what the names of the hangs say of the sides: that each has others, though all of them count alike."""
    of = {name: [seen.look for seen in series.of(name) if seen.exposure.hung] for name in (*"AB",)}
    words = Wording.of(look.kind for looks in of.values() for look in looks)
    names = {name: {look.signature for look in looks} - {""} for name, looks in of.items()}
    if not names["A"] or not names["B"] or names["A"] & names["B"] or {*also} & (names["A"] | names["B"]):
        return ""
    alike = format_likeness(most_alike(*([look.frames for look in looks] for looks in of.values())))
    names_of = [" and ".join(sorted(each)) for each in names.values()]
    return (
        f"A {words.third} as {names_of[0]}, B as {names_of[1]}{alike}, and all of these count: if it is one "
        f"{words.noun}, renamed, the rates are of one thing (--also {names_of[1]} says so); if not, one {words.noun} "
        "has gone and another has come"
    )


def _of(series: Series, side: Side) -> SideResult:
    seen = series.of(side.name)
    tails: list[float] = []
    audits: list[Audit] = []
    for each in seen:
        folder = RunFolder(series.path.parent / Path(each.look.folder).name)  # wherever we are started from
        tails += _tails(folder)
        audits += _audits(folder, each.number)
    return SideResult(
        side.toolchain,
        side.settings,
        next((each.look.daemon for each in seen if each.look.daemon), ""),
        looks=len(seen),
        nothing=sum(each.look.said == "nothing" for each in seen),
        iterations=sum(each.look.iterations for each in seen),
        hangs=sum(each.exposure.hung for each in seen),
        builds=sum(each.exposure.builds for each in seen),
        signatures=dict(Counter(each.look.signature or "unknown" for each in seen if each.exposure.hung).most_common()),
        tail_seconds={"p50": quantile(tails, 0.5), "p99": quantile(tails, 0.99), "max": quantile(tails, 1.0)},
        leak=leak_of(audits),
        seconds=sum(each.look.seconds for each in seen),
    )


def _tails(folder: RunFolder) -> list[float]:
    if not (folder.path / "run.db").exists():
        return []
    builds = folder.each(Iteration)
    return [build.tail for build in builds if build.outcome is Outcome.OK and build.tail is not None]


def _audits(folder: RunFolder, number: int) -> list[Audit]:
    """Return the audits of a look up to its first finding, each of its daemons as a series of its own."""
    if not (folder.path / "run.db").exists():
        return []
    end = min((finding.at for finding in folder.each(Finding)), default=math.inf)
    before = (audit for audit in folder.each(Audit) if audit.at < end)
    return [replace(audit, series=_DAEMONS_OF_A_LOOK * number + audit.series) for audit in before]
