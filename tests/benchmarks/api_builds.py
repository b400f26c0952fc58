"""Builds without a client's process (``via: api``), beside a bare loop of the clients that they stand for.

``python -m tests.benchmarks.api_builds SPEC``, of a buildkitd or a dockerd. Each build runs one step, and the rest is
cached. The bare loop is ``xargs -P 4`` over the very command that the harness uses; ours is all of `repro run`, records
and detectors with it, on a daemon of the same toolchain, once its cache is there.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import yaml

from harness.actors.context import lay_base
from harness.core.records import Iteration, Sample
from harness.daemons.base import BuildRequest, Slot
from harness.daemons.table import DAEMONS
from harness.host.ledger import Ledger
from harness.scenario import DaemonSpec
from harness.scenario.load import PROJECT
from harness.toolchain import resolve
from harness.toolchain.base_image import static_busybox
from tests.benchmarks.overhead import repro
from tests.benchmarks.ratio import Ratio

LINES, BUILDS, ROUNDS = 4, 60, 5
WARM_UP = 20
"""Builds of ours that are not counted: they fill the cache."""


def ratios(spec: str, rounds: int = ROUNDS) -> Iterator[Ratio]:
    """Let both take turns."""
    pairs = anyio.run(turns, spec, rounds)
    yield Ratio.of(f"{BUILDS} builds `via: api` in {LINES} lines, a second", f"`xargs -P {LINES}`", pairs)


async def turns(spec: str, rounds: int) -> list[tuple[float, float]]:
    """Return builds a second, ours and the bare loop's, a pair a round."""
    toolchain, ledger = await resolve(spec), Ledger.open(f"benchmark-{os.getpid()}")
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            context = folder / "context"
            shutil.copytree(PROJECT / "dockerfiles" / "diamond", context)
            lay_base(context, "busybox", await static_busybox())
            kind = toolchain.kinds[0]
            async with DAEMONS[kind](toolchain, DaemonSpec(), Slot(ledger.name, folder, ledger)) as daemon:
                export = "load" if kind == "dockerd" else "image"
                request = BuildRequest(0, context, {"N": "ROUND-{}"}, "repro-bare-$SLOT:latest", (export,))
                command = daemon.build(request)
                bare_loop(command.argv, command.env, LINES, "first")
                pairs = []
                for number in range(rounds):
                    bare = bare_loop(command.argv, command.env, BUILDS, str(number))
                    ours, cores = harness_loop(folder, spec, export, number)
                    print(
                        f"bare {bare:5.2f}/s  api {ours:5.2f}/s  ratio {ours / bare:.3f}  own cpu {cores:.3f}",
                        flush=True,
                    )
                    pairs.append((ours, bare))
                return pairs
    finally:
        await ledger.reclaim()


def bare_loop(argv: tuple[str, ...], environment: object, builds: int, number: str) -> float:
    """Return builds a second of ``xargs -P`` over a command, in which `ROUND`, `{}` and `$SLOT` are filled in."""
    words = [shlex.quote(word).replace("'$SLOT'", "$SLOT").replace("ROUND", number) for word in argv]
    command = " ".join(word.replace("'", '"') if "$SLOT" in word else word for word in words)
    started = time.monotonic()
    ended = subprocess.run(
        ["xargs", "--process-slot-var=SLOT", "-P", str(LINES), "-I", "{}", "sh", "-c", f"{command} >/dev/null 2>&1"],
        input="\n".join(str(index) for index in range(builds)),
        text=True,
        check=False,
        env={**os.environ, **dict(environment)},  # type: ignore[call-overload]
    )
    if ended.returncode:
        sys.exit(f"xargs ended with {ended.returncode}")
    return builds / (time.monotonic() - started)


def harness_loop(folder: Path, spec: str, export: str, number: int) -> tuple[float, float]:
    """Return builds a second of `repro run` once the cache is there, and its own cores meanwhile."""
    scenario = folder / "api.yaml"
    build = {"build": "ci", "dockerfile": "diamond", "export": export, "via": "api", "parallel": LINES}
    build["args"] = {"N": f"harness-{number}-{{iteration}}"}
    scenario.write_text(yaml.safe_dump({"name": "api", "actors": [build], "stop": {"iterations": WARM_UP + BUILDS}}))
    run = repro(folder, scenario, "--daemon", spec, "--no-report")
    counted = [entry for entry in run.read(Iteration) if entry.number > WARM_UP]
    first, last = min(entry.started for entry in counted), max(entry.exited or 0.0 for entry in counted)
    cores = [sample.own_cpu for sample in run.read(Sample) if first <= sample.at <= last]
    return len(counted) / (last - first), sum(cores) / max(len(cores), 1)


if __name__ == "__main__":
    for each in ratios(sys.argv[1]):
        print(each)
