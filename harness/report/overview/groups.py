"""What many runs found, by what it is: when, on what, how often."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from harness.analysis.rates import excluded_rate
from harness.analysis.watched_rate import watched_rate
from harness.core.outcome import Outcome
from harness.core.records import Diagnosis, Rate
from harness.core.units import counted, one_in
from harness.report.overview.digest import Digest, FindingLine


@dataclass(frozen=True)
class Cell:
    """What one version did in one scenario."""

    runs: int
    """That there are."""
    hit: int
    """That found it."""
    findings: int
    rate: Rate | None
    """Per build; None of what is not counted in builds."""

    @property
    def rate_text(self) -> str:
        """The rate as a person reads it; of what was not found, the one that is ruled out."""
        if self.rate is None or not self.rate.trials:
            return counted(self.findings, "finding") if self.findings else "not seen"
        of = f"{self.rate.hangs:,} in {self.rate.trials:,}"
        if not self.rate.hangs:
            return f"{of}: fewer than {one_in(excluded_rate(self.rate.trials, unsettled=self.rate.unsettled))}"
        return f"{of}: {self.rate.interval}"


@dataclass(frozen=True)
class FindingGroup:
    """What is the same in several findings."""

    signature: str
    diagnosis: Diagnosis | None
    first: datetime | None
    last: datetime | None
    findings: int
    runs: int
    versions: Sequence[str]
    scenarios: Sequence[str]
    cells: dict[tuple[str, str], Cell]
    """By version and scenario; those that have runs."""
    days: Sequence[tuple[date, int]]
    """Findings a day, from the first day to the last, without gaps."""
    hit_versions: Sequence[str]
    """Those that it was found in."""
    example: tuple[Digest, FindingLine]
    """The latest of which there is the most to see."""


def groups_of(digests: Sequence[Digest]) -> list[FindingGroup]:
    """Return what was found, what was seen last first, and what is not diagnosed after all that is.

    A cell counts all runs of its version in its scenario, also those that found nothing or something else: they are
    what the rate is in.
    """
    found: dict[str, list[tuple[Digest, FindingLine]]] = {}
    for digest in digests:
        for each in digest.found:
            found.setdefault(each.signature, []).append((digest, each))
    groups = [_group(signature, of_it, digests) for signature, of_it in found.items()]
    return sorted(groups, key=lambda group: (group.diagnosis is None, -group.last.timestamp() if group.last else 0.0))


def _group(signature: str, found: Sequence[tuple[Digest, FindingLine]], digests: Sequence[Digest]) -> FindingGroup:
    times = sorted(each.at for _, each in found if each.at)
    hit_versions = sorted({digest.version for digest, _ in found})
    scenarios = sorted({digest.scenario for digest, _ in found})
    # other versions that ran the same scenarios, and did not find it, belong into the table as well
    others = {digest.version for digest in digests if digest.scenario in scenarios} - {*hit_versions, ""}
    versions = sorted({*hit_versions, *others})
    cells = {}
    for version in versions:
        for scenario in scenarios:
            runs = [digest for digest in digests if (digest.version, digest.scenario) == (version, scenario)]
            if runs:
                cells[version, scenario] = _cell(signature, runs, counts=_is_of_builds(found))
    diagnosed = [digest.diagnoses[signature] for digest, _ in found if signature in digest.diagnoses]
    newest = sorted(found, key=lambda pair: (signature in pair[0].diagnoses, pair[0].name, -pair[1].finding.at))
    return FindingGroup(
        signature=signature,
        diagnosis=diagnosed[-1] if diagnosed else None,
        first=times[0] if times else None,
        last=times[-1] if times else None,
        findings=len(found),
        runs=len({id(digest) for digest, _ in found}),
        versions=versions,
        scenarios=scenarios,
        cells=cells,
        days=days_of(each.date() for each in times),
        hit_versions=hit_versions,
        example=newest[-1],
    )


def _cell(signature: str, runs: Sequence[Digest], *, counts: bool) -> Cell:
    hits = [sum(found.signature == signature for found in digest.found) for digest in runs]
    total = None
    if counts:
        known = [(hit, digest.rate) for hit, digest in zip(hits, runs, strict=True) if digest.rate]
        hangs = sum(min(hit, each.hangs) for hit, each in known)  # what hangs after a daemon's first is no trial
        total = watched_rate(hangs, sum(each.trials for _, each in known), sum(each.unsettled for _, each in known))
    return Cell(len(runs), sum(map(bool, hits)), sum(hits), total)


def _is_of_builds(found: Sequence[tuple[Digest, FindingLine]]) -> bool:
    return all(each.finding.kind is Outcome.HANG for _, each in found)


def days_of(dates: Iterable[date]) -> list[tuple[date, int]]:
    """Return how often each day comes, from the first to the last, without gaps."""
    counts = Counter(dates)
    if not counts:
        return []
    first, last = min(counts).toordinal(), max(counts).toordinal()
    return [(date.fromordinal(day), counts[date.fromordinal(day)]) for day in range(first, last + 1)]
