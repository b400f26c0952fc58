"""A million recorded iterations: what their report and `repro show` take, and the same data read naively.

    python tests/benchmarks/report.py [--iterations N]

Naively means every record as a Python object, and what the charts show computed from those. Prints seconds, bytes,
memory, and ratios (naive / ours).
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from harness.analysis.rates import quantile
from harness.core.outcome import Outcome
from harness.core.records import Action, Finding, Iteration, Sample
from harness.report.charts.columns import columns_of
from harness.store.folder import RunFolder
from tests.benchmarks.million import ITERATIONS, write_million

BINS = 300


def main() -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=ITERATIONS)
    parser.add_argument("--step", choices=["sql", "naive"], help=argparse.SUPPRESS)
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        began = time.perf_counter()
        (columns_of if options.step == "sql" else naive)(RunFolder(options.run))
        print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    with tempfile.TemporaryDirectory() as folder:
        run = write_million(Path(folder), options.iterations)
        print(f"{options.iterations} iterations, run.db {(run.path / 'run.db').stat().st_size / 1e6:.0f} MB")
        wanted = timed("report", str(run.path))
        size = (run.path / "report.html").stat().st_size
        print(f"repro report   {wanted:6.1f} s   report.html {size / 1e6:.2f} MB")
        print(f"repro show     {timed('show', str(run.path)):6.1f} s")
        print(f"repro schema   {timed('schema'):6.1f} s   (only to start)")
        (ours, memory), (theirs, naive_memory) = (step(name, run) for name in ("sql", "naive"))
        print(f"columns, SQL   {ours:6.1f} s   {memory:6.0f} MiB")
        print(f"columns, naive {theirs:6.1f} s   {naive_memory:6.0f} MiB")
        print(f"ratio          {theirs / ours:6.1f}     {naive_memory / memory:6.1f}")


def timed(*command: str) -> float:
    """Return the seconds that a command takes, with its start."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "harness", *command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def step(name: str, run: RunFolder) -> tuple[float, float]:
    """Return seconds and MiB of one way to have the columns, in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.report", "--step", name, "--run", str(run.path)]
    seconds, memory = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(memory)


def naive(folder: RunFolder) -> None:
    """Compute what the charts show from lists of records."""
    iterations, actions, samples = folder.read(Iteration), folder.read(Action), folder.read(Sample)
    folder.read(Finding)
    end = max(each.exited or each.started for each in iterations)
    counts: dict[tuple[int, Outcome], int] = defaultdict(int)
    tails: dict[int, list[float]] = defaultdict(list)
    for each in iterations:
        place = min(int((each.exited or each.started) / end * BINS), BINS - 1)
        counts[place, each.outcome] += 1
        if each.outcome is Outcome.OK and each.tail is not None:
            tails[place].append(each.tail)
    for of_bin in tails.values():
        quantile(of_bin, 0.5), quantile(of_bin, 0.99), max(of_bin)
    everything = [tail for of_bin in tails.values() for tail in of_bin]
    quantile(everything, 0.5), quantile(everything, 0.99)
    spans = defaultdict(list)
    for act in actions:
        spans[act.actor, int(act.started / end * 400)].append(act)
    grouped = defaultdict(list)
    for sample in samples:
        grouped[int(sample.at / end * BINS)].append(sample)


if __name__ == "__main__":
    main()
