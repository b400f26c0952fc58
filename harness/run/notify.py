"""Tells somebody of a finding, in the night: the scenario's own command, with the finding to read."""

from dataclasses import asdict
from pathlib import Path
from typing import Final

from harness.core.errors import InfraError
from harness.core.files import write_whole
from harness.core.records import Diagnosis, Finding
from harness.host.proc import run
from harness.report.door import redactor_of
from harness.store.folder import RunFolder

_SECONDS: Final = 30.0


async def notify(command: str, folder: RunFolder, scenario: str, finding: Finding, diagnosis: Diagnosis | None) -> str:
    """Run a shell's command once the evidence of a finding is captured; return ``captured``, or why it failed.

    It has on its standard input, and in the file that ``$REPRO_FINDING`` names, one JSON object: `scenario`, `run` (the
    folder), `finding`, and `diagnosis` where there is one. What it prints is kept beside that. It gets 30 s.
    """
    evidence = (folder.path / finding.place).absolute()
    payload = {
        "scenario": scenario,
        "run": str(folder.path.absolute()),
        "finding": asdict(finding),
        "diagnosis": asdict(diagnosis) if diagnosis else None,
    }
    folder.write_json(f"{finding.place}/finding.json", redactor_of(folder.path).tree(payload))
    file = evidence / "finding.json"
    try:
        done = await run(
            ["sh", "-c", f'exec < "$REPRO_FINDING"\n{command}'], deadline=_SECONDS, env={"REPRO_FINDING": str(file)}
        )
    except InfraError as error:
        return str(error)
    _keep(evidence / "on_finding.txt", done.stdout + done.stderr)
    return "captured"


def _keep(file: Path, printed: str) -> None:
    if printed:
        write_whole(file, printed)
