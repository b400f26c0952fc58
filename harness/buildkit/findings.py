"""What a finding comes to, by its kind: what its dumps show, what its error is known as, what its daemon died of."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from harness.buildkit.diagnosis import diagnose, diagnose_finding, read_file
from harness.buildkit.failures import diagnose_failure, name_of, signature_of
from harness.core.outcome import Outcome, Phase, Symptom
from harness.core.records import Diagnosis, Finding

LOG: Final = "daemon.log"
"""The name of the daemon's log among the evidence."""
_GOES: Final = re.compile(r"(buildkitd|dockerd): |failed to start daemon: ")
_LONGEST_WORDS: Final = 500
_LAST_LINES: Final = 5
"""Of a log: its last words, and the line with which the capture ends it."""
_SIGNAL: Final = re.compile(rb"^(SIG(?:ABRT|QUIT): \w+)", re.MULTILINE)


def diagnosis_of(finding: Finding, folder: Path, daemon: Mapping[str, Any]) -> Diagnosis | None:
    """Return what a finding comes to; None where its evidence says nothing.

    Args:
        finding: as it is recorded.
        folder: its evidence.
        daemon: its `kind` and `version`.
    """
    if finding.kind in {Symptom.FAILURE, Outcome.LATE_FAILURE}:
        return diagnose_failure(finding.detail, late=finding.phase is Phase.EXPORTED)
    if finding.kind is Symptom.INCONSISTENCY:
        return _diagnose_graph(finding.detail.splitlines())
    if finding.kind is Symptom.DEATH:
        return _diagnose_death(finding.detail, folder / LOG, daemon)
    if finding.kind in {Symptom.GROWTH, Symptom.CONTENT, Symptom.MISS, Symptom.SLOW}:
        return _named(finding.kind, finding.detail)
    found = diagnose_finding(folder, daemon)
    return _of_act(finding.detail, found) if finding.kind is Symptom.ACT else found


def _of_act(what: str, found: Diagnosis | None) -> Diagnosis:
    """Return why an act did not come back, as far as the dumps that were made meanwhile show."""
    if found is None:
        return _named("act", f"{what} did not come back", ", and there is no dump")
    return replace(found, sentence=f"{what} did not come back: {found.sentence}")


def _diagnose_graph(faults: Sequence[str]) -> Diagnosis:
    """Return what a cache graph that contradicts itself comes to: how many faults of which kind."""
    kinds = Counter(fault.partition(": ")[0] for fault in faults)
    text = ", ".join(f"{count} × {kind}" for kind, count in sorted(kinds.items()))
    return Diagnosis(
        kind="inconsistent",
        because="; ".join(faults),
        signature=name_of(f"cache graph: {', '.join(sorted(kinds))}"),
        known=False,
        fixed_in={},
        link="",
        sentence=f"inconsistent cache graph, not known: {text}",
        goroutines=(),
        frames=(),
    )


def _diagnose_death(how: str, log: Path, daemon: Mapping[str, Any]) -> Diagnosis:
    """Return what a daemon died of: its panic, where its log has one; else only how it ended."""
    posted = read_file(log) if log.is_file() else None
    crash = posted and (posted.crash or _signal_in(log))
    if posted and crash:
        return diagnose(posted.dumps, daemon=daemon, crash=crash)
    if said := _last_words(log):
        return _named("death", f"{how}: {said}")
    return _named("death", how, ", and its log has no panic")


def _last_words(log: Path) -> str:
    """Return why a daemon says that it ends, where that is among the last that it has to say."""
    lines = log.read_bytes().decode(errors="replace").splitlines()[-_LAST_LINES:] if log.is_file() else []
    return next((line[:_LONGEST_WORDS] for line in reversed(lines) if _GOES.match(line)), "")


def _signal_in(log: Path) -> str:
    """Return the signal on which a dead daemon dumped its goroutines, of the kind that a living one is asked by."""
    found = _SIGNAL.findall(log.read_bytes())
    return found[-1].decode() if found else ""


def _named(kind: str, how: str, more: str = "") -> Diagnosis:
    """Return what has no more to it than what is said of it."""
    return Diagnosis(
        kind=kind,
        because=how,
        signature=name_of(signature_of(how)),
        known=False,
        fixed_in={},
        link="",
        sentence=f"{kind}, not known: {how}{more}",
        goroutines=(),
        frames=(),
    )
