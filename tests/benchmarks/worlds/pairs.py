"""Two sides that are the same, on daemons that are not alike: how often a comparison calls them different.

Run by hand: ``python -m tests.benchmarks.worlds.pairs [--seeds N] [--first SEED]``. Each daemon draws its rate, of mean
0.03, from a gamma distribution: the smaller the shape, the less alike they are; or one in two hangs at once, and the
others never. Looks are of 200 builds.
"""

import argparse
import math
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import anyio

from harness.cli.kinds import VOCABULARY
from harness.experiments.compare import RunBudget, compare
from harness.experiments.series import SeenRun, Side
from harness.scenario import load
from tests.support.pretended_series import Pretended
from tests.support.stub_runs import write_scenario

RATE: Final = 0.03
BUILDS: Final = 200
SHAPES: Final[Mapping[str, float]] = {"alike": math.inf, "shape 4": 4.0, "shape 1": 1.0, "all or nothing": 0.0}


class Unlike(Pretended):
    """A series whose daemons differ."""

    shape: float
    times: Mapping[str, float]

    async def look(self, side: Side, iterations: int, ahead: int = 0) -> SeenRun:
        """Draw a daemon's rate, then what it does."""
        if self.shape == 0:
            drawn = float(self.chance.integers(2)) / RATE
        elif math.isinf(self.shape):
            drawn = 1.0
        else:
            drawn = float(self.chance.gamma(self.shape)) / self.shape
        self.rates = {side.name: min(1.0, RATE * drawn * self.times[side.name])}
        return await super().look(side, iterations, ahead)


def verdicts(shape: float, pairs: int, seeds: Sequence[int], *, times: float = 1.0) -> Counter[str]:
    """Return how often each verdict was reached, where A's rate is so many times B's."""
    said: Counter[str] = Counter()
    call = partial(compare, factor=3.0, margin=None, report=lambda _: None)
    with tempfile.TemporaryDirectory() as folder:
        side = Side("A", "stub", load(write_scenario(Path(folder)), VOCABULARY))
        for seed in seeds:
            series = Unlike(Path(folder), Path(folder), seed)
            series.pretend(seed, {}, {"A": "x", "B": "x"}, nothing={"A": 0.01, "B": 0.01})
            series.shape, series.times = shape, {"A": times, "B": 1.0}
            said[anyio.run(call, series, side, replace(side, name="B"), RunBudget(BUILDS, pairs, None)).verdict] += 1
    return said


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.seeds)
    print(f"n = {asked.seeds} a cell: said to be different\n| daemons | A's rate by B's | 2 pairs | 4 | 8 | 16 |")
    print("|---|---|---|---|---|---|")
    for name, shape in SHAPES.items():
        for times in (1.0, 10.0) if shape else (1.0,):
            told = [verdicts(shape, pairs, seeds, times=times)["different"] / asked.seeds for pairs in (2, 4, 8, 16)]
            print(f"| {name} | {times:g} | {' | '.join(f'{share:.3f}' for share in told)} |", flush=True)


if __name__ == "__main__":
    main()
