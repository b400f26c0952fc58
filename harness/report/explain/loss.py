"""The snapshot that a build fails for: what removed it, and which builds of the daemon had failed before."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from harness.buildkit.daemon_log import Removal
from harness.core.outcome import FAILURES, Outcome, Symptom
from harness.core.records import Action, Iteration
from harness.evidence.steps import BuildSteps
from harness.report.explain.evidence import RecordedFinding

_SNAPSHOT: Final = re.compile(r"\b(?=[a-z]*\d)(?=\d*[a-z])[a-z0-9]{25}\b")
"""BuildKit's own names; an Engine's are digests of layers."""


@dataclass(frozen=True)
class Loss:
    """A snapshot that an error names, and that was removed before."""

    removal: Removal
    remover: Action | BuildSteps | None
    """The act or the build on whose behalf it was removed, where that is one of ours."""
    failed: tuple[Iteration, ...]
    """The builds that had failed before, in another way."""


def is_failure(seen: RecordedFinding) -> bool:
    """Whether the finding is a build that ended with an error; nothing waits then, and no goroutine shows anything."""
    return seen.finding.kind in {Symptom.FAILURE, Outcome.LATE_FAILURE}


def named_snapshots(error: str) -> tuple[str, ...]:
    """Return the snapshots that an error names, each once, in order."""
    return tuple(dict.fromkeys(_SNAPSHOT.findall(error)))


def find_loss(seen: RecordedFinding) -> Loss | None:
    """Return the first removal of a snapshot that the error names; None where the log has none of before the error."""
    names = named_snapshots(seen.finding.detail) if is_failure(seen) else ()
    removals = [event for event in (seen.log.events if seen.log else ()) if isinstance(event, Removal)]
    removal = next((each for name in names for each in removals if each.snapshot == name), None)
    if removal is None or (seen.steps and seen.at(removal.at) > seen.finding.at):
        return None
    remover = seen.traces.get(removal.trace)
    until = remover.ended if isinstance(remover, Action) else seen.finding.at
    return Loss(removal, remover, tuple(_failed_before(seen, seen.iterations.values(), until)))


def _failed_before(seen: RecordedFinding, builds: Iterable[Iteration], until: float) -> Iterable[Iteration]:
    own = seen.iterations.get(seen.finding.iteration)
    for build in sorted(builds, key=lambda each: each.number):
        differs = own is None or build.failure != own.failure
        if build.outcome in FAILURES and differs and build.exited is not None and build.exited <= until:
            yield build
