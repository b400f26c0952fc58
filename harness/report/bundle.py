"""A run as one archive for others: the issue's text, the evidence, what was run; small enough to attach, no secrets."""

import io
import re
import tarfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final

import yaml

from harness.buildkit.goroutines.buckets import buckets_of
from harness.buildkit.goroutines.model import Bucket
from harness.buildkit.known import DaemonRelease, advice_on
from harness.core.errors import StoreError, UsageError
from harness.core.files import write_whole
from harness.core.records import Diagnosis, Finding
from harness.report.door import Withheld, content_of, dockerfiles_of, is_binary, redactor_of, scenario_of, with_folders
from harness.report.explain.explanation import explain
from harness.report.issue import REPRODUCER, issue, issue_of_capture
from harness.report.redact import Redactor, is_secret
from harness.store.dockerfiles import left_out, places_of
from harness.store.evidence import EvidenceFolder
from harness.store.folder import RunFolder
from harness.store.folders import lies_in, require_no_way_out
from harness.store.minimized import Reproducer, reproducer_of
from harness.store.salvage import Salvage

ATTACHMENT_LIMIT: Final = 25_000_000
"""Bytes that GitHub takes as one attachment."""
_ROOM: Final = ATTACHMENT_LIMIT - 1_000_000
"""What files may come to, compressed; the rest is for headers and for the text that names what was left out."""


_UNFIT: Final = re.compile(r"[^\w-]")
"""What a received run may have in its scenario's name, and no file should."""


class Unfinished(UsageError):
    """A run without a summary."""

    def __init__(self, run: Path) -> None:
        super().__init__(f"{run} has no summary: it still goes on, or died; there is no verdict to hand over")


@dataclass(frozen=True)
class Bundle:
    """What was packed and taken out, for the person who will send it."""

    omitted: Mapping[str, str]
    """Files that are not in it, and why."""
    taken: Mapping[str, int]
    """How many secrets were taken out, by kind."""
    binary: Sequence[str]
    """Files in it that nobody can read through: what is known was overwritten in them, what is not may be there."""
    kept: Sequence[str]
    """Build arguments whose values are in it, as their names do not say that they are secret."""
    damaged: Sequence[str] = ()
    """What could not be read, a sentence each: what stood there is missing."""
    advice: str = ""
    """What to do about it, where it is known: whether a report is needed at all."""


def bundle(run: RunFolder, target: Path, *, databases: bool = False, hidden: Collection[str] = ()) -> Bundle:
    """Write the archive of a finished run, without secrets; what of it is damaged is missing, and named.

    Args:
        run: the run.
        target: the archive.
        databases: pack also those that hold the arguments and commands of builds.
        hidden: names of build arguments that are secret though their names do not say so.

    Raises:
        Unfinished: the run has no verdict.
        StoreError: the archive cannot be written, or there is nothing to put into it.
        LeadsOut: a link in it leads out of it.
    """
    require_no_way_out(run.path)
    salvage = Salvage()
    summary, manifest = salvage(run.summary, None), salvage(run.manifest, None)
    if summary is None and not salvage.problems:
        raise Unfinished(run.path)
    redactor, written = (
        redactor_of(run.path, hidden=hidden, salvage=salvage),
        salvage(lambda: scenario_of(run.path), {}),
    )
    dockerfiles, omitted = _take_along(run.path, written)
    name = _UNFIT.sub("_", summary.scenario if summary else run.path.parent.name)
    packing = _Packing(redactor, databases, omitted)
    scenario = ""
    if written:
        scenario = yaml.safe_dump(redactor.tree(written), sort_keys=False, allow_unicode=True, width=120)
        scenario = redactor.clean(scenario)
        packing.chosen[f"{name}.yaml"] = scenario.encode()
    smallest = reproducer_of(run)
    packing.take(chain(dockerfiles, _reproducer_files(smallest), _files(run.path)))
    findings = salvage(lambda: run.read(Finding), [])
    places = [run.path / findings[0].place] if findings else [each.path for each in run.evidences()]
    evidence = places[0] if places else None
    why = salvage(lambda: explain(run).text[1:], []) if findings else []
    captured = salvage(lambda: _captured(evidence), {})
    text = issue(
        summary,
        manifest,
        name,
        scenario,
        findings,
        captured,
        omitted,
        why,
        _in_folder(run.path, salvage.problems),
        smallest,
    )
    packing.write(target, f"{name}-{run.name}", text, evidence)
    packing.damaged = salvage.problems
    given = (actor["args"] for actor in _actors(written) if isinstance(actor.get("args"), dict))
    arguments = {str(name) for each in given for name in each}
    left_in = sorted(name for name in arguments.difference(hidden) if not is_secret(name))
    return packing.result(left_in, _advice(summary.diagnosis, summary.daemon) if summary else "")


def bundle_capture(folder: Path, target: Path, *, databases: bool = False) -> Bundle:
    """Write the archive of a capture, without secrets; what of it is damaged is missing, and named.

    Raises:
        StoreError: the archive cannot be written.
        LeadsOut: a link in it leads out of it.
    """
    require_no_way_out(folder)
    captured = EvidenceFolder(folder)
    salvage = Salvage()
    manifest = salvage(captured.capture_manifest, None)
    packing = _Packing(redactor_of(folder, salvage=salvage), databases)
    packing.take((file.name, file) for file in sorted(folder.iterdir()) if file.is_file())
    diagnosis = salvage(lambda: captured.diagnosis(asdict(manifest.daemon) if manifest else {}), None)
    had = salvage(lambda: _captured(folder), {})
    text = issue_of_capture(manifest, diagnosis, had, packing.omitted, _in_folder(folder, salvage.problems))
    packing.damaged = salvage.problems
    packing.write(target, folder.name, text, folder)
    return packing.result((), _advice(diagnosis, asdict(manifest.daemon) if manifest else {}))


@dataclass
class _Packing:
    """An archive as it is filled."""

    redactor: Redactor
    databases: bool
    omitted: dict[str, str] = field(default_factory=dict)
    chosen: dict[str, bytes] = field(default_factory=dict)
    room: int = field(default_factory=lambda: _ROOM)
    damaged: Sequence[str] = ()

    def take(self, files: Iterable[tuple[str, Path]]) -> None:
        """Take files, by their names in the archive, while there is room."""
        for name, file in files:
            try:
                content = content_of(file, self.redactor, databases=self.databases)
            except StoreError as error:
                content = Withheld(str(error).removeprefix(f"{file}: "))
            if isinstance(content, Withheld):
                self.omitted[name] = content.why
                continue
            size = len(zlib.compress(content))
            if size > self.room:
                self.omitted[name] = f"{size / 1e6:.1f} MB compressed, for which there was no room"
                continue
            self.room -= size
            self.chosen[name] = content

    def write(self, target: Path, top: str, text: str, evidence: Path | None) -> None:
        """Write the archive; its first file is the text to send, which says also what was taken out."""
        texts = {
            name: self.redactor.clean(each) for name, each in {"ISSUE.md": text, **_read_at_once(evidence)}.items()
        }
        texts["ISSUE.md"] += self._listing()
        write_whole(text_beside(target), texts["ISSUE.md"])
        try:
            with tarfile.open(target, "w:gz") as archive:
                for name, content in ({name: each.encode() for name, each in texts.items()} | self.chosen).items():
                    entry = tarfile.TarInfo(f"{top}/{name}")
                    entry.size, entry.mode = len(content), 0o755 if name.endswith(".sh") else 0o644
                    archive.addfile(entry, io.BytesIO(content))
        except OSError as error:
            raise StoreError(target, str(error.strerror)) from error

    def result(self, kept: Sequence[str], advice: str) -> Bundle:
        """Return what there is to say of it."""
        taken = dict(self.redactor.taken.most_common())
        return Bundle(
            omitted=self.omitted, taken=taken, binary=self._binary, kept=kept, damaged=self.damaged, advice=advice
        )

    @property
    def _binary(self) -> list[str]:
        return [name for name, content in self.chosen.items() if is_binary(content)]

    def _listing(self) -> str:
        taken = ", ".join(f"{kind} {count}" for kind, count in self.redactor.taken.most_common())
        lines = ["", f"Taken out as secrets: {taken or 'nothing'}."]
        if self._binary:
            lines += ["", f"Binary, with what is known overwritten: {', '.join(f'`{name}`' for name in self._binary)}."]
        return "\n".join([*lines, ""])


def _in_folder(folder: Path, problems: Iterable[str]) -> list[str]:
    """Return problems with files named as they lie in a folder, which on another host has another place."""
    return [problem.replace(f"{folder}/", "") for problem in problems]


def text_beside(archive: Path) -> Path:
    """Return where the issue's text stands beside an archive, to be read and sent: ``NAME.ISSUE.md``."""
    return archive.with_name(f"{archive.name.removesuffix('.tgz').removesuffix('.tar.gz')}.ISSUE.md")


def _advice(found: Diagnosis | None, daemon: Mapping[str, Any]) -> str:
    advice = advice_on(found, DaemonRelease.of(daemon)) if found else ""
    return f"{advice}; {found.link}" if found and advice else ""


def _files(run: Path) -> Iterator[tuple[str, Path]]:
    """Yield what there is to hand over, what matters most first: the first finding before all others."""
    first = ["summary.json", "run.json"]
    folders = sorted((run / "findings").glob("*"), key=_in_order)
    found = [*(run / name for name in first), *(file for folder in folders for file in sorted(folder.rglob("*")))]
    for file in (*found, *sorted((run / "daemon").rglob("*")), *sorted(run.glob("*.log"))):
        if file.is_file():
            yield str(file.relative_to(run)), file


def _reproducer_files(smallest: Reproducer | None) -> Iterator[tuple[str, Path]]:
    """Yield the files of a minimized reproducer."""
    if smallest:
        require_no_way_out(smallest.folder)
        for file in sorted(smallest.folder.rglob("*")):
            if file.is_file():
                yield f"{REPRODUCER}/{file.relative_to(smallest.folder)}", file


def _in_order(folder: Path) -> tuple[bool, int, str]:
    """Return what folders of findings are ordered by: their iteration; what is named otherwise comes last."""
    number = folder.name.partition("-")[0]
    is_iteration = number.isascii() and number.isdecimal() and len(number) < 20
    return not is_iteration, int(number) if is_iteration else 0, folder.name


def _take_along(run: Path, written: dict[str, Any]) -> tuple[list[tuple[str, Path]], dict[str, str]]:
    """Have a scenario name its Dockerfiles as they lie in the archive; return their files, and what is not taken."""
    found, omitted = [], {}
    allowed = dockerfiles_of(run, written)
    names = {source: place.name for source, place in places_of(run, map(Path, allowed)).items()}
    for source, folder in allowed.items():
        name = names[Path(source)]
        if isinstance(folder, Withheld):
            omitted[f"dockerfiles/{name}"] = folder.why
            continue
        omitted |= {f"dockerfiles/{name}/{each}": "it is large, or no plain file" for each in left_out(folder)}
        files = (file for file in sorted(folder.rglob("*")) if file.is_file() and lies_in(folder, file))
        found += [(f"dockerfiles/{name}/{file.relative_to(folder)}", file) for file in files]
    for actor in _actors(written):
        with_folders(actor, {str(source): name for source, name in names.items()})
    return found, omitted


def _actors(written: Mapping[str, Any]) -> list[dict[str, Any]]:
    actors = written.get("actors")
    return [actor for actor in actors if isinstance(actor, dict)] if isinstance(actors, list) else []


def _captured(evidence: Path | None) -> Mapping[str, str]:
    return EvidenceFolder(evidence).captured() if evidence else {}


def _read_at_once(evidence: Path | None) -> dict[str, str]:
    """Return the last dump of the first finding by bucket, readable without unpacking the evidence."""
    dumps = EvidenceFolder(evidence).dumps() if evidence else []
    if not dumps:
        return {}
    found = buckets_of(dumps[-1])
    head = f"{sum(bucket.count for bucket in found)} goroutines in {len(found)} buckets, of {dumps[-1].name}\n"
    return {"goroutines.txt": "\n".join([head, *(_bucket_lines(bucket) for bucket in found)])}


def _bucket_lines(bucket: Bucket) -> str:
    waited = f", {bucket.least_minutes} to {bucket.most_minutes} minutes" if bucket.most_minutes else ""
    ids = ", ".join(str(each) for each in bucket.ids[:20]) + (", …" if len(bucket.ids) > 20 else "")
    lines = [f"{bucket.count}: {bucket.state}{waited}  [{ids}]"]
    lines += [f"    {frame.function}  {frame.file}:{frame.line}" for frame in bucket.frames]
    lines += [f"    created by {bucket.creator.function}"] if bucket.creator else []
    return "\n".join([*lines, ""])
