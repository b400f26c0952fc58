"""Whether a hang is found sooner without clients: `prune-race` with ``via: api`` and ``via: client``, in turn.

``python -m tests.benchmarks.sooner path:DIR [--actor loop] [--runs 20] [--seed 1]``, with an affected toolchain: of the
prunes (`loop`), or of the builds (`ci`). Each run has a fresh daemon and a seed that both sides share, and ends with
its first hang. It prints acts and builds a second, medians, survival curves at the quartiles of all, and the log-rank
test's p in builds and in seconds until the hang began.
"""

import argparse
import itertools
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from harness.analysis.exposure import Exposure
from harness.analysis.lifetimes import Lives, onset_of
from harness.analysis.survival import kaplan_meier
from harness.analysis.two_sample import contrast
from harness.core.outcome import Outcome
from harness.core.records import Action, Birth, Finding, Iteration
from harness.store.find import find_run
from tests.system.conftest import SCENARIOS, Repro

SIDES: Final = ("api", "client")
_SETTINGS: Final = (
    *("on_hang.probe=false", "on_hang.capture=dumps", "stop.hangs=1", "detect.export_hang=3s", "detect.orphan=3s"),
)


@dataclass(frozen=True)
class Hunt:
    """One run, until its first hang or its end."""

    builds: int
    """Trials, the one that hung among them."""
    seconds: float
    """From the daemon's being there to the end of the export that never returned."""
    acts: float
    """A second."""
    hung: bool


def hunt(toolchain: str, setting: str, seed: int, seconds: int) -> Hunt:
    """Make one run."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "results")
        words = ["run", str(SCENARIOS / "prune-race.yaml"), "--daemon", toolchain, "--seed", str(seed), "--no-report"]
        settings = [*_SETTINGS, setting, f"stop.time={seconds}s"]
        code, output = Repro(results)(*words, *itertools.chain(*(("--set", each) for each in settings)))
        if code not in {0, 1}:
            raise SystemExit(f"exit {code}: {output[-2000:]}")
        run = find_run("last", results)
        findings, iterations = run.read(Finding), run.read(Iteration)
        lives = Lives(findings)
        for iteration in iterations:
            lives.add(iteration)
        builds = {each.number: each for each in iterations}
        onsets = [onset_of(each, builds[each.iteration]) for each in findings if each.kind is Outcome.HANG]
        born = run.read(Birth)[0].at
        end = min(onsets, default=max(each.started for each in iterations))
        acts = [act for act in run.read(Action) if act.started < end]
        return Hunt(lives.lives()[0].trials, end - born, len(acts) / (end - born), bool(onsets))


def held_against(hunts: dict[str, list[Hunt]], unit: str) -> str:
    """Return a line: medians, the log-rank test, and who survives what quarters, a half, and three quarters reach."""
    amounts = {side: [float(getattr(each, unit)) for each in of] for side, of in hunts.items()}
    every = sorted(itertools.chain(*amounts.values()))
    api, client = (_exposures(hunts[side], amounts[side]) for side in SIDES)
    curves = {side: kaplan_meier(amounts[side], [each.hung for each in hunts[side]]) for side in SIDES}
    points = [every[len(every) * quarter // 4] for quarter in (1, 2, 3)]
    shares = "{:.2f} ({:.2f} to {:.2f})".format
    survivals = (
        f"S({point:.3g}) " + " beside ".join(shares(*curves[side].at(point)) for side in SIDES) for point in points
    )
    medians = " beside ".join(f"{median(amounts[side]):.3g}" for side in SIDES)
    return f"{unit}: {medians} (medians), p {contrast(api, client).p_log_rank:.2g}; {'; '.join(survivals)}"


def _exposures(hunts: Sequence[Hunt], amounts: Sequence[float]) -> list[Exposure]:
    return [Exposure(round(100 * amount), each.hung) for each, amount in zip(hunts, amounts, strict=True)]


def main() -> None:
    """Run both in turn, and print what came."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("toolchain")
    parser.add_argument("--actor", choices=("loop", "ci"), default="loop")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=120, help="after which a run without a hang ends")
    options = parser.parse_args()
    hunts: dict[str, list[Hunt]] = {side: [] for side in SIDES}
    for seed in range(options.seed, options.seed + options.runs):
        for side in SIDES if seed % 2 else reversed(SIDES):
            hunts[side].append(hunt(options.toolchain, f"actors.{options.actor}.via={side}", seed, options.seconds))
            print(f"seed {seed}, load {os.getloadavg()[0]:.0f}, {side}: {hunts[side][-1]}", flush=True)
    for what, rate in (("acts", lambda each: each.acts), ("builds", lambda each: each.builds / each.seconds)):
        print(f"{what} a second:", " beside ".join(f"{median(map(rate, hunts[side])):.1f}" for side in SIDES))
    for unit in ("builds", "seconds"):
        print(held_against(hunts, unit))


if __name__ == "__main__":
    main()
