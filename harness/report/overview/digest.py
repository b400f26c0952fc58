"""A run in the little that a page of many shows of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from harness.core.errors import StoreError
from harness.core.files import read_json
from harness.core.outcome import Ending
from harness.core.records import Diagnosis, Finding, Rate
from harness.report.progress import RunProgress, progress_of
from harness.report.redact import redact
from harness.report.standing import DAMAGED, Standing, redactor_for, standing
from harness.report.words import moment_of
from harness.store import aggregate
from harness.store.folder import RunFolder
from harness.store.folders import require_no_way_out
from harness.store.salvage import Salvage

_FINDINGS: Final = 200
"""Of one run; more show the same daemon in the same state."""


@dataclass(frozen=True)
class FindingLine:
    """A finding in a line."""

    finding: Finding
    signature: str
    """What it is; its kind, where nothing says what it is."""
    at: datetime | None
    """UTC."""


@dataclass(frozen=True)
class Digest:
    """A run in a line."""

    folder: RunFolder
    scenario: str
    name: str
    state: str
    """`ended`, `goes on`, `died` or `damaged`."""
    verdict: str
    because: str
    interrupted: bool = False
    """By the user, so that it can be gone on with."""
    started: datetime | None = None
    """UTC."""
    version: str = ""
    """Kind and version of its daemon."""
    toolchain: str = ""
    iterations: int | None = None
    seconds: float | None = None
    first_hang: int | None = None
    rate: Rate | None = None
    """Of a run that goes on or died, without an interval."""
    found: Sequence[FindingLine] = ()
    diagnoses: Mapping[str, Diagnosis] = field(default_factory=dict)
    """By signature."""
    progress: RunProgress | None = None
    """Of a run that goes on or died."""

    @property
    def word(self) -> str:
        """Its verdict, or what there is in place of one."""
        return self.verdict if self.state in {"ended", "damaged"} else self.state.upper()

    @property
    def place(self) -> str:
        """The results folder that it is in."""
        return self.folder.path.parent.parent.name


def named(diagnosis: Diagnosis) -> str:
    """Return what a diagnosis goes by: its signature, or its kind, where that is all of it."""
    return diagnosis.signature or diagnosis.kind


def digest_of(folder: RunFolder) -> Digest:
    """Return a run in a line: also of one that goes on, died, or cannot be read: whatever is wrong with it."""
    try:
        require_no_way_out(folder.path)
        stands = standing(folder)
        digest = Digest(
            folder=folder,
            scenario=folder.path.parent.name,
            name=folder.name,
            state=stands.state or "damaged",
            verdict=stands.verdict,
            because=stands.because,
            interrupted=stands.summary is not None and stands.summary.ending is Ending.INTERRUPTED,
            **_manifested(stands),
        )
        return _with_records(digest, stands)
    except (StoreError, OSError) as error:
        return Digest(
            folder=folder,
            scenario=folder.path.parent.name,
            name=folder.name,
            state="damaged",
            verdict=DAMAGED,
            because=redact(str(error)),
        )


def _manifested(stands: Standing) -> dict[str, Any]:
    manifest, summary = stands.manifest, stands.summary
    daemon = summary.daemon if summary else manifest.subject if manifest else {}
    return {
        "started": moment_of(manifest.started) if manifest else None,
        "version": " ".join(str(daemon[key]) for key in ("kind", "version") if daemon.get(key)),
        "toolchain": str(daemon.get("toolchain") or ""),
    }


def _with_records(digest: Digest, stands: Standing) -> Digest:
    """Return a digest with what was recorded; the database of a run that ended without a finding is not opened."""
    folder, summary = digest.folder, stands.summary
    if summary:
        digest = replace(
            digest,
            iterations=summary.iterations,
            seconds=summary.seconds,
            first_hang=summary.first_hang.iteration if summary.first_hang else None,
            rate=summary.rate,
        )
        if not (summary.first_finding or summary.first_hang or summary.first_stall):
            return digest
    if not (folder.path / "run.db").exists():
        return digest if summary else replace(digest, iterations=0)
    if not summary:
        digest = replace(digest, iterations=aggregate.iterations(folder), first_hang=aggregate.first_hang(folder))
        if progress := progress_of(folder):
            rate = Rate(progress.hangs, progress.trials, 0.0, 1.0)
            digest = replace(digest, progress=progress, seconds=progress.seconds, rate=rate)
    return replace(digest, **_found(digest, stands))


def _found(digest: Digest, stands: Standing) -> dict[str, Any]:
    """Return the findings of a run with what they are."""
    salvage, folder = Salvage(), digest.folder
    findings = list(islice(folder.each(Finding), _FINDINGS))
    redactor = redactor_for(folder)
    diagnosed: dict[str, Diagnosis] = {}
    for finding in findings:
        file = folder.path / finding.place / "diagnosis.json"
        if file.is_file() and (found := salvage(lambda file=file: read_json(file, Diagnosis), None)):  # type: ignore[misc]
            diagnosed[finding.place] = redactor.tree(found)
    if not diagnosed and findings and stands.summary and stands.summary.diagnosis:
        diagnosed[findings[0].place] = stands.summary.diagnosis
    # those of the same daemon that nobody has looked at show it in the same state
    alike = {(each.generation, each.kind): diagnosed[each.place] for each in findings if each.place in diagnosed}

    def signature(finding: Finding) -> str:
        known = diagnosed.get(finding.place) or alike.get((finding.generation, finding.kind))
        return named(known) if known else f"{finding.kind}, not diagnosed"

    def at(finding: Finding) -> datetime | None:
        return digest.started + timedelta(seconds=finding.at) if digest.started else None

    return {
        "found": tuple(FindingLine(each, redactor.clean(signature(each)), at(each)) for each in findings),
        "diagnoses": {redactor.clean(named(each)): each for each in diagnosed.values()},
    }
