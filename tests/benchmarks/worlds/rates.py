"""How often the stated interval of a rate holds the truth, and how wide it is, world by world.

``python -m tests.benchmarks.worlds.rates [SEED [RUNS]]`` prints the table.
"""

import sys
from collections.abc import Iterator, Mapping
from random import Random
from statistics import median
from typing import Final

from harness.analysis.judge import judge
from harness.analysis.merge import RunSegment, merge
from harness.analysis.rates import excluded_rate, rate
from harness.core.outcome import Ending, Verdict
from harness.core.records import Summary
from tests.benchmarks.worlds.builds import Records, World, run

WORLDS: Final[Mapping[str, World]] = {
    "one line, p 0.1": World(0.1, lines=1),
    "four lines, a hang poisons, p 0.1": World(0.1),
    "four lines, a hang poisons, p 0.01": World(0.01),
    "eight lines, a hang poisons, p 0.5": World(0.5, lines=8),
    "four lines, independent, p 0.1": World(0.1, poisons=False),
    "eight lines, independent, p 0.5": World(0.5, lines=8, poisons=False),
    "four lines, independent, p 0.01": World(0.01, poisons=False),
    "a third killed, poisons, p 0.1": World(0.1, kills=0.33),
    "a third killed, independent, p 0.1": World(0.1, kills=0.33, poisons=False),
    "all due for a kill, independent, p 0.1": World(
        0.1, kills=1.0, kill_after=(0.2, 9.0), poisons=False, threshold=2.0
    ),
    "a third killed, told by history, poisons, p 0.1": World(0.1, kills=0.33, history=True),
}


WATCHED: Final = ("four lines, a hang poisons, p 0.1", "four lines, independent, p 0.1", "one line, p 0.1")
"""Of these, the intervals after each daemon."""

SEGMENTS: Final[Mapping[str, World]] = {
    f"{'a hang poisons' if poisons else 'independent'}, p {rate}": World(rate, poisons=poisons, threshold=60)
    for poisons in (True, False)
    for rate in (0.0005, 0.002)
}


def judged(records: Records, threshold: float) -> Summary:
    """Return what the harness makes of the records of a made-up run."""
    return judge(
        records.iterations,
        records.findings,
        threshold=threshold,
        scenario="made-up",
        daemon={},
        seed=1,
        ending=Ending.ITERATIONS,
        detail="",
        seconds=records.seconds,
        unattended=0.0,
    )


def measured(world: World, seed: int, runs: int, hangs: int = 5) -> tuple[float, float]:
    """Return the share of runs (each to so many hangs) whose interval holds the rate, and its ends' median ratio."""
    held, widths = 0, []
    for number in range(runs):
        told = judged(run(world, Random(f"{seed} {number} {world}"), hangs=hangs, builds=20_000), world.threshold).rate
        held += told.low95 <= world.rate <= told.high95
        widths.append(told.high95 / told.low95 if told.low95 else float("inf"))
    return held / runs, median(widths)


def ever_wrong(world: World, seed: int, runs: int, hangs: int = 12) -> tuple[float, float, float]:
    """Return in which share of runs an interval misses the rate, of those shown after each daemon of so many hangs.

    They are what a run shows, and, of the same counts, the exact one. The third is by how much the former is the wider,
    by the median at the last look.
    """
    shown, exact, wider = 0, 0, []
    for number in range(runs):
        records = run(world, Random(f"{seed} {number} {world} watched"), hangs=hangs, builds=20_000)
        looks = []
        for count, finding in enumerate(records.findings, 1):
            upto = [build for build in records.iterations if build.generation <= finding.generation]
            told = judged(Records(upto, records.findings[:count], finding.at), world.threshold).rate
            looks.append((told, rate(told.hangs, told.trials, told.unsettled)))
        shown += any(not told.low95 <= world.rate <= told.high95 for told, _ in looks)
        exact += any(not alone.low95 <= world.rate <= alone.high95 for _, alone in looks)
        told, alone = looks[-1]
        wider.append((told.high95 - told.low95) / (alone.high95 - alone.low95))
    return shown / runs, exact / runs, median(wider)


def excludes_falsely(world: World, seed: int, runs: int, *, segments: int, seconds: float) -> float:
    """Return the share of runs, each of so many segments that are cut off after so long, that exclude the true rate."""
    false = 0
    for number in range(runs):
        random = Random(f"{seed} {number} {world} segments")
        parts = [
            RunSegment(str(n), judged(run(world, random, seconds=seconds), world.threshold)) for n in range(segments)
        ]
        summary = merge(parts)
        found = summary.rate
        clean = summary.verdict is Verdict.CLEAN and found.hangs == 0
        false += clean and excluded_rate(found.trials, unsettled=found.unsettled) < world.rate
    return false / runs


def table(seed: int, runs: int) -> Iterator[str]:
    """Yield the lines."""
    yield f"| world | covers, of {runs} | upper by lower end |"
    yield "|---|---|---|"
    for name, world in WORLDS.items():
        share, width = measured(world, seed, runs)
        yield f"| {name} | {100 * share:.1f} % | {width:.1f} |"
    yield ""
    yield f"| looked at after each of 12 daemons | wrong at a look, of {runs} | an exact interval | width by its |"
    yield "|---|---|---|---|"
    for name in WATCHED:
        shown, exact, wider = ever_wrong(WORLDS[name], seed, runs)
        yield f"| {name} | {100 * shown:.1f} % | {100 * exact:.1f} % | {wider:.2f} |"
    yield ""
    yield f"| world, in segments of 90 s where a hang is told after 60 s | excludes the truth, of {runs} |"
    yield "|---|---|"
    for name, world in SEGMENTS.items():
        share = excludes_falsely(world, seed, runs, segments=6, seconds=90)
        yield f"| {name} | {100 * share:.1f} % |"


if __name__ == "__main__":
    seed_, runs_ = [*map(int, sys.argv[1:]), *[1, 400][len(sys.argv) - 1 :]]
    for line in table(seed_, runs_):
        print(line, flush=True)
