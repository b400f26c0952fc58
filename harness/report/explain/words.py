"""What is known of a cause, and what is not, in sentences."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from textwrap import shorten
from typing import Final

from harness.buildkit.cache_graph import short
from harness.buildkit.daemon_log import Event, LocalFiles, Merge, Removal
from harness.core.records import Action
from harness.core.units import format_duration
from harness.evidence.steps import BuildSteps
from harness.report.explain.cause import Cause
from harness.report.explain.evidence import RecordedFinding
from harness.report.explain.loss import Loss, is_failure, named_snapshots

_WALK: Final = "solver.(*exporter).ExportTo"
_NAMED: Final = 6
_LOG_SECONDS: Final = 1.0
"""A buildkitd's log has whole seconds, cut off."""
_NAME_SHOWN: Final = 48


def sentences(seen: RecordedFinding, cause: Cause | None, loss: Loss | None = None) -> Iterator[str]:
    """Yield what is known: what hangs and where it turns round, what it shares, and the cause part by part."""
    finding = seen.finding
    in_vain = "" if is_failure(seen) else f", after {format_duration(round(finding.waited, 1))} in vain"
    yield (
        f"iteration {finding.iteration} ({finding.actor} {dict(finding.args)}) is a {finding.kind}: found at "
        f"{finding.at:.1f} s, in phase {finding.phase}{in_vain}"
    )
    if seen.diagnosis:
        known = f" ({seen.diagnosis.signature})" if seen.diagnosis.known else ""
        yield f"the daemon: {seen.diagnosis.kind}{known}; {seen.diagnosis.because}"
    if shared := _shared(seen):
        yield f"it has steps in common with {builds(shared)}{_merges(seen)}"
    if cause:
        yield from _of_cause(seen, cause)
    if loss:
        yield from _of_loss(loss)


def gaps(seen: RecordedFinding, cause: Cause | None, loss: Loss | None = None) -> Iterator[str]:
    """Yield what could not be found out, and why."""
    if not seen.was_captured:
        yield "anything but the build itself: no evidence was captured of this finding, nor of one on the same daemon"
        return
    if seen.has_dumps_alone:
        yield "what is behind it: only dumps were captured (`on_hang.capture: dumps`); run with `all` to have the rest"
        return
    if is_failure(seen):
        if loss is None and (named := named_snapshots(seen.finding.detail)):
            yield f"what removed the snapshot {' or '.join(named)}: no line of the log, of before the error, says so"
        elif loss is None:
            yield "what it lacks, if anything: its error names no snapshot"
    elif cause is None:
        yield _no_cause(seen)
    if seen.steps is None:
        yield "which builds had which steps in common: their steps were not recorded"
    if seen.log is None or not seen.log.debug:
        yield "merges and removals: the daemon's log has no debug lines, or was not captured"
    elif cause:
        yield from _gaps_of(seen, cause)


def _no_cause(seen: RecordedFinding) -> str:
    which = "which record it looks for"
    if not (seen.diagnosis and any(_WALK in frame for frame in seen.diagnosis.frames)):
        return f"{which}, if any: no goroutine was seen to ask cache.db for one again and again"
    if not seen.lookups:
        return f"{which}: its names were not read from the daemon's memory"
    return f"{which}: none of the walks in the dumps begins at a step that only this build is known to have"


def _gaps_of(seen: RecordedFinding, cause: Cause) -> Iterator[str]:
    if not cause.owners:
        yield "whose the record is: no build that was recorded has its step"
        return
    if cause.owners != (seen.finding.iteration,) and cause.merge is None:
        yield "how this build came to depend on that step: no merge in the log is on the walk"
    if cause.merge and len(cause.into) != 1:
        yield "into whose step it was merged: several builds have it, or none that was recorded"
    if cause.removal is None:
        since = seen.log.since if seen.log else None
        begins = f"; the log begins at {seen.at(since):.0f} s" if since is not None and seen.at(since) > 1 else ""
        yield f"what removed the record: no line of the log, of before the walk, has its snapshot taken{begins}"
    elif cause.remover is None and isinstance(cause.removal, Removal) and not cause.removal.trace:
        yield "on whose behalf its snapshot was removed: the log names no client; the daemon's own GC has none"


def _shared(seen: RecordedFinding) -> list[int]:
    """Return the builds that had a step in common with the one that hangs."""
    steps = [step.digest for step in seen.hung.steps] if seen.hung else []
    return sorted({number for digest in steps for number in seen.owners[digest]} - {seen.finding.iteration})


def _merges(seen: RecordedFinding) -> str:
    if seen.hung is None or seen.log is None or not seen.log.debug:
        return ""
    mine = {step.digest for step in seen.hung.steps}
    merged = [merge for merge in seen.log.merges if merge.target in mine]
    own = sum(merge.source in mine for merge in merged)
    return f"; {len(merged)} steps were merged into one that it has, {own} of them its own"


def _of_cause(seen: RecordedFinding, cause: Cause) -> Iterator[str]:
    lookup = cause.lookup
    yield (
        f"its goroutine {lookup.goroutine} asks cache.db for result {lookup.result} of key {short(lookup.key)}, "
        f"is told that there is none, and asks again, for ever{_in_graph(seen, cause)}"
    )
    way = [_name_of(seen, step) for step in reversed(lookup.way)]
    yield f"the walk from its result to there: {' <- '.join(way)}"
    if cause.step:
        whose = "its own" if cause.owners == (seen.finding.iteration,) else f"of {builds(cause.owners)}"
        yield f"the record is that of the step `{cause.step.name}`, {whose}{_end_of(seen, cause.owners)}"
    if cause.merge:
        into = f"that of {builds(cause.into)}" if len(cause.into) == 1 else "another's"
        whose = builds(seen.owners.get(cause.merge.source, ()))
        yield (
            f"the merge: {_when(seen, cause.merge, cause)} the step `{cause.merge.name}` of {whose} was merged into "
            f"{into}, {_dependence(seen, cause.merge)}"
        )
    if cause.removal:
        yield f"the removal: {_removal(seen, cause, cause.removal)}"
    if others := [number for number in cause.hung if number != seen.finding.iteration]:
        yield f"{builds(others)} {'looks' if len(others) == 1 else 'look'} for the same record in vain"


def _dependence(seen: RecordedFinding, merge: Merge) -> str:
    """Return what a merge did to what depends on what: the step that it went into has the inputs of both."""
    if seen.finding.iteration in seen.owners.get(merge.source, ()):
        return "and has since then depended on what that one is made from"
    return "which has since then depended on what both are made from"


def _of_loss(loss: Loss) -> Iterator[str]:
    snapshot, who = loss.removal.snapshot, loss.remover
    if isinstance(who, Action):
        told = f" ({who.detail})" if who.detail else ""
        yield f"the removal: {_act(who)}, removed the snapshot {snapshot} that its error names{told}"
    else:
        whom = builds([who.iteration]) if who else "a client that is not ours" if loss.removal.trace else "no client"
        yield f"the removal: the snapshot {snapshot} that its error names was removed, for {whom}"
    if loss.failed:
        last = loss.failed[-1]
        yield (
            f"before that, {builds(each.number for each in loss.failed)} of this daemon had failed otherwise, last at "
            f"{last.exited or 0.0:.2f} s ({shorten(last.failure, _NAME_SHOWN, placeholder='…')})"
        )


def _removal(seen: RecordedFinding, cause: Cause, removal: Removal | LocalFiles) -> str:
    snapshot, when, who = removal.snapshot[:12], _when(seen, removal, cause), cause.remover
    if isinstance(removal, LocalFiles):
        taker = builds([who.iteration]) if isinstance(who, BuildSteps) else "a build that was not recorded"
        act = cause.release
        first = f"; the first act after that which released results was {_act(act)}" if act else ""
        return (
            f"{when} {taker} took over its snapshot {snapshot} for files of its own, which deletes the record, and its "
            f"result with the next release{first}"
        )
    if isinstance(who, Action):
        detail_text = f" ({who.detail})" if who.detail else ""
        return f"{_act(who)}, removed its snapshot {snapshot}{detail_text}"
    whom = "a client that is not ours" if removal.trace else "no client"
    return f"{when} its snapshot {snapshot} was removed, for {whom}"


def _act(act: Action) -> str:
    began = act.started if act.acted is None else act.acted
    return f"{named(act)}, from {began:.2f} to {act.ended:.2f} s"


def _in_graph(seen: RecordedFinding, cause: Cause) -> str:
    if seen.caches is None:
        return ""
    graph, key = seen.caches.graph, cause.lookup.key
    if cause.lookup.result in graph.results.get(key, {}):
        return "; but the copy of cache.db, made seconds before the dumps, has it"
    if key not in graph.keys:
        return "; cache.db has the key no more"
    made = dict.fromkeys(seen.caches.name_of(link.target) or short(link.target) for link in graph.links.get(key, ()))
    linked = f", linked to {'; '.join(made)}" if made else ""
    return f"; cache.db has the key, without that result{linked}"


def _end_of(seen: RecordedFinding, owners: Sequence[int]) -> str:
    if len(owners) != 1:
        return ""
    build = seen.builds[owners[0]]
    record = seen.iterations.get(build.iteration)
    if build.killed is not None:
        detail_text = f"iteration {build.iteration}"
        act = next((act for act in seen.actions if act.kind == "kill" and act.detail == detail_text), None)
        how = f"by {named(act)}" if act else f"by the `kill` of {build.actor}"
        return f", whose client was killed at {build.killed:.2f} s, {how}"
    if build.exited is not None:
        return f", whose client ended at {build.exited:.2f} s{f' ({record.outcome})' if record else ''}"
    return ", whose client has not ended"


def _name_of(seen: RecordedFinding, step: Iterable[str]) -> str:
    name = next((seen.vertexes[digest].name for digest in step if digest in seen.vertexes), "a step not recorded")
    return f"`{name if len(name) <= _NAME_SHOWN else name[: _NAME_SHOWN - 1] + '…'}`"


def builds(numbers: Iterable[int]) -> str:
    """Return iterations to a person; of very many only the first."""
    each = sorted(numbers)
    if len(each) == 1:
        return f"iteration {each[0]}"
    more = f" and {len(each) - _NAMED} more" if len(each) > _NAMED else ""
    return f"iterations {', '.join(map(str, each[:_NAMED]))}{more}" if each else "a build that was not recorded"


def named(act: Action) -> str:
    """Return which act it was: ``act 22 of prune loop``."""
    return f"act {act.count:,} of {act.kind} {act.actor}"


def between(seen: RecordedFinding, event: Event, cause: Cause) -> tuple[float, float]:
    """Return the seconds between which the log has an event: its second, cut to what is known to come before and after.

    The step was done before it could be merged away, or its files be taken. What a prune removed was not removed before
    the prune began, nor after it was done.
    """
    detail_text = seen.at(event.at)
    if event.at % 1:  # a log that has more than whole seconds
        return detail_text, detail_text
    lows, highs = [detail_text], [detail_text + _LOG_SECONDS]
    done = step_time(seen, cause.step.completed) if cause.step and len(cause.owners) == 1 else None
    if done is not None:
        lows.append(done)
    if event is cause.removal and isinstance(cause.remover, Action):
        lows.append(cause.remover.started if cause.remover.acted is None else cause.remover.acted)
        highs.append(cause.remover.ended)
    low, high = max(lows), min(highs)
    return (low, high) if low <= high else (detail_text, detail_text + _LOG_SECONDS)


def step_time(seen: RecordedFinding, text: str) -> float | None:
    """Return a time of the daemon's as seconds since the run began; None where there is none."""
    try:
        return seen.at(datetime.fromisoformat(text).timestamp())
    except ValueError:
        return None


def _when(seen: RecordedFinding, event: Merge | Removal | LocalFiles, cause: Cause) -> str:
    low, high = between(seen, event, cause)
    return f"at {low:.2f} s" if low == high else f"between {low:.2f} and {high:.2f} s"
