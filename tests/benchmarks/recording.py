"""What it costs to record an iteration, as a run does it: noted as it begins, and replaced as it ends.

``python -m tests.benchmarks.recording [COUNT]``; beside it, in turn, the same record as one line of JSON, flushed.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

from harness.core.outcome import Outcome
from harness.core.records import Begun, Iteration
from harness.store.folder import RunFolder
from tests.benchmarks.ratio import Ratio

ROUNDS = 5


def iteration(number: int) -> Iteration:
    """Return a record like those of `prune-race`."""
    at = float(number)
    return Iteration(
        number, "ci", {"N": str(number % 7)}, Outcome.OK, at, at + 0.1, at + 0.2, at + 0.3, at + 0.4, None, 0
    )


def recorded(folder: Path, count: int) -> float:
    """Return the seconds that an iteration takes in a run's database."""
    with RunFolder.create(folder, "s").database() as database:
        began = perf_counter()
        for number in range(1, count + 1):
            database.add(Begun(number, "ci", {"N": str(number % 7)}, float(number)))
            database.add(iteration(number))
        return (perf_counter() - began) / count


def written(folder: Path, count: int) -> float:
    """Return the seconds that an iteration takes as a line of a file."""
    with (folder / "lines.jsonl").open("w") as file:
        began = perf_counter()
        for number in range(1, count + 1):
            file.write(json.dumps(asdict(iteration(number)), default=str) + "\n")
            file.flush()
        return (perf_counter() - began) / count


def ratios(rounds: int = ROUNDS, count: int = 5_000) -> Iterator[Ratio]:
    """Measure both in turn."""
    pairs = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            pairs.append((1e3 * recorded(Path(folder), count), 1e3 * written(Path(folder), count)))
    yield Ratio.of(
        f"an iteration in the database, of {count:,}, milliseconds", "a flushed line of JSON", pairs, digits=3
    )


if __name__ == "__main__":
    for each in ratios(count=int(sys.argv[1]) if len(sys.argv) > 1 else 5_000):
        print(each)
