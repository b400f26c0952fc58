"""Every shipped scenario against one toolchain: how soon each finds a hang, and that none breaks by itself.

``python tests/benchmarks/scenarios.py path:/opt/buildkit-affected --time 2m [--set daemon.driver=remote] [NAME …]``
prints a table as it goes on; the exit status is 1 if a build came to `infra`, or a run broke.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from harness.core.records import Summary
from tests.system.conftest import SCENARIOS, Repro

KEPT = ("kill-every-third",)
"""Their thresholds are part of what they reproduce; all others get one that fits a short run."""
HEAD = "| scenario | verdict | first hang | iterations | outcomes | aftermath |\n|---|---|---|---|---|---|"


def told(name: str, summary: Summary) -> str:
    """Return a run as a line of the table."""
    finding = summary.first_hang or summary.first_stall
    first = f"{finding.kind} at iteration {finding.iteration}, {finding.seconds:.1f} s" if finding else "none"
    outcomes = ", ".join(f"{outcome} {count}" for outcome, count in summary.outcomes.items())
    answers = ", ".join(answer.said for answer in summary.aftermath.values()) or "–"
    return f"| {name} | {summary.verdict} | {first} | {summary.iterations} | {outcomes} | {answers} |"


def main() -> int:
    """Run them one after the other, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("toolchain")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--time", default="60s")
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_intermixed_args()
    names = options.names or [file.stem for file in sorted(SCENARIOS.glob("*.yaml"))]
    print(HEAD)
    broken = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            words = ["run", str(SCENARIOS / f"{name}.yaml"), "--daemon", options.toolchain, "--time", options.time]
            settings = [*options.set, *(() if name in KEPT else ("detect.export_hang=5s", "detect.stall=20s"))]
            repro = Repro(Path(folder, name))
            code, output = repro(*words, *(part for setting in settings for part in ("--set", setting)))
            if code not in {0, 1, 125}:
                print(f"| {name} | exit {code}: {output.strip().splitlines()[-1]} | | | | |", flush=True)
                broken += 1
                continue
            print(told(name, repro.summary), flush=True)
            if repro.summary.verdict == "inconclusive":
                print(f"    {repro.summary.because}", flush=True)
            broken += "infra" in repro.summary.outcomes
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
