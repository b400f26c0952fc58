"""A run as the text of a report to upstream: what its reporting guide asks for (moby/buildkit, .github/)."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from harness.buildkit.known import DaemonRelease, advice_on, upstreams_spec
from harness.core.manifest import CaptureManifest, RunManifest
from harness.core.records import Diagnosis, Finding, Summary
from harness.core.units import format_duration, format_size
from harness.report.words import rate_line
from harness.store.minimized import RATE, SCENARIO, SCRIPT, Reproducer

_EVERYBODYS: Final = ("debian", "docker", "buildkit", "image")
"""Kinds of toolchain that are the same wherever they are fetched."""
_EXPECTED = {
    "hang": "The client should return as soon as its export has completed.",
    "stall": "The build should go on, or fail.",
    "failure": "The build should succeed.",
    "late_failure": "A client whose export has completed should succeed.",
    "death": "The daemon should go on.",
    "act": "The daemon should answer.",
    "inconsistency": "What the solver's cache graph says in one place should fit what it says in another.",
}
REPRODUCER: Final = "reproducer"
"""The folder of a minimized reproducer in an archive."""
_EXPECTED_ORPHAN = "The daemon should be done with a build soon after its client was killed; it still holds it to run."


def issue(
    summary: Summary | None,
    manifest: RunManifest | None,
    name: str,
    scenario: str,
    findings: Sequence[Finding],
    captured: Mapping[str, str],
    omitted: Mapping[str, str],
    why: Sequence[str],
    damaged: Sequence[str] = (),
    reproducer: Reproducer | None = None,
) -> str:
    """Return Markdown.

    Args:
        summary: what the run came to; None where that is damaged.
        manifest: its `run.json`; None where that is damaged.
        name: its scenario's.
        scenario: its `scenario.yaml`; empty where that is damaged.
        findings: in order.
        captured: for each kind of evidence, `captured` or why not.
        omitted: files that the archive does not hold, and why.
        why: what is known of the first finding's cause, and what is not.
        damaged: what could not be read, a sentence each; what stood there is missing.
        reproducer: the run's minimized one, which lies in the archive as `REPRODUCER`.
    """
    parts = [
        f"# {_title(summary, manifest)}",
        *_damaged(damaged),
        *(_known(summary.diagnosis, summary.daemon) if summary else []),
        "## Bug description",
        _description(summary, findings),
        *(["## Cause, as far as the evidence says", "\n".join(f"- {line}" for line in why)] if why else []),
        "## Reproduction",
        *([_minimized(reproducer)] if reproducer else []),
        _reproduction(name, manifest, scenario),
        "## Version information",
        versions(manifest) if manifest else "Not known, for `run.json` is damaged.",
    ]
    if summary and summary.aftermath:
        rows = [
            f"| {key.replace('_', ' ')} | {each.said} | {each.seconds:.1f} s |"
            for key, each in summary.aftermath.items()
        ]
        parts += ["## After the hang", "\n".join(["| | | |", "|---|---|---|", *rows])]
    parts += ["## Evidence", _evidence(captured, omitted)]
    return "\n\n".join(parts) + "\n"


def issue_of_capture(
    manifest: CaptureManifest | None,
    diagnosis: Diagnosis | None,
    captured: Mapping[str, str],
    omitted: Mapping[str, str],
    damaged: Sequence[str] = (),
) -> str:
    """Return Markdown of a daemon that was captured as it was found, with no run of ours behind it.

    Args:
        manifest: its `daemon.json`; None where that is damaged.
        diagnosis: what its dumps come to.
        captured: for each kind of evidence, `captured` or why not.
        omitted: files that the archive does not hold, and why.
        damaged: what could not be read, a sentence each; what stood there is missing.
    """
    daemon = f"{manifest.daemon.kind} {manifest.daemon.version}" if manifest else "a daemon"
    when = f"Captured {manifest.captured}, {manifest.why}." if manifest else "Captured."
    sentence = diagnosis.sentence if diagnosis else "No goroutine dump was had, so nothing is diagnosed."
    frames = (
        ["", f"{diagnosis.because}:", "", "```", *diagnosis.frames, "```"] if diagnosis and diagnosis.frames else []
    )
    parts = [
        f"# {daemon}: {diagnosis.kind if diagnosis else 'captured'}",
        *_damaged(damaged),
        *_known(diagnosis, asdict(manifest.daemon) if manifest else {}),
        "## Bug description",
        "\n".join([when, "", f"**{sentence}**", *frames]),
        "## Reproduction",
        "None: this daemon was captured as it was found, under a load of its owner's.",
        "## Version information",
        versions(manifest) if manifest else "Not known, for `daemon.json` is damaged.",
        "## Evidence",
        _evidence(captured, omitted),
    ]
    return "\n\n".join(parts) + "\n"


def _damaged(problems: Sequence[str]) -> list[str]:
    return ["## Damaged", "\n".join(f"- {each}" for each in problems)] if problems else []


def _title(summary: Summary | None, manifest: RunManifest | None) -> str:
    if summary is None:
        subject = manifest.subject if manifest else {}
        return f"{subject.get('kind', 'a daemon')} {subject.get('version', '')}: a run of which the verdict is lost"
    daemon = f"{summary.daemon.get('kind')} {summary.daemon.get('version')}"
    return (
        f"{daemon}: {summary.because}"
        if summary.first_hang or summary.first_stall or summary.first_finding
        else f"{daemon}: no finding"
    )


def _description(summary: Summary | None, findings: Sequence[Finding]) -> str:
    if not findings:
        return f"Nothing was found: {summary.because}." if summary else "What was found is not known."
    first = findings[0]
    run = f"a stress run of {summary.iterations} builds" if summary else "a stress run"
    lines = [
        f"In {run}, iteration {first.iteration} ({first.actor} "
        f"{json.dumps(dict(first.args))}) came to a {first.kind} {first.at:.1f} s into the run: {_how(first)}. "
        f"{_EXPECTED[first.kind] if first.seen_by == 'client' else _EXPECTED_ORPHAN}",
    ]
    if summary is None:
        return "\n".join(lines)
    if summary.diagnosis:
        lines += ["", f"**{summary.diagnosis.sentence}**"]
        frames = summary.diagnosis.frames
        lines += ["", f"{summary.diagnosis.because}:" if frames else summary.diagnosis.because]
        lines += ["", "```", *frames, "```"] if frames else []
    lines += ["", f"Hang rate: {rate_line(summary.rate)}."]
    return "\n".join(lines)


def _how(finding: Finding) -> str:
    """Return what was seen: an error, or for how long nothing was."""
    if finding.detail:
        return f"`{' '.join(finding.detail.split())}`"
    return f"in phase `{finding.phase}`, nothing came for {format_duration(round(finding.waited, 1))}"


def _known(found: Diagnosis | None, daemon: Mapping[str, Any]) -> list[str]:
    """Return what to do about what is known already, before anything else is read."""
    advice = advice_on(found, DaemonRelease.of(daemon)) if found else ""
    return [f"> **{advice[0].upper()}{advice[1:]}.** {found.link}"] if found and advice else []


def _minimized(reproducer: Reproducer) -> str:
    """Return the shortest way to see it: a script where there is one, and how often that hangs."""
    rates = "\n".join(line for line in reproducer.text(RATE).splitlines() if not line.startswith("#")).strip()
    if script := reproducer.text(SCRIPT):
        how = f"`{REPRODUCER}/{SCRIPT}` in the archive says what it needs, and exits with 1 on a hang:"
        text = f"```bash\n{script.strip()}\n```"
    else:
        how = f"`repro run {REPRODUCER}/{SCENARIO}` in the archive, with the stress reproduction harness:"
        text = f"```yaml\n{reproducer.text(SCENARIO).strip()}\n```"
    return f"Minimized from the run below. {how}\n\n{text}\n\n{rates}"


def _reproduction(name: str, manifest: RunManifest | None, scenario: str) -> str:
    if not scenario:
        return "Not known, for `scenario.yaml` is damaged."
    spec, about = _spec_of_others(manifest) if manifest else ("", "")
    daemon = f" --daemon {shlex.quote(spec)} --seed {manifest.seed}" if manifest else ""
    return (
        "With the stress reproduction harness, in the unpacked archive, with its scenario and Dockerfiles, run\n\n"
        f"    repro run {name}.yaml{daemon}\n\n{about}"
        f"<details><summary>{name}.yaml</summary>\n\n```yaml\n{scenario.strip()}\n```\n\n</details>"
    )


def _spec_of_others(manifest: RunManifest) -> tuple[str, str]:
    """Return by what `--daemon` others have the daemon, never a place on this host; and what is to be said of that."""
    spec, kind, version = manifest.toolchain.spec, manifest.kind, manifest.version
    if spec.partition(":")[0] in _EVERYBODYS and ":" in spec:
        return spec, ""
    which = f"{kind or 'daemon'} {version or 'of no known version'}"
    if release := upstreams_spec(kind, version):
        return release, "" if release.endswith(str(version)) else f"That is upstream's; it was seen on {which}.\n\n"
    return "path:DIR", f"DIR is a folder with the programs of {which}; their hashes are below.\n\n"


def versions(manifest: RunManifest | CaptureManifest) -> str:
    """Return what ran on what, as a block of Markdown."""
    host = manifest.host
    rows = [
        f"{name}: {binary.version} (sha256 {binary.sha256})" for name, binary in manifest.toolchain.binaries.items()
    ]
    details = manifest.daemon.details if manifest.daemon else {}
    rows += [f"{key}: {value}" for key, value in details.items()]
    rows += [
        f"host: {host.system}, kernel {host.kernel}, {host.architecture}, {host.cores} cores, "
        f"{format_size(host.memory_bytes)} of memory, cgroup v{host.cgroup}, root on {host.filesystem}",
        f"harness: {manifest.harness}, format {manifest.format}",
    ]
    return "\n".join(["```", *rows, "```"])


def _evidence(captured: Mapping[str, str], omitted: Mapping[str, str]) -> str:
    had = [name for name, result in captured.items() if result == "captured"]
    lines = [f"Captured while it went on: {', '.join(had) or 'nothing'}."]
    missing = {name: result for name, result in captured.items() if result != "captured"}
    if missing:
        lines += ["", "Could not be captured:", "", *(f"- {name}: {why}" for name, why in missing.items())]
    if omitted:
        lines += ["", "Not in this archive:", "", *(f"- `{name}`: {why}" for name, why in omitted.items())]
    return "\n".join(lines)
