"""Explanations: what is claimed is what the evidence shows, and what is missing leaves a gap that is told."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.buildkit.cache_db import CacheGraph, Link, Pair
from harness.buildkit.daemon_log import DaemonLog, Event, LocalFiles, Merge, Removal
from harness.buildkit.progress import Vertex
from harness.core.outcome import Outcome, Phase, Symptom
from harness.core.records import Action, Diagnosis, Finding, Iteration
from harness.core.trace import trace_of
from harness.evidence.lookup import Lookup
from harness.evidence.steps import BuildSteps, Steps
from harness.report.explain.evidence import RecordedFinding
from harness.report.explain.explanation import Explanation, NothingToExplain, explain, explained
from harness.report.explain.timeline import LANES, lanes
from harness.store.folder import RunFolder
from tests.web.runs import MANIFEST

BEGAN = 1_795_848_960.0
"""When the run began, by the clock: 2026-11-28T06:56:00Z."""
WORKER, REF, KEY = "w" * 25, "r" * 25, "random:" + "a" * 64
SNAPSHOT = "s" * 25
CONTEXT = "[internal] load build context"
DIAGNOSIS = Diagnosis(
    kind="livelock",
    because="one goroutine was busy in all 3 dumps",
    signature="export-livelock",
    known=True,
    fixed_in={},
    link="",
    sentence="",
    goroutines=(42,),
    frames=("github.com/moby/buildkit/solver.(*exporter).ExportTo",),
)


def build(number: int, *steps: Vertex, killed: float | None = None, exited: float | None = None) -> BuildSteps:
    """Return a build of `ci` with steps."""
    return BuildSteps(number, "ci", {"N": str(number)}, 0.1 * number, killed, exited, steps)


def own(number: int) -> tuple[Vertex, ...]:
    """Return a build's own vertexes: its context, a copy of it, and a last step."""
    done = "2026-11-28T06:56:01.500Z"
    return (
        Vertex(f"context-{number}", CONTEXT, (), "2026-11-28T06:56:01Z", done),
        Vertex(f"copy-{number}", "[1/2] COPY big /big", (f"context-{number}",)),
        Vertex(f"last-{number}", f"[2/2] RUN echo {number}", (f"copy-{number}",)),
    )


PRUNE = Action("loop", "prune", 22, 2.9, 2.9, 3.0, 3.4, True, "Total: 1.99MB", effect=1)
KILL = Action("away", "kill", 1, 2.0, 2.0, 2.0, 2.1, True, "iteration 2", effect=1)


def log(*events: Event, debug: bool = True, since: float = BEGAN) -> DaemonLog:
    """Return a daemon's log."""
    return DaemonLog(events, since, debug)


MADE = LocalFiles(10, BEGAN + 1, SNAPSHOT, False, CONTEXT, trace_of("ci", 2))
MERGED = Merge(20, BEGAN + 1, "copy-2", "copy-1", "[1/2] COPY big /big")
REMOVED = Removal(30, BEGAN + 3, SNAPSHOT, trace_of("loop", 22))


def evidence(folder: Path, **changed: Any) -> RecordedFinding:
    """Return what is recorded where build 2 was merged into build 1, killed, and pruned away, and build 1 hangs."""
    (folder / "captured.json").write_text("{}")
    graph = CacheGraph({KEY: {}}, {KEY: (Link(KEY, "made"),)}, {}, {})
    usual = RecordedFinding(
        finding=Finding(
            *(1, Outcome.HANG, 9.0, "ci", {"N": "1"}, Phase.EXPORTED, 5.1, 3, ()),
            hunted=True,
        ),
        folder=folder,
        iterations={},
        actions=[KILL, PRUNE],
        steps=Steps([build(1, *own(1)), build(2, *own(2), own(1)[1], killed=2.0, exited=2.1)], BEGAN),
        log=log(MADE, MERGED, REMOVED),
        lookups=[Lookup(42, KEY, f"{WORKER}::{REF}", (("context-2",), ("op", "copy-1"), ("last-1",)))],
        caches=Pair(graph),
        diagnosis=DIAGNOSIS,
    )
    return replace(usual, **changed)


def text(found: Explanation) -> str:
    """Return all that is claimed."""
    return "\n".join(found.lines)


LOST = "s1" * 12 + "s"
ERROR = f"error: failed to prepare {LOST} as {'t2' * 12}t: parent snapshot {LOST} does not exist: not found"


def failure(folder: Path, error: str, *events: Event) -> RecordedFinding:
    """Return what is recorded where build 2 failed with an error, after build 1 had failed with another."""
    finding = Finding(
        *(2, Symptom.FAILURE, 9.0, "ci", {"N": "2"}, Phase.SOLVING, 0.0, 3, ()), hunted=True, detail=error
    )
    ended = Iteration(1, "ci", {}, Outcome.FAILED, 0.1, None, None, None, 2.5, None, 1)
    iterations = {
        1: replace(ended, failure="mkdir <path>: not a directory"),
        2: replace(ended, number=2, exited=9.0, failure="parent snapshot <id> does not exist"),
    }
    return evidence(folder, finding=finding, iterations=iterations, lookups=[], log=log(*events))


def test_snapshot_that_a_failed_build_lacks(tmp_path: Path) -> None:
    """The act that removed it is named, and which builds had failed before; a failure does not wait for anything."""
    found = explained(failure(tmp_path, ERROR, REMOVED, Removal(31, BEGAN + 3, LOST, trace_of("loop", 22))))
    assert found.unknown == ()
    said = text(found)
    assert "is a failure: found at 9.0 s, in phase solving\n" in said
    assert f"act 22 of prune loop, from 3.00 to 3.40 s, removed the snapshot {LOST} that its error names" in said
    assert "iteration 1 of this daemon had failed otherwise, last at 2.50 s (mkdir <path>: not a directory)" in said
    told = [moment.what for moment in found.timeline]
    assert told.index("1 fails otherwise") < told.index("act 22 of prune loop begins") < told.index("2 fails")


@pytest.mark.parametrize(
    ("error", "events", "gap"),
    [
        (ERROR, [REMOVED], f"what removed the snapshot {LOST} or "),
        (ERROR, [Removal(31, BEGAN + 10, LOST, trace_of("loop", 22))], "no line of the log, of before the error"),
        ("error: no space left on device", [REMOVED], "its error names no snapshot"),
    ],
    ids=["another snapshot", "removed afterwards", "another error"],
)
def test_failure_whose_cause_is_not_seen(tmp_path: Path, error: str, events: list[Event], gap: str) -> None:
    """No act is blamed for what the log does not show."""
    found = explained(failure(tmp_path, error, *events))
    assert [gap in unknown for unknown in found.unknown] == [True]
    assert "removal" not in text(found)


def test_merged_killed_and_pruned(tmp_path: Path) -> None:
    """Record, step, build, kill, merge and prune are named, and nothing is left unknown."""
    found = explained(evidence(tmp_path))
    assert found.unknown == ()
    assert found.cause
    assert (found.cause.owners, found.cause.into, found.cause.hung) == ((2,), (1,), (1,))
    assert (found.cause.merge, found.cause.removal, found.cause.remover) == (MERGED, REMOVED, PRUNE)
    assert len(found.lines) <= 10
    assert "iteration 1 (ci {'N': '1'}) is a hang" in found.lines[0]
    said = text(found)
    assert f"goroutine 42 asks cache.db for result {WORKER}::{REF}" in said
    assert "cache.db has the key, without that result, linked to made" in said
    assert f"`[2/2] RUN echo 1` <- `[1/2] COPY big /big` <- `{CONTEXT}`" in said
    assert "of iteration 2, whose client was killed at 2.00 s, by act 1 of kill away" in said
    assert (
        "between 1.50 and 2.00 s the step `[1/2] COPY big /big` of iteration 2 was merged into that of iteration 1"
        in said
    )
    assert "act 22 of prune loop, from 3.00 to 3.40 s, removed its snapshot ssssssssssss (Total: 1.99MB)" in said


def test_timeline(tmp_path: Path) -> None:
    """What happened stands in order, in its lane; what the log alone says is marked as not exact."""
    found = explained(evidence(tmp_path))
    times = [moment.at for moment in found.timeline]
    assert times == sorted(times)
    assert {moment.lane for moment in found.timeline} == set(LANES)
    [merge] = [moment for moment in found.timeline if "is merged" in moment.what]
    assert (merge.at, merge.exact) == (1.5, False)
    lines = lanes(found.timeline)
    assert lines[0].split() == ["seconds", *LANES]
    assert any(line.strip().startswith("~1.50") for line in lines)


def test_log_with_more_than_whole_seconds(tmp_path: Path) -> None:
    """A dockerd's log has the time of a merge exactly, and it is told as that."""
    found = explained(evidence(tmp_path, log=log(MADE, replace(MERGED, at=BEGAN + 1.625), REMOVED)))
    assert "the merge: at 1.62 s the step" in text(found)


TAKEN = LocalFiles(40, BEGAN + 3, SNAPSHOT, True, CONTEXT, trace_of("ci", 3))


WAY = (("context-2",), ("copy-1",), ("last-1",))
RECORD, MERGE, REMOVAL = "the record is", "the merge:", "the removal:"


def looks(*way: tuple[str, ...]) -> list[Lookup]:
    """Return a lookup that came this way."""
    return [Lookup(1, KEY, f"{WORKER}::{REF}", way)]


@pytest.mark.parametrize(
    ("changed", "said", "unclaimed"),
    [
        ({"lookups": []}, "its names were not read from the daemon's memory", [RECORD, MERGE, REMOVAL]),
        ({"lookups": looks(("context-2",), ("other",))}, "none of the walks", [RECORD, MERGE, REMOVAL]),
        ({"lookups": looks()}, "none of the walks", [RECORD, MERGE, REMOVAL]),
        ({"lookups": looks(("nobody's",), *WAY[1:])}, "no build that was recorded has", [RECORD, MERGE, REMOVAL]),
        ({"lookups": [], "diagnosis": None}, "no goroutine was seen to ask cache.db", [RECORD, MERGE, REMOVAL]),
        ({"steps": None}, "their steps were not recorded", [RECORD, MERGE, REMOVAL]),
        ({"log": None}, "has no debug lines, or was not captured", [MERGE, REMOVAL]),
        ({"log": log(debug=False)}, "has no debug lines, or was not captured", [MERGE, REMOVAL]),
        ({"log": log(MADE, REMOVED)}, "no merge in the log is on the walk", [MERGE]),
        ({"log": log(MADE, MERGED)}, "has its snapshot taken", [REMOVAL]),
        ({"log": log(MERGED, REMOVED)}, "has its snapshot taken", [REMOVAL]),
        ({"log": log(MADE, replace(MADE, snapshot="x"), MERGED, REMOVED)}, "has its snapshot taken", [REMOVAL]),
        ({"log": log(MADE, MERGED, since=BEGAN + 60)}, "the log begins at 60 s", [REMOVAL]),
        ({"log": log(MADE, MERGED, replace(REMOVED, trace=""))}, "on whose behalf", ["prune loop"]),
        ({"actions": []}, "", ["prune loop", "of kill away"]),
    ],
)
def test_gaps(tmp_path: Path, changed: Mapping[str, Any], said: str, unclaimed: list[str]) -> None:
    """What is missing is told as a gap, and no claim is made in its place."""
    found = explained(evidence(tmp_path, **changed))
    assert not said or any(said in gap for gap in found.unknown), found.unknown
    for claim in unclaimed:
        assert claim not in text(found)


def test_taken_over_by_another_build(tmp_path: Path) -> None:
    """A snapshot that a later build has put its own files into is told as that, with what released the result."""
    builds = [*(evidence(tmp_path).steps or Steps([], 0)).builds, build(3, *own(3))]
    later = replace(REMOVED, line=50)
    taken = {"steps": Steps(builds, BEGAN), "log": log(MADE, MERGED, TAKEN, later)}
    found = explained(evidence(tmp_path, **taken))
    assert "iteration 3 took over its snapshot ssssssssssss for files of its own" in text(found)
    assert "the first act after that which released results was act 22 of prune loop, from 3.00 to 3.40 s" in text(
        found
    )
    assert "prune loop" not in text(explained(evidence(tmp_path, **(taken | {"log": log(MADE, MERGED, TAKEN)}))))


def test_what_came_after_the_walk_does_not_count(tmp_path: Path) -> None:
    """A removal when the build walked already, and looked in vain, is not what removed the record."""
    walked = Iteration(
        *(1, "ci", {}, Outcome.HANG, 0.1, 0.2, 1.5, 2.5, None, None, None),
    )
    found = explained(evidence(tmp_path, iterations={1: walked}))
    assert "the removal:" not in text(found)
    assert any("of before the walk" in gap for gap in found.unknown)


def test_merge_further_up_the_walk(tmp_path: Path) -> None:
    """Where only a later step was merged, the walk goes from that one down the other build's own steps."""
    way = (("context-2",), ("copy-2",), ("op", "last-1"))
    merged = Merge(20, BEGAN + 1, "last-2", "last-1", "[2/2] RUN")
    found = explained(evidence(tmp_path, lookups=looks(*way), log=log(MADE, merged, REMOVED)))
    assert found.cause
    assert (found.cause.merge, found.cause.owners, found.unknown) == (merged, (2,), ())


def test_merged_into_the_owner(tmp_path: Path) -> None:
    """A build whose own step was merged into that of the record's owner depends on the owner's inputs from then on."""
    merged = Merge(20, BEGAN + 1, "copy-1", "copy-2", "[1/2] COPY big /big")
    steps = Steps([build(1, *own(1), own(2)[1]), build(2, *own(2), killed=2.0, exited=2.1)], BEGAN)
    way = (("context-2",), ("op", "copy-2"), ("last-1",))
    found = explained(evidence(tmp_path, steps=steps, lookups=looks(*way), log=log(MADE, merged, REMOVED)))
    assert found.cause
    assert (found.cause.merge, found.cause.into, found.cause.removal, found.unknown) == (merged, (2,), REMOVED, ())
    assert "of iteration 1 was merged into that of iteration 2, and has since then depended on what that" in text(found)
    others = replace(merged, source="copy-3")
    assert "the merge:" not in text(
        explained(evidence(tmp_path, steps=steps, lookups=looks(*way), log=log(MADE, others, REMOVED)))
    )


def test_what_came_before_does_not_count(tmp_path: Path) -> None:
    """A removal of the same snapshot before the files were there, and one of another snapshot, explain nothing."""
    before, other = replace(REMOVED, line=5), replace(REMOVED, snapshot="x" * 25)
    found = explained(evidence(tmp_path, log=log(before, MADE, MERGED, other)))
    assert found.cause
    assert found.cause.removal is None


def test_record_of_a_step(tmp_path: Path) -> None:
    """A step's result has a snapshot of the record's own name; no log line has to say so."""
    removed = replace(REMOVED, snapshot=REF, trace=trace_of("loop", 22))
    found = explained(evidence(tmp_path, log=log(MERGED, removed)))
    assert found.cause
    assert found.cause.remover == PRUNE


def test_its_own_record(tmp_path: Path) -> None:
    """A build that looks for a record of its own has not come to it by a merge, and none is missed."""
    found = explained(evidence(tmp_path, lookups=looks(("context-1",), ("copy-1",), ("last-1",))))
    assert f"the step `{CONTEXT}`, its own" in text(found)
    assert not any("merge" in gap for gap in found.unknown)


def test_into_whom_is_not_guessed(tmp_path: Path) -> None:
    """Where two builds have the step that another's was merged into as their own, neither is named."""
    twin = build(3, *own(3), own(1)[1])
    builds = [*(evidence(tmp_path).steps or Steps([], 0)).builds, twin]
    found = explained(evidence(tmp_path, steps=Steps(builds, BEGAN)))
    assert "was merged into another's" in text(found)
    assert any("into whose step" in gap for gap in found.unknown)


def test_contradiction_is_told(tmp_path: Path) -> None:
    """Where the copy of the database has the result after all, that is said."""
    graph = CacheGraph({KEY: {f"{WORKER}::{REF}": ""}}, {}, {}, {})
    assert "the copy of cache.db, made seconds before the dumps, has it" in text(
        explained(evidence(tmp_path, caches=Pair(graph)))
    )


def test_no_evidence(tmp_path: Path) -> None:
    """A finding without evidence is told as that."""
    seen = evidence(tmp_path, lookups=[], steps=None, log=None, caches=None, diagnosis=None)
    (tmp_path / "captured.json").unlink()
    found = explained(seen)
    assert len(found.lines) == 1
    assert found.unknown[0].startswith("anything but the build itself")


def test_dumps_alone(tmp_path: Path) -> None:
    """Where dumps were all that was asked for, one line says what that leaves open, and what to do."""
    seen = evidence(tmp_path, lookups=[], steps=None, log=None, caches=None)
    (tmp_path / "captured.json").write_text(json.dumps({"goroutines": "captured", "on_finding": "no such program"}))
    (gap,) = explained(seen).unknown
    assert "on_hang.capture: dumps" in gap
    assert explained(evidence(tmp_path)).unknown == ()  # it resets captured.json


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., RunFolder]:
    """Make a run with findings, of which the first has evidence."""

    def make(*findings: Finding) -> RunFolder:
        folder = RunFolder.create(tmp_path, "some")
        folder.write_manifest(MANIFEST)
        with folder.database() as database:
            for finding in findings:
                database.add(finding)
                (folder.path / "findings" / str(finding.iteration)).mkdir()
        return folder

    return make


def test_from_a_run(run: Callable[..., RunFolder], tmp_path: Path) -> None:
    """A finding without evidence of its own is explained by that of the same daemon's, and by no other daemon's."""
    first = evidence(tmp_path).finding
    folder = run(first, replace(first, iteration=2), replace(first, iteration=3, generation=2))
    place = folder.path / "findings" / "1"
    (place / "captured.json").write_text(json.dumps({}))
    assert explain(folder).folder == explain(folder, 2).folder == place
    assert explain(folder, 3).folder != place
    assert explain(folder, 3).unknown[0].startswith("anything but")


def test_nothing_to_explain(run: Callable[..., RunFolder], tmp_path: Path) -> None:
    """A run without findings, and an iteration that is none, are said to be so, with those that there are."""
    with pytest.raises(NothingToExplain, match="has no finding, so"):
        explain(run())
    folder = run(evidence(tmp_path).finding)
    with pytest.raises(NothingToExplain, match="no finding at iteration 7; findings: 1"):
        explain(folder, 7)
