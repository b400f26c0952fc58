"""What the page says of a finding: its evidence and what that comes to, as HTML, read once."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.core.records import Finding
from harness.report.account import evidence_of
from harness.report.found import finding_html
from harness.report.redact import Redactor
from harness.store.folder import RunFolder
from harness.store.salvage import Salvage


class FindingView:
    """The findings of one run; dumps of tens of megabytes are not read at every look."""

    def __init__(self) -> None:
        self._rendered: dict[str, tuple[object, str]] = {}

    def html(
        self,
        folder: RunFolder,
        finding: Finding,
        daemon: Mapping[str, Any],
        redactor: Redactor,
        *,
        above: str,
        goes_on: bool,
    ) -> str:
        """Return a finding as HTML; `above` is the diagnosis that the page has told already."""
        captured = folder.path / finding.place / "captured.json"
        seen = captured.stat().st_mtime_ns if captured.is_file() else None, above, goes_on
        known, html = self._rendered.get(finding.place, (None, ""))
        if seen != known:
            salvage = Salvage()
            evidence = evidence_of(folder, finding, redactor, salvage, daemon)
            damaged = {"damaged": redactor.clean("; ".join(salvage.problems))} if salvage.problems else {}
            whole = replace(evidence, missing={**evidence.missing, **damaged})
            html = finding_html(whole, "", above=above, goes_on=goes_on)
            self._rendered[finding.place] = seen, html
        return html
