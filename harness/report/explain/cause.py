"""The record that a build looks for in vain: whose it was, which merge made others depend on it, what removed it."""

from dataclasses import dataclass

from harness.buildkit.daemon_log import LocalFiles, Merge, Removal
from harness.buildkit.progress import Vertex
from harness.core.records import Action
from harness.core.trace import trace_of
from harness.evidence.lookup import Lookup
from harness.evidence.steps import BuildSteps
from harness.report.explain.evidence import Evidence


@dataclass(frozen=True)
class Cause:
    """What is known of a record that is looked for in vain; each part is None where it is not known."""

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


def find_cause(seen: Evidence) -> Cause | None:
    """Return what is known of the record that the build looks for; None where it was not seen to look for any.

    The walk's cache keys name the vertexes that they were made for, and a vertex with a client's own files has a digest
    that no other client's has: so the innermost says whose record it is, and the outermost whose walk.
    """
    ours = [each for each in seen.lookups if seen.finding.iteration in walkers(seen, each)]
    if not ours:
        return None
    lookup = ours[0]
    vertex = next((digest for step in lookup.way[:1] for digest in step if digest in seen.owners), "")
    merge = _merge(seen, lookup, vertex)
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
    )


def walkers(seen: Evidence, lookup: Lookup) -> tuple[int, ...]:
    """Return the builds from whose result a walk began: those that have the vertex of its outermost key."""
    outermost = lookup.way[-1] if lookup.way else ()
    return next((seen.owners[digest] for digest in outermost if digest in seen.owners), ())


def _merge(seen: Evidence, lookup: Lookup, vertex: str) -> Merge | None:
    """Return the merge by which the walk came to a vertex: of a step that is made from it, into one on the walk."""
    walked = {digest for step in lookup.way[1:] for digest in step}

    def leads_here(merge: Merge) -> bool:
        source = seen.vertexes.get(merge.source)
        return merge.target in walked and source is not None and vertex in source.inputs

    return next((merge for merge in (seen.log.merges if seen.log else ()) if vertex and leads_here(merge)), None)


def _into(seen: Evidence, merge: Merge | None) -> tuple[int, ...]:
    """Return the builds whose own step a merge went into: those that have it, and did not come to it by a merge too."""
    if merge is None or seen.log is None:
        return ()
    merged_away = {each.source for each in seen.log.merges if each.target == merge.target}
    return tuple(
        number for number in seen.owners.get(merge.target, ()) if not merged_away & _digests(seen.builds[number])
    )


def _removal(seen: Evidence, lookup: Lookup, vertex: str, merge: Merge | None) -> Removal | LocalFiles | None:
    """Return what took the snapshot of a record first, after the merge: a removal, or another client's files.

    A step's result has a snapshot of the record's own name. A client's files are in one that a log line names, with the
    client's trace; which is not known where there is no such line, or several.
    """
    owners = seen.owners.get(vertex, ())
    if seen.log is None or len(owners) != 1:
        return None
    build = seen.builds[owners[0]]
    trace, name = trace_of(build.actor, build.iteration), seen.vertexes[vertex].name
    made = [files for files in seen.log.files if files.trace == trace and files.step == name]
    snapshots = {lookup.result.rpartition("::")[2]} | ({made[0].snapshot} if len(made) == 1 else set())
    after = max([0, *(files.line for files in made), *([merge.line] if merge else [])])
    return next(
        (
            event
            for event in seen.log.events
            if isinstance(event, Removal | LocalFiles) and event.snapshot in snapshots and event.line > after
        ),
        None,
    )


def _remover(seen: Evidence, event: Removal | LocalFiles | None) -> Action | BuildSteps | None:
    return seen.traces.get(event.trace) if event else None


def _digests(build: BuildSteps) -> set[str]:
    return {step.digest for step in build.steps}
