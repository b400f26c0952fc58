"""How soon a hang is told, and what it costs: `merged-and-killed` on an affected daemon, which is renewed each time.

``python -m tests.benchmarks.hangs path:DIR [--kind dockerd] [--hangs 20] [--seconds 330] [--set KEY=VALUE]``. All
seconds are from the end of the export that never returns: to the suspicion, to the hang, to the evidence that decides
(dumps and records of builds), to the next daemon's first build. It also prints how late acts came after their triggers.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final

from harness.analysis.rates import quantile
from harness.core.records import Action, Begun, Finding, Iteration
from harness.store.find import find_run
from harness.store.folder import RunFolder
from tests.system.conftest import SCENARIOS

_SETTINGS: Final = ("on_hang.then=renew", "detect.export_hang=auto", "stop.iterations=1000")
_DECIDES: Final = ("goroutines-[012].txt", "histories.txt")
_POINTS: Final = ("suspected", "hang", "decided", "next build")


def main() -> None:
    """Run it, and print a line for each hang, and one for each point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("toolchain")
    parser.add_argument("--kind", choices=("buildkitd", "dockerd"), default="buildkitd")
    parser.add_argument("--hangs", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=330, help="after which the run ends")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args()
    settings = (f"daemon.kind={asked.kind}", f"stop.hangs={asked.hangs}", f"stop.time={asked.seconds}s", *asked.set)
    print(f"load {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as results:
        events = events_of(asked.toolchain, results, (*_SETTINGS, *settings))
        folder = find_run("last", Path(results))
        hangs = [*seconds_of(folder, events)]
        acts = folder.read(Action)
    for hang in hangs:
        print(", ".join(f"{name} {hang[name]:.2f}" for name in _POINTS if name in hang))
    for name in _POINTS:
        if values := sorted(hang[name] for hang in hangs if name in hang):
            print(f"{name}: {median(values):.2f} ({values[0]:.2f} to {values[-1]:.2f}), n {len(values)}")
    for actor in dict.fromkeys(act.actor for act in acts):
        lags = [1000 * act.lag for act in acts if act.actor == actor and act.lag is not None]
        shares = ", ".join(f"p{share * 100:g} {quantile(lags, share):.1f}" for share in (0.5, 0.9, 0.99, 1.0))
        print(f"{actor}, milliseconds after its trigger: {shares}, n {len(lags)}")
    print(f"load {os.getloadavg()[0]:.1f}", flush=True)


def events_of(toolchain: str, results: str, settings: Iterable[str]) -> list[tuple[float, Mapping[str, Any]]]:
    """Return all that a run told, each with the wall time at which it did."""
    argv = [sys.executable, "-m", "harness", "run", str(SCENARIOS / "merged-and-killed.yaml"), "--daemon", toolchain]
    argv += ["--results", results, "--no-report", "--json"]
    for setting in settings:
        argv += ["--set", setting]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        return [(time.time(), json.loads(line)) for line in process.stdout]


def seconds_of(folder: RunFolder, events: Iterable[tuple[float, Mapping[str, Any]]]) -> Iterator[Mapping[str, float]]:
    """Yield how long each hang took, from the end of its export, to what came of it."""
    findings = {each.iteration: each for each in folder.read(Finding) if each.is_builds}
    exported = {each.number: each.exported for each in folder.read(Iteration)}
    begun: list[Begun | Iteration] = [*folder.read(Begun), *folder.read(Iteration)]
    suspected: dict[int, float] = {}
    for at, event in events:
        if event["event"] == "doing" and (words := event["what"].split())[-1] == "why":
            suspected.setdefault(int(words[1]), at)
        if event["event"] != "finding" or event["iteration"] not in findings:
            continue
        finding = findings[event["iteration"]]
        if (since := exported.get(finding.iteration)) is None:
            continue
        points = {"hang": finding.at - since}
        if told := suspected.get(finding.iteration):
            points["suspected"] = points["hang"] - (at - told)
        evidence = folder.evidence(finding).path
        written = [file.stat().st_mtime for pattern in _DECIDES for file in evidence.glob(pattern)]
        points["decided"] = points["hang"] + max(0.0, max(written, default=at) - at)
        later = [each.started for each in begun if each.generation > finding.generation]
        yield points | ({"next build": min(later) - since} if later else {})


if __name__ == "__main__":
    main()
