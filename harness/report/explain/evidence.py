"""All that was recorded around one finding, as far as it can be read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from harness.buildkit.cache_db import Pair, read_pair
from harness.buildkit.daemon_log import DaemonLog, read_log
from harness.buildkit.diagnosis import diagnose_finding
from harness.buildkit.progress import Vertex
from harness.core.errors import CaptureError, StoreError
from harness.core.outcome import FAILURES
from harness.core.records import Action, Diagnosis, Finding, Iteration
from harness.core.trace import trace_of
from harness.evidence.lookup import Lookup, read_lookups
from harness.evidence.steps import BuildSteps, Steps, read_steps
from harness.store.evidence import EvidenceFolder
from harness.store.folder import RunFolder

T = TypeVar("T")


@dataclass(frozen=True)
class RecordedFinding:
    """All that was recorded around one finding."""

    finding: Finding
    folder: Path
    iterations: Mapping[int, Iteration]
    actions: Sequence[Action]
    steps: Steps | None
    log: DaemonLog | None
    lookups: Sequence[Lookup]
    caches: Pair | None
    diagnosis: Diagnosis | None

    @cached_property
    def builds(self) -> Mapping[int, BuildSteps]:
        """The builds whose steps are known, by iteration."""
        return {build.iteration: build for build in self.steps.builds} if self.steps else {}

    @cached_property
    def owners(self) -> Mapping[str, tuple[int, ...]]:
        """By vertex, the builds that have it."""
        found: dict[str, list[int]] = {}
        for build in self.builds.values():
            for step in build.steps:
                found.setdefault(step.digest, []).append(build.iteration)
        return {digest: tuple(each) for digest, each in found.items()}

    @cached_property
    def vertexes(self) -> Mapping[str, Vertex]:
        """By digest, what is known of a vertex."""
        return {step.digest: step for build in self.builds.values() for step in build.steps}

    @cached_property
    def traces(self) -> Mapping[str, BuildSteps | Action]:
        """By the trace id of their clients, builds and acts."""
        found: dict[str, BuildSteps | Action] = {
            trace_of(build.actor, build.iteration): build for build in self.builds.values()
        }
        return found | {trace_of(act.actor, act.count): act for act in self.actions}

    @property
    def hung(self) -> BuildSteps | None:
        """The build that hangs, with its steps."""
        return self.builds.get(self.finding.iteration)

    @property
    def was_captured(self) -> bool:
        """Whether any evidence was."""
        return (self.folder / "captured.json").is_file()

    @cached_property
    def has_dumps_alone(self) -> bool:
        """Whether only dumps were asked for: `on_hang: {capture: dumps}`, and short runs that count hangs."""
        try:
            asked_for = EvidenceFolder(self.folder).captured().keys()
        except StoreError:
            return False
        return "goroutines" in asked_for and "steps" not in asked_for

    def at(self, clock: float) -> float:
        """Return a time of the clock as seconds since the run began."""
        return clock - (self.steps.began if self.steps else 0.0)


def gather(folder: RunFolder, finding: Finding, findings: Sequence[Finding]) -> RecordedFinding:
    """Return what was recorded around a finding.

    Where a run ended at an earlier finding of the same daemon, the evidence is that one's: its dumps show every build.
    """
    shown = [each for each in (finding, *findings) if each.generation == finding.generation]
    shown_by = next((each for each in shown if (folder.path / each.place / "captured.json").is_file()), finding)
    kept = folder.evidence(shown_by)
    place = kept.path
    steps = read_steps(place)
    known = {build.iteration for build in steps.builds} if steps else {finding.iteration}
    since = min((build.started for build in steps.builds), default=finding.at) if steps else finding.at
    acts = (act for act in folder.each(Action) if act.generation == finding.generation)
    summary = folder.summary()
    daemon = summary.daemon if summary else folder.manifest().subject
    return RecordedFinding(
        finding=finding,
        folder=place,
        iterations={
            each.number: each
            for each in folder.each(Iteration)
            if each.number in known or (each.generation == finding.generation and each.outcome in FAILURES)
        },
        actions=[act for act in acts if since <= act.ended and act.started <= finding.at],
        steps=steps,
        log=_read_if_there(place / "daemon.log", _log_of),
        lookups=read_lookups(place),
        caches=_read_if_there(place / "cache.db", read_pair),
        diagnosis=_diagnosis(kept, shown_by, daemon),
    )


def _diagnosis(kept: EvidenceFolder, finding: Finding, daemon: Mapping[str, Any]) -> Diagnosis | None:
    """Return the diagnosis as it was kept, for dumps are large; made anew where that is damaged."""
    try:
        return kept.diagnosis(daemon, finding)
    except StoreError:
        return diagnose_finding(kept.path, daemon)


def _log_of(path: Path) -> DaemonLog:
    with path.open(errors="replace") as lines:
        return read_log(lines)


def _read_if_there(path: Path, read: Callable[[Path], T]) -> T | None:
    try:
        return read(path)
    except (CaptureError, OSError):
        return None
