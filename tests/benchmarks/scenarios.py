"""Every shipped scenario against one toolchain: what it finds, what its acts changed, and that it does not break.

``python -m tests.benchmarks.scenarios path:/opt/buildkit-affected --time 2m [--set daemon.driver=remote] [NAME …]``
prints a table as it goes on; the exit status is 1 if a build came to `infra`, a run broke, or an actor never had an
effect. A run goes on behind what it finds, on a fresh daemon. `FILE.yaml` stands for a scenario that is not shipped.
"""

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from harness.core.records import Finding, Summary
from tests.system.conftest import SCENARIOS, Repro

KEPT = ("control-hang", "dead-collector", "half-open-network", "kill-every-third", "slow-collector")
"""Their thresholds are part of what they reproduce; all others get one that fits a short run."""
HEAD = (
    "| scenario | verdict | seconds | outcomes | acts with an effect | findings | load |\n|---|---|---|---|---|---|---|"
)


def told(name: str, summary: Summary, findings: Iterable[Finding]) -> str:
    """Return a run as a line of the table."""
    outcomes = ", ".join(f"{outcome} {count}" for outcome, count in summary.outcomes.items())
    acts = ", ".join(f"{actor} {each.effective} of {each.acts}" for actor, each in summary.actors.items()) or "–"
    found = Counter(str(finding.kind) for finding in findings)
    kinds = ", ".join(f"{kind} {count}" for kind, count in found.items()) or "–"
    load = f"{os.getloadavg()[0]:.0f}"
    return f"| {name} | {summary.verdict} | {summary.seconds:.0f} | {outcomes} | {acts} | {kinds} | {load} |"


def main() -> int:
    """Run them one after the other, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("toolchain")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--time", default="60s")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--results", type=Path, help="a folder that keeps the runs, and what each printed")
    options = parser.parse_intermixed_args()
    names = options.names or [file.stem for file in sorted(SCENARIOS.glob("*.yaml"))]
    print(HEAD)
    broken = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            file = Path(name) if name.endswith(".yaml") else SCENARIOS / f"{name}.yaml"
            words = ["run", str(file), "--trust", "--daemon", options.toolchain, "--time", options.time]
            quick = () if name in KEPT else ("detect.export_hang=5s", "detect.stall=20s")
            settings = ["on_hang={then: renew, capture: dumps}", *quick, *options.set]
            repro = Repro((options.results or Path(folder)) / Path(name).stem)
            code, output = repro(*words, *(part for setting in settings for part in ("--set", setting)))
            repro.results.mkdir(parents=True, exist_ok=True)
            (repro.results / "output.txt").write_text(output)
            if code not in {0, 1, 125}:
                print(f"| {name} | exit {code}: {output.strip().splitlines()[-1]} | | | | |", flush=True)
                broken += 1
                continue
            print(told(name, repro.summary, repro.folder.read(Finding)), flush=True)
            if repro.summary.verdict == "inconclusive":
                print(f"    {repro.summary.because}", flush=True)
            idle = [actor for actor, each in repro.summary.actors.items() if not each.effective]
            broken += "infra" in repro.summary.outcomes or bool(idle)
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
