"""Why a build hangs: what was recorded around it, read and told; what that does not say is said to be unknown."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UsageError
from harness.core.records import Finding
from harness.report.explain.cause import Cause, find_cause
from harness.report.explain.evidence import RecordedFinding, gather
from harness.report.explain.loss import find_loss
from harness.report.explain.timeline import Moment, timeline
from harness.report.explain.words import gaps, sentences
from harness.store.folder import RunFolder


class NothingToExplain(UsageError):
    """A run that has no such finding."""

    def __init__(self, folder: Path, iteration: int | None, there: Sequence[int]) -> None:
        which = "no finding" if iteration is None else f"no finding at iteration {iteration}"
        known = f"; findings: {', '.join(map(str, there))}" if there else ""
        super().__init__(f"{folder} has {which}{known}, so there is nothing to explain")


@dataclass(frozen=True)
class Explanation:
    """Why a build hangs, as far as that is known."""

    finding: Finding
    folder: Path
    """Of the evidence."""
    lines: tuple[str, ...]
    unknown: tuple[str, ...]
    """What could not be found out, and why."""
    cause: Cause | None
    timeline: tuple[Moment, ...]

    @property
    def text(self) -> list[str]:
        """All of it in lines: what is known, then what is not."""
        return [*self.lines, *(f"not known: {gap}" for gap in self.unknown)]


def explain(folder: RunFolder, iteration: int | None = None) -> Explanation:
    """Return why a build of a run hangs; without an iteration, that of the run's first finding.

    Raises:
        NothingToExplain: it was not found to.
    """
    findings = folder.read(Finding)
    finding = next((each for each in findings if iteration in {None, each.iteration}), None)
    if finding is None:
        raise NothingToExplain(folder.path, iteration, [each.iteration for each in findings])
    return explained(gather(folder, finding, findings))


def explained(seen: RecordedFinding) -> Explanation:
    """Return what evidence comes to."""
    cause = find_cause(seen)
    loss = find_loss(seen)
    known, unknown = tuple(sentences(seen, cause, loss)), tuple(gaps(seen, cause, loss))
    return Explanation(
        finding=seen.finding,
        folder=seen.folder,
        lines=known,
        unknown=unknown,
        cause=cause,
        timeline=tuple(timeline(seen, cause, loss)),
    )
