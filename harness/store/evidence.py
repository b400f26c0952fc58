"""What was captured at a finding, or of a daemon that is not ours, read from its folder."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from harness.buildkit.diagnosis import diagnose_finding
from harness.buildkit.findings import diagnosis_of
from harness.core.errors import StoreError
from harness.core.files import read_json
from harness.core.manifest import CaptureManifest
from harness.core.records import FORMAT, Diagnosis, Finding
from harness.store.folders import Folder

CAPTURED = "captured"
"""What `captured.json` says of a kind that was had; of others it says why not."""


class EvidenceFolder(Folder):
    """``findings/<iteration>/`` of a run, or a capture's folder."""

    def captured(self) -> Mapping[str, str]:
        """Return what became of each kind of evidence; empty before all were tried.

        Raises:
            StoreError: `captured.json` is damaged.
        """
        file = self.path / "captured.json"
        return read_json(file, dict[str, str]) if os.path.lexists(file) else {}

    def write_captured(self, results: Mapping[str, str]) -> None:
        """Write what became of each kind of evidence: the last file of it."""
        self.write_json("captured.json", results)

    def capture_manifest(self) -> CaptureManifest:
        """Return which daemon a capture is of.

        Raises:
            StoreError: `daemon.json` is damaged, or a newer version wrote it.
        """
        file = self.path / "daemon.json"
        written = read_json(file, CaptureManifest)
        if written.format > FORMAT:
            raise StoreError(file, f"was written by a newer version (format {written.format}, known: {FORMAT})")
        return written

    def capture_diagnosis(self) -> Diagnosis | None:
        """Return what a capture's evidence comes to, by its manifest where it has one; None where it has no dump.

        Raises:
            StoreError: `daemon.json` is damaged, or a newer version wrote it.
        """
        about = (self.path / "daemon.json").exists()
        return diagnose_finding(self.path, asdict(self.capture_manifest().daemon) if about else {})

    def write_diagnosis(self, daemon: Mapping[str, object], finding: Finding | None = None) -> Diagnosis | None:
        """Diagnose the evidence, and keep what that comes to in `diagnosis.json`; None where there is no dump.

        Args:
            daemon: its `kind` and `version`.
            finding: what it is the evidence of; None of a capture, whose dumps say all.
        """
        found = self._diagnosed(daemon, finding)
        if found:
            self.write_json("diagnosis.json", found)
        return found

    def diagnosis(self, daemon: Mapping[str, object], finding: Finding | None = None) -> Diagnosis | None:
        """Return what the evidence comes to, as it was kept; of a run of an earlier version, diagnosed now.

        Args:
            daemon: its `kind` and `version`.
            finding: what it is the evidence of; None of a capture, whose dumps say all.

        Raises:
            StoreError: `diagnosis.json` is damaged.
        """
        file = self.path / "diagnosis.json"
        return read_json(file, Diagnosis) if os.path.lexists(file) else self._diagnosed(daemon, finding)

    def _diagnosed(self, daemon: Mapping[str, object], finding: Finding | None) -> Diagnosis | None:
        return diagnosis_of(finding, self.path, daemon) if finding else diagnose_finding(self.path, daemon)

    def dumps(self) -> list[Path]:
        """Return the goroutine dumps, in the order in which they were made."""
        return sorted(path for path in self.path.glob("goroutines-*.txt") if path.is_file())
