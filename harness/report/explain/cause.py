"""The record that a hung build looks for: its owner, the merge that made others depend on it, and its removal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.buildkit.daemon_log import LocalFiles, Merge, Removal
from harness.buildkit.progress import Vertex
from harness.core.records import Action
from harness.core.trace import trace_of
from harness.evidence.lookup import Lookup
from harness.evidence.steps import BuildSteps
from harness.report.explain.evidence import RecordedFinding


@dataclass(frozen=True)
class Cause:
    """What is known of the missing record; a part that is not known is None."""

    lookup: Lookup
    """By the build that hangs."""
    step: Vertex | None
    """The step whose record it is."""
    owners: tuple[int, ...]
    """The iterations that had that step: one, where it is a client's own."""
    hung: tuple[int, ...]
    """The builds that look for it."""
    merge: Merge | None
    """What made others depend on it."""
    into: tuple[int, ...]
    """The builds that the merged step may have gone into."""
    removal: Removal | LocalFiles | None
    """What took its snapshot: a removal, or another build that took the snapshot over for files of its own."""
    remover: Action | BuildSteps | None
    """The act or the build that did, where it is one of ours."""
    release: Action | None
    """Where a build took it: the act that was the first to release results after that."""


def find_cause(seen: RecordedFinding) -> Cause | None:
    """Return what is known of the record that the build looks for; None where it was not seen to look for any.

    The walk's cache keys name the vertexes that they were made for, and a vertex with a client's own files has a digest
    that no other client's has: so the innermost says whose record it is, and the outermost whose walk.
    """
    ours = [each for each in seen.lookups if seen.finding.iteration in walkers(seen, each)]
    if not ours:
        return None
    lookup = ours[0]
    vertex = next((digest for step in lookup.way[:1] for digest in step if digest in seen.owners), "")
    merge = _merge(seen, lookup.way)
    removal = _removal(seen, lookup, vertex, merge)
    return Cause(
        lookup=lookup,
        step=seen.vertexes[vertex] if vertex else None,
        owners=seen.owners.get(vertex, ()),
        hung=tuple(sorted({n for each in seen.lookups if each.key == lookup.key for n in walkers(seen, each)})),
        merge=merge,
        into=_into(seen, merge),
        removal=removal,
        remover=_remover(seen, removal),
        release=_release(seen, removal),
    )


def walkers(seen: RecordedFinding, lookup: Lookup) -> tuple[int, ...]:
    """Return the builds whose result the walk started from: builds with the vertex of the walk's outermost key."""
    outermost = lookup.way[-1] if lookup.way else ()
    return next((seen.owners[digest] for digest in outermost if digest in seen.owners), ())


def _merge(seen: RecordedFinding, way: Sequence[tuple[str, ...]]) -> Merge | None:
    """Return the merge by which the walk came to what it would not have come to without: the innermost on its way.

    There a step was merged into one on the walk, and is itself made from the vertex that comes next on the walk. Else
    that one is, and the step that was merged into it is the hung build's own.
    """
    merges = seen.log.merges if seen.log else ()
    own = _digests(seen.hung) if seen.hung else set()
    for inner, outer in pairwise(way):
        on_the_walk = [merge for merge in merges if merge.target in outer]
        for merge in on_the_walk:
            if {*inner} & _inputs(seen, merge.source):
                return merge
        for merge in on_the_walk:
            if merge.source in own and {*inner} & _inputs(seen, merge.target):
                return merge
    return None


def _inputs(seen: RecordedFinding, digest: str) -> set[str]:
    vertex = seen.vertexes.get(digest)
    return {*vertex.inputs} if vertex else set()


def _into(seen: RecordedFinding, merge: Merge | None) -> tuple[int, ...]:
    """Return the builds whose own step a merge went into: they have the step, and not by a merge."""
    if merge is None or seen.log is None:
        return ()
    merged_away = {each.source for each in seen.log.merges if each.target == merge.target}
    return tuple(
        number for number in seen.owners.get(merge.target, ()) if not merged_away & _digests(seen.builds[number])
    )


def _removal(seen: RecordedFinding, lookup: Lookup, vertex: str, merge: Merge | None) -> Removal | LocalFiles | None:
    """Return what took the snapshot of a record first, after the merge: a removal, or another client's files.

    A step's result has a snapshot of the record's own name. A client's files are in one that a log line names, with the
    client's trace; which is not known where there is no such line, or several. What came when the build had exported
    and walked already explains nothing.
    """
    owners = seen.owners.get(vertex, ())
    if seen.log is None or len(owners) != 1:
        return None
    build = seen.builds[owners[0]]
    trace, name = trace_of(build.actor, build.iteration), seen.vertexes[vertex].name
    made = [files for files in seen.log.files if files.trace == trace and files.step == name]
    snapshots = {lookup.result.rpartition("::")[2]} | ({made[0].snapshot} if len(made) == 1 else set())
    after = max([0, *(files.line for files in made), *([merge.line] if merge else [])])
    taken = _first(seen, after, lambda event: event.snapshot in snapshots)
    return taken if taken and seen.at(taken.at) <= _walked_at(seen) else None


def _release(seen: RecordedFinding, removal: Removal | LocalFiles | None) -> Action | None:
    """Return the act that was the first to remove anything once a snapshot was taken over.

    A client's files that are put into a snapshot delete its record; the record's result goes with the next release of
    what is not referenced, and that is at the end of a prune that has removed something (``Controller.Prune``).
    """
    if seen.log is None or not isinstance(removal, LocalFiles):
        return None
    first = _first(seen, removal.line, lambda event: isinstance(event, Removal))
    act = seen.traces.get(first.trace) if first and seen.at(first.at) <= _walked_at(seen) else None
    return act if isinstance(act, Action) else None


def _first(
    seen: RecordedFinding, after: int, fits: Callable[[Removal | LocalFiles], bool]
) -> Removal | LocalFiles | None:
    """Return the first event after a line of the log that took a snapshot, of those that fit."""
    events = (event for event in (seen.log.events if seen.log else ()) if isinstance(event, Removal | LocalFiles))
    return next((event for event in events if event.line > after and fits(event)), None)


def _walked_at(seen: RecordedFinding) -> float:
    """Return when the build had exported, and began to walk; else when it was found."""
    build = seen.iterations.get(seen.finding.iteration)
    return build.exported if build and build.exported is not None else seen.finding.at


def _remover(seen: RecordedFinding, event: Removal | LocalFiles | None) -> Action | BuildSteps | None:
    return seen.traces.get(event.trace) if event else None


def _digests(build: BuildSteps) -> set[str]:
    return {step.digest for step in build.steps}
