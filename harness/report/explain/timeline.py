"""What happened to the builds, the step and the record that matter, in order, in four lanes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from harness.core.records import Action
from harness.report.explain.cause import Cause
from harness.report.explain.evidence import RecordedFinding
from harness.report.explain.loss import Loss, is_failure
from harness.report.explain.words import between, builds, named, step_time

LANES: Final = ("build", "step", "act", "record")


@dataclass(frozen=True)
class Moment:
    """Something that happened, on the timeline."""

    at: float
    """Seconds since the run began."""
    lane: str
    """One of `LANES`."""
    what: str
    exact: bool = True
    """Whether `at` is; the daemon's log has whole seconds."""


def timeline(seen: RecordedFinding, cause: Cause | None, loss: Loss | None = None) -> list[Moment]:
    """Return what happened, in order."""
    numbers = {seen.finding.iteration, *(cause.owners if cause else ()), *(cause.into if cause else ())}
    how = "fails" if is_failure(seen) else "is found to hang"
    found = [*_of_builds(seen, numbers), Moment(seen.finding.at, "build", f"{seen.finding.iteration} {how}")]
    causes = [*(_of_cause(seen, cause) if cause else ()), *(_of_loss(loss) if loss else ())]
    return sorted([*found, *causes], key=lambda moment: moment.at)


def lanes(moments: Sequence[Moment]) -> list[str]:
    """Return a timeline as lines: when, in which lane, what."""
    lines = [f"{'seconds':>9}  {'  '.join(f'{lane:<6}' for lane in LANES)}"]
    for moment in moments:
        marks = "  ".join(f"{'*' if lane == moment.lane else '|':<6}" for lane in LANES)
        about = "" if moment.exact else "~"
        lines.append(f"{about + f'{moment.at:.2f}':>9}  {marks}  {moment.what}")
    return lines


def _of_builds(seen: RecordedFinding, numbers: Iterable[int]) -> Iterator[Moment]:
    for build in (seen.builds[number] for number in sorted(numbers) if number in seen.builds):
        yield Moment(build.started, "build", f"{build.iteration} begins ({build.actor} {dict(build.args)})")
        if build.killed is not None:
            yield Moment(build.killed, "act", f"{build.iteration} is killed")
        if build.exited is not None:
            yield Moment(build.exited, "build", f"{build.iteration} ends")
        record = seen.iterations.get(build.iteration)
        if record and record.exported is not None:
            yield Moment(record.exported, "build", f"{build.iteration} has exported")


def _of_loss(loss: Loss) -> Iterator[Moment]:
    for build in loss.failed[-1:]:
        yield Moment(build.exited or 0.0, "build", f"{build.number} fails otherwise")
    act = loss.remover
    if isinstance(act, Action):
        yield Moment(act.started if act.acted is None else act.acted, "act", f"{named(act)} begins")
        yield Moment(act.ended, "act", f"{named(act)} is done; it removed the snapshot {loss.removal.snapshot}")


def _of_cause(seen: RecordedFinding, cause: Cause) -> Iterator[Moment]:
    if cause.step and len(cause.owners) == 1:
        for text, verb in ((cause.step.started, "begins"), (cause.step.completed, "is done")):
            if (at := step_time(seen, text)) is not None:
                yield Moment(at, "step", f"{cause.owners[0]}: `{cause.step.name}` {verb}")
    if cause.merge:
        who = builds(seen.owners.get(cause.merge.source, ()))
        into = f"that of {builds(cause.into)}" if len(cause.into) == 1 else "another's"
        at, _ = between(seen, cause.merge, cause)
        yield Moment(at, "step", f"`{cause.merge.name}` of {who} is merged into {into}", exact=False)
    for act in (cause.remover, cause.release):
        if isinstance(act, Action):
            yield Moment(act.started if act.acted is None else act.acted, "act", f"{named(act)} begins")
            yield Moment(act.ended, "act", f"{named(act)} is done")
    if cause.removal:
        at, _ = between(seen, cause.removal, cause)
        yield Moment(at, "record", f"{cause.removal.snapshot[:12]}, the snapshot of the record, is taken", exact=False)
