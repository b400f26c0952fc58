"""A run as one archive for others: the issue's text, the evidence, what was run; small enough to attach, no secrets."""

import io
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from harness.buildkit.diagnosis import diagnose_finding
from harness.buildkit.goroutines.buckets import buckets_of
from harness.buildkit.goroutines.model import Bucket
from harness.core.errors import StoreError, UsageError
from harness.core.records import Finding
from harness.report.issue import issue, issue_of_capture
from harness.report.redact import is_secret, redact
from harness.store.folder import RunFolder
from harness.store.folders import require_no_way_out

ATTACHMENT_LIMIT: Final = 25_000_000
"""Bytes that GitHub takes as one attachment."""
_ROOM: Final = ATTACHMENT_LIMIT - 1_000_000
"""What files may come to, compressed; the rest is for headers and for the text that names what was left out."""
_LOG_BYTES: Final = 20_000_000
_HISTORY: Final = "history"
"""What is in the names of files that hold every build's arguments, in a form that nothing can be taken out of."""


class Unfinished(UsageError):
    """A run without a summary."""

    def __init__(self, run: Path) -> None:
        super().__init__(f"{run} has no summary: it still goes on, or died; there is no verdict to hand over")


def bundle(run: RunFolder, target: Path) -> dict[str, str]:
    """Write the archive of a finished run; return what is not in it, and why.

    Raises:
        Unfinished: the run has no verdict.
        StoreError: a file cannot be read or written.
    """
    require_no_way_out(run.path)
    summary, story = run.summary(), run.read_json("run.json")
    if summary is None:
        raise Unfinished(run.path)
    written: dict[str, Any] = yaml.safe_load((run.path / "scenario.yaml").read_text())
    secrets = secret_arguments(written)
    dockerfiles = _take_along(written)
    scenario = yaml.safe_dump(written, sort_keys=False, allow_unicode=True, width=120)
    chosen: dict[str, bytes] = {f"{summary.scenario}.yaml": redact(scenario, secrets).encode()}
    omitted = _choose((*dockerfiles, *_files(run.path)), secrets, chosen)
    findings = run.read(Finding)
    evidence = run.path / "findings" / str(findings[0].iteration) if findings else None
    text = issue(summary, story, scenario, findings, _captured(evidence), omitted)
    chosen = {"ISSUE.md": redact(text, secrets).encode()} | _read_at_once(evidence) | chosen
    top = f"{summary.scenario}-{run.name}"
    _write(target, top, chosen)
    return omitted


def bundle_capture(folder: Path, target: Path) -> dict[str, str]:
    """Write the archive of a capture; return what is not in it, and why.

    Raises:
        StoreError: a file cannot be read or written.
        LeadsOut: a link in it leads out of it.
    """
    require_no_way_out(folder)
    written = RunFolder(folder)
    story = written.read_json("daemon.json")
    chosen: dict[str, bytes] = {}
    omitted = _choose(((file.name, file) for file in sorted(folder.iterdir())), set(), chosen)
    diagnosis = diagnose_finding(folder, story["daemon"])
    text = issue_of_capture(story, diagnosis, _captured(folder), omitted)
    _write(target, folder.name, {"ISSUE.md": redact(text).encode()} | _read_at_once(folder) | chosen)
    return omitted


def _choose(files: Iterable[tuple[str, Path]], secrets: set[str], chosen: dict[str, bytes]) -> dict[str, str]:
    """Add files to the chosen ones, while there is room; return what was left out, and why."""
    omitted: dict[str, str] = {}
    room = _ROOM
    for name, file in files:
        if _HISTORY in file.stem and file.suffix == ".db":
            omitted[name] = "it holds the arguments of every build, which cannot be taken out of it"
            continue
        content = _content(file, secrets)
        size = len(zlib.compress(content))
        if size > room:
            omitted[name] = f"{size / 1e6:.1f} MB compressed, for which there was no room"
            continue
        room -= size
        chosen[name] = content
    return omitted


def _write(target: Path, top: str, chosen: Mapping[str, bytes]) -> None:
    try:
        with tarfile.open(target, "w:gz") as archive:
            for name, content in chosen.items():
                entry = tarfile.TarInfo(f"{top}/{name}")
                entry.size, entry.mode = len(content), 0o644
                archive.addfile(entry, io.BytesIO(content))
    except OSError as error:
        raise StoreError(target, str(error.strerror)) from error


def _files(run: Path) -> Iterator[tuple[str, Path]]:
    """Yield what there is to hand over, what matters most first: the first finding before all others."""
    first = ["summary.json", "run.json"]
    folders = sorted((run / "findings").glob("*"), key=lambda path: int(path.name))
    found = [*(run / name for name in first), *(file for folder in folders for file in sorted(folder.rglob("*")))]
    for file in (*found, *sorted((run / "daemon").rglob("*")), *sorted(run.glob("*.log"))):
        if file.is_file():
            yield str(file.relative_to(run)), file


def _content(file: Path, secrets: set[str]) -> bytes:
    """Return a file's content without secrets; of an overlong log its end; what is no text as it is."""
    with file.open("rb") as stream:
        if file.suffix == ".log":
            stream.seek(max(0, file.stat().st_size - _LOG_BYTES))
        content = stream.read()
    if b"\0" in content:
        return content
    return redact(content.decode(errors="surrogateescape"), secrets).encode(errors="surrogateescape")


def _take_along(written: dict[str, Any]) -> list[tuple[str, Path]]:
    """Have a scenario name its Dockerfiles as they lie in the archive; return their files, by their names in it."""
    found = []
    for actor in written["actors"]:
        source = Path(actor.get("dockerfile") or "")
        if source.is_absolute() and source.is_dir():
            actor["dockerfile"] = source.name
            files = (file for file in sorted(source.rglob("*")) if file.is_file())
            found += [(f"dockerfiles/{source.name}/{file.relative_to(source)}", file) for file in files]
    return found


def secret_arguments(written: Mapping[str, Any]) -> set[str]:
    """Return the values of build arguments whose names say that they are secret."""
    arguments: list[Mapping[str, str]] = [actor.get("args") or {} for actor in written.get("actors", ())]
    return {str(value) for each in arguments for name, value in each.items() if is_secret(name)}


def _captured(evidence: Path | None) -> Mapping[str, str]:
    if evidence is None or not (evidence / "captured.json").is_file():
        return {}
    return {str(name): str(result) for name, result in RunFolder(evidence).read_json("captured.json").items()}


def _read_at_once(evidence: Path | None) -> dict[str, bytes]:
    """Return the last dump of the first finding by bucket, for who wants to read it at once."""
    dumps = sorted(evidence.glob("goroutines-*.txt")) if evidence else []
    if not dumps:
        return {}
    found = buckets_of(dumps[-1])
    head = f"{sum(bucket.count for bucket in found)} goroutines in {len(found)} buckets, of {dumps[-1].name}\n"
    return {"goroutines.txt": "\n".join([head, *(_told(bucket) for bucket in found)]).encode()}


def _told(bucket: Bucket) -> str:
    waited = f", {bucket.least_minutes} to {bucket.most_minutes} minutes" if bucket.most_minutes else ""
    ids = ", ".join(str(each) for each in bucket.ids[:20]) + (", …" if len(bucket.ids) > 20 else "")
    lines = [f"{bucket.count}: {bucket.state}{waited}  [{ids}]"]
    lines += [f"    {frame.function}  {frame.file}:{frame.line}" for frame in bucket.frames]
    lines += [f"    created by {bucket.creator.function}"] if bucket.creator else []
    return "\n".join([*lines, ""])
