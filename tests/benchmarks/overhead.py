"""What the harness costs: the same builds by `repro` and by a bare loop of the same clients, in turn, on one daemon.

    python -m tests.benchmarks.overhead [SPEC]          # a dockerd; default: debian:forky
    python -m tests.benchmarks.overhead --memory        # 20,000 iterations with the stub client

The first prints throughput as a ratio (harness / bare loop; 1 is no cost) and the harness's own CPU as a share of one
core. The bare loop is ``xargs -P 4``. The second prints the harness's resident memory as it goes.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import yaml

from harness.actors.context import lay_base
from harness.core.records import Iteration, Sample
from harness.scenario.load import PROJECT
from harness.store.find import find_run
from harness.store.folder import RunFolder
from harness.toolchain.base_image import static_busybox
from tests.benchmarks.ratio import Ratio

LINES = 4
BUILDS = 60
ROUNDS = 5
WARM_UP = 1


@dataclass(frozen=True)
class Round:
    """Builds a second by each, and the cores that the harness itself used."""

    bare: float
    harness: float
    cores: float


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", nargs="?", default="debian:forky")
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    if options.memory:
        with tempfile.TemporaryDirectory() as folder:
            memory(Path(folder))
        return
    for each in ratios(options.spec):
        print(each)


def ratios(spec: str, rounds: int = ROUNDS) -> Iterator[Ratio]:
    """Compare throughput on one kept daemon; print a line a round, and the harness's own CPU."""
    with tempfile.TemporaryDirectory() as folder:
        taken = throughput(Path(folder), spec, rounds)
    print(f"median own cpu {statistics.median(entry.cores for entry in taken):.3f} of one core")
    pairs = [(entry.harness, entry.bare) for entry in taken]
    yield Ratio.of(f"{BUILDS} builds by `repro` in {LINES} lines, a second", f"`xargs -P {LINES}`", pairs)


def throughput(folder: Path, spec: str, rounds: int) -> list[Round]:
    """Return the rounds after the first, which warms up."""
    repro(folder, PROJECT / "scenarios" / "control-clean.yaml", "--daemon", spec, "--keep")
    try:
        manifest = find_run("last", folder / "results").read_json("run.json")
        binaries = manifest["toolchain"]["binaries"]
        plugins = folder / "docker" / "cli-plugins"
        plugins.mkdir(parents=True)
        (plugins / "docker-buildx").symlink_to(binaries["docker-buildx"]["path"])
        environment = {
            "PATH": f"{Path(binaries['docker']['path']).parent}:{os.environ['PATH']}",
            "DOCKER_HOST": manifest["daemon"]["address"],
            "DOCKER_CONFIG": str(plugins.parent),
        }
        context = folder / "context"
        shutil.copytree(PROJECT / "dockerfiles" / "diamond", context)
        lay_base(context, "busybox", anyio.run(static_busybox))
        print(
            f"dockerd {manifest['daemon']['version']}, {os.cpu_count()} cores, {LINES} lines, {BUILDS} builds a round"
        )
        taken = []
        for number in range(rounds + WARM_UP):
            bare = bare_loop(context, environment, number)
            harness, cores = harness_loop(folder, environment, number)
            if number >= WARM_UP:
                taken.append(Round(bare, harness, cores))
                print(f"bare {bare:5.2f}/s  harness {harness:5.2f}/s  ratio {harness / bare:.3f}  own cpu {cores:.3f}")
        return taken
    finally:
        subprocess.run([sys.executable, "-m", "harness", "clean"], check=True, stdout=subprocess.DEVNULL)


def bare_loop(context: Path, environment: dict[str, str], number: int) -> float:
    """Return builds a second of ``xargs -P`` over the very command that the harness uses."""
    command = (
        "docker buildx build --builder default --progress rawjson --network none --build-arg N={} "
        f"--tag repro-bare-$SLOT:latest --load {context} >/dev/null 2>&1"
    )
    started = time.monotonic()
    ended = subprocess.run(
        ["xargs", "--process-slot-var=SLOT", "-P", str(LINES), "-I", "{}", "sh", "-c", command],
        input="\n".join(f"bare-{number}-{index}" for index in range(BUILDS)),
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    if ended.returncode not in {0, 123}:  # 123: some build failed, as some do under any harness
        sys.exit(f"xargs ended with {ended.returncode}")
    return BUILDS / (time.monotonic() - started)


def harness_loop(folder: Path, environment: dict[str, str], number: int) -> tuple[float, float]:
    """Return builds a second of `repro run` between its first start and its last exit, and its own cores meanwhile."""
    scenario = folder / "overhead.yaml"
    scenario.write_text(
        yaml.safe_dump(
            {
                "name": "overhead",
                "actors": [
                    {
                        "build": "ci",
                        "dockerfile": "diamond",
                        "args": {"N": f"harness-{number}-{{iteration}}"},
                        "parallel": LINES,
                    }
                ],
                "stop": {"iterations": BUILDS},
            }
        )
    )
    run = repro(folder, scenario, "--daemon", "host", environment=environment)
    iterations = run.read(Iteration)
    seconds = max(entry.exited or 0.0 for entry in iterations) - min(entry.started for entry in iterations)
    return len(iterations) / seconds, statistics.fmean(sample.own_cpu for sample in run.read(Sample))


def memory(folder: Path) -> None:
    """Run 20,000 iterations with the stub client, and print resident memory along the way."""
    scenario = folder / "memory.yaml"
    scenario.write_text(
        yaml.safe_dump(
            {
                "name": "memory",
                "daemon": {"kind": "stub"},
                "actors": [{"build": "ci", "dockerfile": "trivial", "parallel": LINES}],
                "stop": {"iterations": 20_000},
            }
        )
    )
    run = repro(folder, scenario)
    ends = sorted(entry.exited or 0.0 for entry in run.read(Iteration))
    samples = run.read(Sample)
    for sample in samples:
        done = sum(end <= sample.at for end in ends)
        print(f"after {done:6d} iterations  {sample.own_rss / 2**20:6.1f} MiB  own cpu {sample.own_cpu:.2f}")


def repro(folder: Path, scenario: Path, *options: str, environment: dict[str, str] | None = None) -> RunFolder:
    """Run `repro run` with its machine lines thrown away, and return the run's folder."""
    results = folder / "results"
    command = [sys.executable, "-m", "harness", "run", str(scenario), "--results", str(results), "--json", *options]
    ended = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=False, env={**os.environ, **(environment or {})}
    )
    if ended.returncode:
        sys.exit(f"`{' '.join(command)}` ended with {ended.returncode}: {ended.stdout[-2000:]}")
    return RunFolder(Path(json.loads(ended.stdout.splitlines()[-1])["folder"]))


if __name__ == "__main__":
    main()
