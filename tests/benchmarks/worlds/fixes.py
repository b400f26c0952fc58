"""Daemons said to be fixed that still hang, less often or later: how often they are called so.

Run by hand: ``python -m tests.benchmarks.worlds.fixes [--seeds N] [--first SEED]``. A hangs in 3 of 100 builds; what B
does is the world. The builds to a hang are drawn by `tests.support.pretended_series`, which knows no statistics.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import anyio

from harness.cli.kinds import VOCABULARY
from harness.experiments.series import Side
from harness.experiments.verify import VerifyOptions, verify
from harness.scenario import load
from tests.support.pretended_series import Pretended
from tests.support.stub_runs import write_scenario

OF_A: Final = 0.03


@dataclass(frozen=True)
class Fix:
    """What B still does."""

    times: float
    """B's rate, by A's."""
    after: int = 0
    """Builds that each of its daemons takes before it can hang."""


FIXES: Final[Mapping[str, Fix]] = {
    "never hangs": Fix(0.0),
    "a thirtieth": Fix(1 / 30),
    "a tenth": Fix(0.1),
    "half": Fix(0.5),
    "as bad": Fix(1.0),
    "as bad, after 200 builds of a daemon": Fix(1.0, 200),
}


def verdicts(fix: Fix, options: VerifyOptions, seeds: Sequence[int]) -> Counter[str]:
    """Return how often each verdict was reached."""
    said: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        from_file = partial(load, write_scenario(Path(folder)), VOCABULARY)
        sides = Side("A", "stub", from_file()), Side("B", "stub", from_file())
        for seed in seeds:
            series = Pretended(Path(folder), Path(folder), seed)
            series.pretend(
                seed,
                {"A": OF_A, "B": OF_A * fix.times},
                {"A": "x", "B": "x"},
                nothing={"A": 0.01, "B": 0.01},
                warm={"A": 0, "B": fix.after},
            )
            said[anyio.run(verify, series, *sides, options, lambda _: None).verdict] += 1
    return said


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.seeds)
    settings: dict[str, VerifyOptions] = {
        "a tenth": VerifyOptions(0.95, 5, 0.1, 500, None),
        "a tenth, to 250 builds of a daemon": VerifyOptions(0.95, 5, 0.1, 500, None, age=250),
        "as bad": VerifyOptions(0.95, 5, 1.0, 500, None),
    }
    print(f"n = {asked.seeds} a cell: called fixed\n| B | {' | '.join(settings)} |\n|---|{'---|' * len(settings)}")
    for name, fix in FIXES.items():
        told = [verdicts(fix, options, seeds)["fixed"] / asked.seeds for options in settings.values()]
        print(f"| {name} | {' | '.join(f'{share:.3f}' for share in told)} |", flush=True)


if __name__ == "__main__":
    main()
