"""What a search for a culprit costs and how often it is right, beside a bisect by a fixed number of clean trials.

``python -m tests.benchmarks.bisect [SEARCHES]`` makes up a thousand histories of 64 candidates for each setting; 5 % do
not build, 1 % of the looks break. Each is searched by belief, and by halves with each of many numbers of clean trials;
of these the highest counts whose error is still no better than that of belief. Of some it is told how long they were
said to take as they began. It also times one choice among 1,000.
Its seeds are its own: nothing was ever tuned on these histories.
"""

import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from math import inf
from statistics import fmean, quantiles

from harness.experiments.bisect.belief import Belief, hypotheses, line
from harness.experiments.bisect.choice import Costs, next_look
from tests.experiments.bisect.forecasts import held
from tests.experiments.bisect.simulated import BUILD, START, TRIAL, Setting, Told, fixed, search

RATES = (0.3, 0.03, 0.003)
SHAPES = (inf, 4.0)
FIRST_SEED = 1_000_000
FORECASTS = 100
LADDER = (1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 18, 20, 24, 28, 32)


def seeds(count: int) -> range:
    """Return the seeds of so many histories."""
    return range(FIRST_SEED, FIRST_SEED + count)


def wrong(told: Sequence[Told]) -> float:
    """Return the share of wrong answers."""
    return fmean(not one.right for one in told)


def beside(
    pool: ProcessPoolExecutor, setting: Setting, error: float, count: int, *, oracle: bool
) -> tuple[float, float, float]:
    """Return the dearest bisect by fixed numbers whose error is no better: the multiple, its error, its seconds."""
    found = (0.0, 1.0, inf)
    for multiple in LADDER:
        told = list(pool.map(partial(fixed, setting, multiple=multiple, oracle=oracle), seeds(count), chunksize=50))
        if wrong(told) < max(error, 1 / count):  # no error at all in so many is not the same as none
            break
        found = (multiple, wrong(told), fmean(one.seconds for one in told))
    return found


def one_choice() -> None:
    """Time the choice among 1,000 candidates, before a search and amid one."""
    belief = Belief(hypotheses(line(1000))).saw(999, 300, hung=True).saw(999, 200, hung=True)
    costs = Costs([BUILD] * 1000, START, TRIAL)
    for name in ("at first", "after ten looks"):
        began = time.perf_counter()
        choice = next_look(belief, costs)
        print(f"a choice among 1,000 {name}: {time.perf_counter() - began:.2f} s: {choice}")
        for number in range(10):
            belief = belief.saw(300 + 40 * number, 100, hung=number > 7)


def main() -> None:
    """Search, and print a line for each setting and each way."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    one_choice()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for shape in SHAPES:
            for rate in RATES:
                setting = Setting(rate, shape=shape)
                told = list(pool.map(partial(search, setting), seeds(count), chunksize=10))
                seconds = fmean(one.seconds for one in told)
                print(f"rate {rate:g}, {'the same' if shape == inf else f'Beta({shape:g}, …)'}, {count} searches")
                print(
                    f"  belief   right {1 - wrong(told):.1%}, said {fmean(one.mass for one in told):.1%}; "
                    f"{seconds:.0f} s, one in ten above {quantiles((one.seconds for one in told), n=10)[-1]:.0f}; "
                    f"{fmean(one.builds for one in told):.1f} builds, {fmean(one.looks for one in told):.1f} looks; "
                    f"{fmean(len(one.members) for one in told):.2f} candidates an answer, "
                    f"at most {max(len(one.members) for one in told)}",
                    flush=True,
                )
                forecasts = list(pool.map(partial(held, setting), seeds(min(count, FORECASTS)), chunksize=5))
                within = fmean(one.low80 <= took <= one.high80 for one, took in forecasts)
                wide = fmean(one.high80 / one.low80 for one, _ in forecasts)
                print(f"  forecast right {within:.0%} of {len(forecasts)}, from one to {wide:.1f}", flush=True)
                for oracle in (False, True):
                    multiple, error, took = beside(pool, setting, wrong(told), count, oracle=oracle)
                    name = "oracle" if oracle else "learned"
                    print(
                        f"  {name:<8} {multiple:g}/rate: right {1 - error:.1%}, {took:.0f} s; "
                        f"belief takes {seconds / took:.2f} of it",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
