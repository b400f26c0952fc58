"""Runs of the real engine and the real command line against the stub daemon."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from harness.core.records import Iteration
from harness.host.attended_clock import BEAT, LATE
from harness.store.find import find_run
from harness.store.folder import RunFolder

TIGHT: Final = 2.0
"""Seconds that a test can wait for; more than one beat of the attended clock counts, however late that comes."""
SEEN_WITHIN: Final = BEAT + LATE
"""Attended seconds after a threshold within which a finding is seen: as many as one beat counts at most."""


def write_scenario(
    folder: Path, *, build: Mapping[str, Any] | None = None, clients: Mapping[str, str] | None = None, **parts: Any
) -> Path:
    """Write a scenario for the stub daemon: one build actor `ci`, whose clients behave as `clients` says.

    A stub that hung is not asked what it still does, for the questions take seconds: `on_hang` says where it is.
    """
    docker = folder / "dockerfiles" / "one"
    docker.mkdir(parents=True, exist_ok=True)
    (docker / "Dockerfile").write_text("FROM scratch\n")
    scenario = {
        "name": "stubbed",
        "daemon": {"kind": "stub", "config": dict(clients or {})},
        "actors": [{"build": "ci", "dockerfile": "one", **(build or {})}, *parts.pop("actors", [])],
        "stop": {"iterations": 10},
        "detect": {"export_hang": f"{TIGHT:g}s", "stall": f"{TIGHT:g}s"},
        "on_hang": {"probe": False, **parts.pop("on_hang", {})},
        **parts,
    }
    file = folder / "stubbed.yaml"
    file.write_text(yaml.safe_dump(scenario))
    return file


def start(scenario: Path, *options: str) -> subprocess.Popen[str]:
    """Start `repro run` on a scenario; its results stand beside it."""
    results = scenario.parent / "results"
    return subprocess.Popen(
        [sys.executable, "-m", "harness", "run", str(scenario), "--results", str(results), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )


def run(scenario: Path, *options: str) -> tuple[int, str, RunFolder]:
    """Run `repro run` to its end; return its exit code, what it printed, and the run's folder."""
    process = start(scenario, *options)
    output, _ = process.communicate(timeout=180)
    return process.returncode, output, last_run(scenario)


def last_run(scenario: Path) -> RunFolder:
    """Return the newest run of a scenario that `start` was given."""
    return find_run("last", scenario.parent / "results")


def recorded(scenario: Path) -> int:
    """Return how many iterations the newest run has recorded; 0 before it has a database."""
    try:
        return len(last_run(scenario).read(Iteration))
    except Exception:
        return 0


def interrupt(process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
    """Send a signal to a running `repro`; return its exit code and what it printed."""
    process.send_signal(number)
    output, _ = process.communicate(timeout=180)
    return process.returncode, output


def repro(*words: str) -> subprocess.CompletedProcess[str]:
    """Run another command of `repro` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "harness", *words], capture_output=True, text=True, timeout=180, check=False
    )
