"""What the page says of a finding: its evidence and what that comes to, read once."""

from collections.abc import Callable, Mapping
from typing import Any

from harness.core.records import Diagnosis, Finding
from harness.report.account import evidence_of
from harness.report.words import finding_line
from harness.store.folder import RunFolder
from harness.store.salvage import Salvage


class FindingView:
    """The findings of one run; dumps of tens of megabytes are not read at every look."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[int, dict[str, Any]]] = {}

    def told(
        self, folder: RunFolder, finding: Finding, daemon: Mapping[str, Any], clean: Callable[[str], str]
    ) -> dict[str, Any]:
        """Return a finding as plain data; its evidence once that is captured."""
        captured = folder.path / finding.place / "captured.json"
        if not captured.is_file():
            return {"line": clean(finding_line(finding)), "whole": False, "diagnosis": None}
        written, (known, told) = captured.stat().st_mtime_ns, self._told.get(finding.place, (0, {}))
        if written != known:
            told = _whole(folder, finding, daemon, clean)
            self._told[finding.place] = (written, told)
        return told


def plain(diagnosis: Diagnosis | None, clean: Callable[[str], str]) -> dict[str, str] | None:
    """Return what is said of a diagnosis."""
    return {"sentence": clean(diagnosis.sentence), "because": clean(diagnosis.because)} if diagnosis else None


def _whole(
    folder: RunFolder, finding: Finding, daemon: Mapping[str, Any], clean: Callable[[str], str]
) -> dict[str, Any]:
    salvage = Salvage()
    evidence = evidence_of(folder, finding, clean, salvage)
    diagnosis = salvage(lambda: folder.evidence(finding).diagnosis(daemon, finding), None)
    damaged = {"damaged": clean("; ".join(salvage.problems))} if salvage.problems else {}
    return {
        "line": evidence.line,
        "whole": True,
        "diagnosis": plain(diagnosis, clean),
        "steps": evidence.steps,
        "captured": evidence.captured,
        "missing": {**evidence.missing, **damaged},
        "files": evidence.files,
        "goroutines": evidence.goroutines,
        "buckets": evidence.buckets,
    }
