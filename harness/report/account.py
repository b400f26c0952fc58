"""All that a report says of one run, gathered from its folder once; without secrets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import yaml
from markupsafe import Markup

from harness.analysis.hazard import HazardMap, hazard_maps
from harness.analysis.survival import Survival, kaplan_meier
from harness.buildkit.diagnosis import read_dump
from harness.buildkit.goroutines.buckets import buckets, buckets_of
from harness.buildkit.goroutines.model import Bucket, Goroutine
from harness.buildkit.progress import plain_lines
from harness.core.errors import StoreError
from harness.core.manifest import RunManifest
from harness.core.records import Diagnosis, Finding, Summary
from harness.report.door import redactor_of, scenario_of
from harness.report.explain.explanation import explain
from harness.report.explain.timeline import lanes
from harness.report.issue import versions
from harness.report.redact import Redactor
from harness.report.wait_figure import wait_figure
from harness.report.words import facts, facts_so_far, finding_line, headline
from harness.scenario.dump import export_hang_of
from harness.store import aggregate
from harness.store.evidence import CAPTURED, EvidenceFolder
from harness.store.folder import RunFolder
from harness.store.folders import lies_in
from harness.store.hazards import hazards
from harness.store.salvage import Salvage
from harness.store.shards import Shard, shards_of

_TOLD_WHOLE: Final = 3
"""Findings of which all is told; of later ones a line: they show the same daemon in the same state."""
_LINES: Final = 100
_LAST_STEPS: Final = 12
_BUCKETS: Final = 10


@dataclass(frozen=True)
class Evidence:
    """What was captured at one finding."""

    iteration: int
    line: str
    kind: str
    steps: Sequence[str]
    """What the build said last, as a client would have printed it."""
    captured: Sequence[str]
    missing: Mapping[str, str]
    """What could not be captured, and why."""
    files: Sequence[tuple[str, int]]
    """Names in the run's folder, and bytes."""
    buckets: Sequence[tuple[int, str, str]]
    """The fullest of the last goroutine dump: how many, in what state, at what function."""
    goroutines: int
    why: Sequence[str]
    """What is known of the cause, and what is not, a line each."""
    timeline: Sequence[str]
    """What happened, in lanes."""
    diagnosis: Diagnosis | None
    """What it comes to."""
    waits: Markup
    """Who waits for whom; empty where nobody waits."""


@dataclass(frozen=True)
class Account:
    """A run, ready to be told."""

    folder: RunFolder
    verdict: str
    because: str
    summary: Summary | None
    """None of a run that goes on, or died."""
    facts: Mapping[str, str]
    outcomes: Mapping[str, int]
    shards: Sequence[Shard]
    """The daemons side by side."""
    tails: aggregate.TailHistogram
    hazards: Sequence[HazardMap]
    """When each actor acted, and what came of it."""
    survival: Survival | None
    """Over trials; None where no daemon had one."""
    survival_seconds: Survival | None
    findings: Sequence[Evidence]
    more_findings: Sequence[str]
    """A line each."""
    untold_findings: int
    scenario: str
    command: str
    versions: str
    clean: Callable[[str], str]
    """The door that every text of the report goes through."""
    damaged: Sequence[str]
    """Files that could not be read, and why: what they had is not in the report."""


def account_of(folder: RunFolder) -> Account:
    """Return what there is to say of a run: also of one that goes on, or died.

    Raises:
        StoreError: neither what the run is nor what it came to can be read.
    """
    salvage = Salvage()
    redactor = redactor_of(folder.path, salvage=salvage)
    clean = redactor.clean
    manifest, summary = salvage(folder.manifest, None), redactor.tree(salvage(folder.summary, None))
    if manifest is None and summary is None:
        raise StoreError(folder.path, "; ".join(salvage.problems))
    written = salvage(lambda: scenario_of(folder.path), {})
    scenario = yaml.safe_dump(redactor.tree(written), sort_keys=False, allow_unicode=True, width=120)
    verdict, because = headline(folder, summary, manifest)
    findings = salvage(lambda: folder.read(Finding), [])
    lives = salvage(lambda: aggregate.lives(folder, export_hang_of(written)), aggregate.LifetimeTable((), (), ()))
    found = salvage(lambda: _facts(folder, summary, manifest), {})
    no_tails = aggregate.TailHistogram(since=(), until=(), counts=(), n=0, p50=None, p99=None, longest=None)
    outcomes = salvage(lambda: aggregate.outcomes(folder), aggregate.Outcomes({}))
    had_trials = any(lives.trials)
    subject = manifest.subject if manifest else {}
    return Account(
        folder=folder,
        verdict=verdict,
        because=clean(because),
        summary=summary,
        facts={name: clean(value) for name, value in found.items()},
        outcomes={str(outcome): count for outcome, count in outcomes.counts.items()},
        shards=salvage(lambda: shards_of(folder), []),
        tails=salvage(lambda: aggregate.tails(folder), no_tails),
        hazards=hazard_maps(salvage(lambda: hazards(folder), [])),
        survival=kaplan_meier(lives.trials, lives.hung) if had_trials else None,
        survival_seconds=kaplan_meier(lives.seconds, lives.hung) if had_trials else None,
        findings=[evidence_of(folder, finding, redactor, salvage, subject) for finding in findings[:_TOLD_WHOLE]],
        more_findings=[clean(finding_line(finding)) for finding in findings[_TOLD_WHOLE:_LINES]],
        untold_findings=max(0, len(findings) - _LINES),
        scenario=clean(scenario),
        command=clean(" ".join(manifest.argv[1:])) if manifest else "",
        versions=clean(versions(manifest)) if manifest else "",
        clean=clean,
        damaged=[clean(each) for each in salvage.problems],
    )


def _facts(folder: RunFolder, summary: Summary | None, manifest: RunManifest | None) -> Mapping[str, str]:
    if summary:
        return facts(folder, summary, manifest)
    return facts_so_far(folder, manifest) if manifest else {}


def evidence_of(
    folder: RunFolder, finding: Finding, redactor: Redactor, salvage: Salvage, daemon: Mapping[str, object]
) -> Evidence:
    """Return what was captured at a finding so far, and what it comes to; what is damaged is noted."""
    here, clean = folder.evidence(finding), redactor.clean
    captured = salvage(here.captured, dict[str, str]())
    files = sorted(file for file in here.path.rglob("*") if file.is_file() and lies_in(folder.path, file))
    dump, fullest = salvage(lambda: _dump(here), ([], []))
    explanation = salvage(lambda: explain(folder, finding.iteration), None) if captured else None
    diagnosis = salvage(lambda: here.diagnosis(daemon, finding), None) if captured else None
    return Evidence(
        iteration=finding.iteration,
        line=clean(finding_line(finding)),
        kind=str(finding.kind),
        steps=[clean(line) for item in finding.last_progress for line in plain_lines(item)][-_LAST_STEPS:],
        captured=[name for name, result in captured.items() if result == CAPTURED],
        missing={name: clean(str(result)) for name, result in captured.items() if result != CAPTURED},
        files=[(str(file.relative_to(folder.path)), file.stat().st_size) for file in files],
        buckets=[(bucket.count, bucket.state, _place(bucket)) for bucket in fullest[:_BUCKETS]],
        goroutines=sum(bucket.count for bucket in fullest),
        why=[clean(line) for line in explanation.text[1:]] if explanation else (),
        timeline=[clean(line) for line in lanes(explanation.timeline)] if explanation else (),
        diagnosis=redactor.tree(diagnosis),
        waits=_figure(diagnosis, dump, clean),
    )


def _dump(evidence: EvidenceFolder) -> tuple[Sequence[Goroutine], Sequence[Bucket]]:
    """Return the goroutines of the last dump, and counted; of a dump that only counts them, none but the counts."""
    dumps = evidence.dumps()
    if not dumps:
        return [], []
    last = read_dump(dumps[-1])
    return last, buckets(last) or buckets_of(dumps[-1])


def _figure(diagnosis: Diagnosis | None, dump: Sequence[Goroutine], clean: Callable[[str], str]) -> Markup:
    drawn = wait_figure(diagnosis, dump) if diagnosis and dump else Markup("")
    return Markup(clean(str(drawn)).replace("<redacted>", "&lt;redacted&gt;"))  # noqa: S704 — escaped where it is drawn


def _place(bucket: Bucket) -> str:
    innermost = next((frame.function for frame in bucket.frames if frame.is_users), None)
    return innermost or (bucket.frames[0].function if bucket.frames else "no stack")
