"""Runs as they may stand in a results folder."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from harness.analysis.judge import judge
from harness.core.manifest import DaemonFacts, Programs, RunManifest
from harness.core.outcome import Ending, Outcome, Phase
from harness.core.records import FORMAT, Action, Audit, Finding, Iteration, Sample
from harness.store.folder import RunFolder

FINDING = Finding(3, Outcome.HANG, 9.5, "ci", {"N": "3"}, Phase.EXPORTED, 5.0, 4, (), hunted=True)
MANIFEST = RunManifest(
    format=FORMAT,
    argv=("repro", "run", "s.yaml"),
    pid=1,
    started="2026-01-01T00:00:00+00:00",
    seed=7,
    toolchain=Programs("path:/opt/b"),
    daemon=DaemonFacts("buildkitd", "v0.23.2", "path:/opt/b", "unix:///run/b", private=True),
)


def ended(results: Path, scenario: str = "s") -> RunFolder:
    """Write a run of three iterations of which the last hung, with evidence."""
    folder = recorded(results, scenario)
    iterations, findings = folder.read(Iteration), folder.read(Finding)
    summary = judge(
        iterations,
        findings,
        folder.read(Audit),
        scenario=scenario,
        daemon={"name": "", "kind": "buildkitd", "version": "v0.23.2", "toolchain": "path:/opt/b"},
        seed=7,
        ending=Ending.FINDINGS,
        detail="",
        seconds=10.0,
        unattended=0.0,
    )
    folder.write_json("summary.json", asdict(summary))
    return folder


def recorded(results: Path, scenario: str = "s", manifest: RunManifest = MANIFEST) -> RunFolder:
    """Write the records of that run, and no summary."""
    folder = RunFolder.create(results, scenario)
    with folder.database() as database:
        for number, outcome in enumerate((Outcome.OK, Outcome.TIMED_OUT, Outcome.HANG), 1):
            exited = None if outcome is Outcome.HANG else number + 0.75
            database.add(Iteration(number, "ci", {}, outcome, float(number), None, None, number + 0.5, exited, None, 0))
        database.add(Action("loop", "prune", 1, 1.0, 1.0, 1.25, 2.0, succeeded=True, detail=""))
        for at, goroutines in ((1.0, 70), (2.0, 76)):
            database.add(Sample(at, 1.5, 64 * 2**20, goroutines, 2, 0.001, 0.0, 0.03, 80 * 2**20))
        database.add(FINDING)
    folder.write_manifest(manifest)
    (folder.path / "scenario.yaml").write_text("actors:\n- build: ci\n  args: {API_TOKEN: geheim-geheim}\n")
    here = folder.path / "findings" / "3"
    here.mkdir()
    (here / "progress.jsonl").write_text('{"vertexes": []}\n')
    (here / "cache.db").write_bytes(b"\0\1\2")
    (here / "page.html").write_text("<script>1</script>")
    (here / "captured.json").write_text(json.dumps({"progress": "captured", "info": "timed out with geheim-geheim"}))
    return folder


@contextmanager
def going_on(results: Path) -> Iterator[RunFolder]:
    """Have a run that goes on."""
    folder = recorded(results)
    with folder.locked():
        yield folder
