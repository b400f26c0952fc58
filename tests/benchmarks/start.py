"""How soon `repro` is there: its help beside a bare Python, and a run's first build beside a daemon started by hand.

``python -m tests.benchmarks.start path:DIR``, with the folder of a buildkitd or the spec of a cached toolchain.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import anyio

from harness.daemons.base import Slot
from harness.daemons.table import DAEMONS
from harness.host.ledger import Ledger
from harness.scenario import DaemonSpec
from harness.scenario.load import PROJECT
from harness.toolchain import resolve
from tests.benchmarks.ratio import Ratio

ROUNDS = 7


def ratios(spec: str, rounds: int = ROUNDS) -> Iterator[Ratio]:
    """Measure all, in turn."""
    repro = [sys.executable, "-m", "harness"]
    bare = [sys.executable, "-c", "pass"]
    for words in (("--help",), ("run", "--help")):
        pairs = [(cpu_of([*repro, *words]), cpu_of(bare)) for _ in range(rounds)]
        yield Ratio.of(f"`repro {' '.join(words)}`, CPU seconds", "`python -c pass`", pairs, digits=3)
    pairs = [(first_build(spec), anyio.run(bare_start, spec)) for _ in range(rounds)]
    yield Ratio.of("`repro run` to its first build, seconds", "its daemon alone, until it answers", pairs)


def cpu_of(argv: list[str]) -> float:
    """Return the CPU seconds of a command, with all that it starts and waits for."""
    before = os.times()
    subprocess.run(argv, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def first_build(spec: str) -> float:
    """Return the seconds from the start of `repro run` to that of its first build."""
    scenario = PROJECT / "scenarios" / "control-clean.yaml"
    with tempfile.TemporaryDirectory() as folder:
        options = ("--daemon", spec, "--iterations", "5", "--results", folder, "--no-report", "--json")
        began = time.monotonic()
        argv = [sys.executable, "-m", "harness", "run", str(scenario), *options]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout
            found = list[float]()
            for line in process.stdout:
                told = json.loads(line)
                if told["event"] == "iteration":
                    found.append(time.monotonic() - began - float(told["exited"] - told["started"]))
    return found[0]


async def bare_start(spec: str) -> float:
    """Return the seconds that a daemon takes from its start until it answers, in folders that are there."""
    toolchain = await resolve(spec)
    ledger = Ledger.open(f"benchmark-{os.getpid()}")
    try:
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            opened = DAEMONS[toolchain.kinds[0]](toolchain, DaemonSpec(), Slot(ledger.name, Path(folder), ledger))
            async with opened:
                return time.monotonic() - began
    finally:
        await ledger.reclaim()


if __name__ == "__main__":
    for each in ratios(sys.argv[1]):
        print(each)
