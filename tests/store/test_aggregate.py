"""What records come to in SQL is what they come to when each is looked at."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from harness.analysis.lifetimes import Lives
from harness.analysis.rates import quantile
from harness.core.errors import StoreError
from harness.core.outcome import Outcome, Phase
from harness.core.records import Action, Audit, Finding, Iteration, Sample
from harness.store import aggregate
from harness.store.database import Record
from harness.store.folder import RunFolder

Made = Callable[..., RunFolder]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Make a run folder with records."""

    def make(records: Sequence[Record] = ()) -> RunFolder:
        folder = RunFolder.create(tmp_path, "s")
        with folder.database() as database:
            for record in records:
                database.add(record)
        return folder

    return make


def build(number: int, at: float, tail: float | None, outcome: Outcome = Outcome.OK) -> Iteration:
    """Return a build that ended at a time."""
    exited = None if outcome is Outcome.HANG else at
    exported = None if tail is None else at - tail
    return Iteration(number, "ci", {}, outcome, at - 2, None, None, exported, exited, None, 0)


def builds(seed: int, count: int) -> list[Iteration]:
    """Return builds of every outcome, in the order in which they ended."""
    chance = Random(seed)
    drawn = []
    at = 2.0
    for number in range(1, count + 1):
        at += chance.expovariate(3)
        outcome = chance.choice([*[Outcome.OK] * 6, *Outcome])
        tail = None if outcome is Outcome.TIMED_OUT or chance.random() < 0.1 else chance.lognormvariate(-4, 1)
        drawn.append(build(number, at, tail, outcome))
    return drawn


def tails_of(iterations: Sequence[Iteration]) -> list[float]:
    """Return the tails that the judge counts."""
    return [each.tail for each in iterations if each.outcome is Outcome.OK and each.tail is not None]


@pytest.mark.parametrize("count", [1, 2, 7, 500])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_timeline_counts_every_build_once(made: Made, seed: int, count: int) -> None:
    """The bins' counts add up to the outcomes, and each bin's quantiles are those of the builds that ended in it."""
    iterations = builds(seed, count)
    folder = made(iterations)
    found = aggregate.timeline(folder, bins=40)
    counts = Counter(each.outcome for each in iterations)
    assert {outcome: sum(column) for outcome, column in found.outcomes.items()} == counts
    assert aggregate.outcomes(folder) == aggregate.Outcomes(found_counts := dict(counts))
    assert aggregate.iterations(folder) == aggregate.outcomes(folder).total == sum(found_counts.values()) == count
    assert len(found.since) == len(found.p50) == len(found.p99) == len(found.longest) == 40
    last = 0
    for since, until, p50, p99, longest, *of_bin in zip(
        *(found.since, found.until, found.p50, found.p99, found.longest), *found.outcomes.values(), strict=True
    ):
        here = iterations[last : last + sum(of_bin)]
        last += len(here)
        assert all(since - 1e-9 <= each.exited <= until + 1e-9 for each in here if each.exited)
        tails = tails_of(here)
        assert (p50, p99, longest) == (quantile(tails, 0.5), quantile(tails, 0.99), quantile(tails, 1.0))


@pytest.mark.parametrize("count", [1, 2, 99, 100, 101, 1000])
def test_tails_are_exact(made: Made, count: int) -> None:
    """The histogram has every tail that the judge counts, in its bin, and the quantiles are the judge's."""
    iterations = builds(count, count)
    tails = tails_of(iterations)
    found = aggregate.tails(made(iterations))
    assert found.n == sum(found.counts) == len(tails)
    assert (found.p50, found.p99, found.longest) == (quantile(tails, 0.5), quantile(tails, 0.99), quantile(tails, 1.0))
    for since, until, count_here in zip(found.since, found.until, found.counts, strict=True):
        inside = [tail for tail in tails if since * (1 - 1e-9) <= tail < until * (1 + 1e-9)]
        assert len(inside) == pytest.approx(count_here, abs=1)
    assert found.since[1:] == pytest.approx(found.until[:-1])


def test_a_tail_of_nothing(made: Made) -> None:
    """A tail of no time at all, which has no logarithm, counts in the lowest bin."""
    found = aggregate.tails(made([build(1, 5.0, 0.0)]))
    assert (found.n, found.counts, found.p50) == (1, (1,), 0.0)


def sample(at: float, goroutines: int | None, rss: int | None = 5) -> Sample:
    """Return a sample of which little matters."""
    return Sample(at, None, rss, goroutines, 3, 0.1, 0.0, 0.25, 9)


def test_a_peak_is_not_averaged_away(made: Made) -> None:
    """However few the bins, the least and the most that was measured are there; what was not measured is None."""
    folder = made([sample(5.0 * number, 1000 if number == 77 else 50, None) for number in range(1, 1001)])
    found = aggregate.samples(folder, bins=10)
    assert max(each for each in found.goroutines_most if each is not None) == 1000
    assert {*found.goroutines_least} == {50}
    assert {*found.rss_most, *found.cpu} == {None}
    assert 10 <= len(found.at) <= 11
    assert aggregate.ends(folder) == aggregate.EndTimes((50, 50), None)


def test_first_and_last(made: Made) -> None:
    """What could not be measured at first or at last is passed over."""
    folder = made([sample(5, None), sample(10, 40), sample(15, 60, 7), sample(20, None, None)])
    assert aggregate.ends(folder) == aggregate.EndTimes((40, 60), (5, 7))


def act(actor: str, started: float, seconds: float, lag: float | None = 0.0) -> Action:
    """Return an act of an actor."""
    acted = None if lag is None else started + lag
    return Action(actor, "prune", 1, started, started, acted, started + seconds, lag is not None, "")


def test_few_acts_are_told_apart(made: Made) -> None:
    """An actor's acts are spans of their own up to the limit; of one with more, close ones are joined, none is lost."""
    folder = made(
        [*(act("few", 100.0 * n, 5) for n in range(10)), *(act("many", 0.1 * n, 0.05) for n in range(10_000))]
    )
    found = aggregate.spans(folder, limit=10)
    of = {name: [i for i, actor in enumerate(found.actor) if actor == name] for name in ("few", "many")}
    assert [(found.since[i], found.until[i], found.count[i], found.busy[i]) for i in of["few"]] == [
        (100.0 * n, 100.0 * n + 5, 1, 1.0) for n in range(10)
    ]
    assert 10 <= len(of["many"]) <= 12
    assert sum(found.count[i] for i in of["many"]) == 10_000
    assert [found.busy[i] for i in of["many"]] == pytest.approx([0.5] * len(of["many"]), abs=0.01)
    assert found.since == tuple(sorted(found.since))


def test_acts_are_counted(made: Made) -> None:
    """Of each actor it is said how often it acted, how often it could not, and how late it was."""
    lags = [0.001 * n for n in range(150)]
    folder = made(
        [*(act("loop", 0.0, 1, lag) for lag in reversed(lags)), act("loop", 9, 1, None), act("no", 9, 1, None)]
    )
    loop, no = aggregate.acts(folder)
    assert (loop.actor, loop.kind, loop.done, loop.could_not) == ("loop", "prune", 150, 1)
    assert loop.late_p99 == quantile(lags, 0.99)
    assert no == aggregate.ActorActs("no", "prune", 0, 1, None)


def test_merged_builds_are_counted(made: Made) -> None:
    """The builds of which a step was merged, and the steps of the one that ended last."""
    made_of = [
        replace(build(number, 1.0, None), merged=("a", f"b{number}") if number % 3 else ()) for number in range(9)
    ]
    assert aggregate.merged(made(made_of)) == (6, ["a", "b8"])


def test_findings_and_audits(made: Made) -> None:
    """Findings come in the order in which they were seen; of many audits, evenly chosen ones."""
    late, early = (
        Finding(number, Outcome.HANG, at, "ci", {}, Phase.EXPORTED, 5.0, 1, (), hunted=True)
        for number, at in ((3, 9.0), (4, 8.0))
    )
    audits = [Audit(n, 1, 5.0 * n, 1.0, True, n, None, (), None, None, None) for n in range(1, 1001)]
    folder = made([late, early, *audits])
    found = aggregate.findings(folder)
    assert (found.iteration, found.at, found.kind[0]) == ((4, 3), (8.0, 9.0), Outcome.HANG)
    assert aggregate.audits(folder, limit=100).iteration == tuple(range(1, 1001, 10))
    assert aggregate.audits(folder).lasting == (None,) * 1000


@pytest.mark.parametrize("seed", range(8))
def test_daemons_live_until_their_first_hang(made: Made, seed: int) -> None:
    """A daemon's trials and time are what the analysis says that they are, kills and daemons that tell among them."""
    chance = Random(seed)
    due = [replace(each, generation=chance.randint(1, 4)) for each in builds(seed, 200)]
    iterations = [
        replace(
            each,
            kill_due=chance.choice([None, each.started + chance.uniform(0, 9)]),
            released=each.exited if seed % 2 and each.outcome is Outcome.TIMED_OUT else None,
        )
        for each in due
    ]
    drawn = []
    for daemon, seen_by in ((2, "client"), (2, "client"), (3, "history")):
        hung = chance.choice([each for each in iterations if each.generation == daemon and each.outcome is Outcome.OK])
        iterations[iterations.index(hung)] = replace(hung, outcome=Outcome.HANG, exited=None)
        at = chance.uniform(5, 60)
        drawn.append(
            Finding(hung.number, Outcome.HANG, at, "ci", {}, Phase.EXPORTED, 5.0, 1, (), True, daemon, seen_by)
        )
    drawn = drawn if seed % 4 else [each for each in drawn if each.seen_by == "client"]
    found = aggregate.lives(made([*iterations, *drawn]), threshold=3.0)
    lived = Lives(drawn, threshold=3.0)
    for each in iterations:
        lived.add(each)
    assert found.trials == tuple(life.trials for life in lived.lives())
    assert found.hung == tuple(life.hung for life in lived.lives())
    assert found.seconds == pytest.approx([life.seconds for life in lived.lives()])


def test_nothing_recorded(made: Made) -> None:
    """A run that has recorded nothing yet comes to nothing, and is no error."""
    folder = made()
    assert aggregate.outcomes(folder).total == 0
    assert aggregate.timeline(folder) == aggregate.Timeline((), (), {}, (), (), ())
    assert aggregate.tails(folder).n == 0
    assert aggregate.samples(folder).at == ()
    assert aggregate.spans(folder).actor == ()
    assert aggregate.acts(folder) == ()
    assert aggregate.ends(folder) == aggregate.EndTimes(None, None)
    assert aggregate.findings(folder).iteration == aggregate.audits(folder).at == ()


def test_only_samples_yet(made: Made) -> None:
    """A run whose first build is still under way has a timeline without builds."""
    found = aggregate.timeline(made([sample(10.0, 4)]), bins=5)
    assert (found.until[-1], found.outcomes, found.p50) == (10.0, {}, (None,) * 5)


def test_it_goes_on_meanwhile(tmp_path: Path) -> None:
    """What is recorded can be aggregated while the run writes on, and each look sees what has come since."""
    folder = RunFolder.create(tmp_path, "s")
    with folder.database() as database:
        for number in range(1, 4):
            database.add(build(number, 2.0 + number, 0.1))
            assert (
                aggregate.iterations(folder)
                == aggregate.outcomes(folder).total
                == sum(aggregate.timeline(folder).outcomes[Outcome.OK])
                == number
            )


def test_no_database(tmp_path: Path) -> None:
    """A run without a database is an error that names the file."""
    with pytest.raises(StoreError, match=r"run\.db: cannot be read"):
        aggregate.timeline(RunFolder.create(tmp_path, "s"))


def test_what_a_run_takes_of_its_disks(made: Made) -> None:
    """What was free first, less what was free as the last build of the first daemon ended; of one sample nothing."""

    def sample(at: float, free: int | None) -> Sample:
        return Sample(at, 1.0, 1, 1, 1, 0.0, 0.0, 0.0, 1, disk_free=free)

    of_two = made([sample(0.0, 900), sample(1.0, None), sample(4.0, 700), sample(9.0, 100), build(1, 5.0, 0.1)])
    assert aggregate.disk_use(of_two) == aggregate.DiskUse(1, 5.0, 200)
    assert aggregate.disk_use(made([sample(0.0, 900), build(1, 5.0, 0.1)])) is None
