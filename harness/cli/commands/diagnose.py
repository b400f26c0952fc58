"""`repro diagnose`: what keeps a daemon from going on, from a run's evidence, a capture's, or anybody's dumps."""

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.buildkit.diagnosis import diagnose, diagnose_counted, diagnose_finding, read_dump, read_file
from harness.buildkit.findings import diagnosis_of
from harness.buildkit.goroutines.buckets import buckets, counted_of
from harness.buildkit.goroutines.files import other_than_text, rereadable
from harness.buildkit.goroutines.model import Bucket
from harness.buildkit.goroutines.reading import Dump
from harness.cli.commands.signatures import own_files
from harness.cli.console import Console
from harness.cli.options import RESULTS, Results
from harness.core.errors import UsageError
from harness.core.outcome import ExitCode
from harness.core.records import Diagnosis, Finding
from harness.report.words import finding_line
from harness.store.evidence import EvidenceFolder
from harness.store.find import find_run
from harness.store.folder import RunFolder
from harness.store.salvage import Salvage

_BUCKETS_TOLD = 12
_FRAMES_TOLD = 8


class NoDump(UsageError):
    """A file that cannot be read as what it was given for."""

    def __init__(self, file: Path, why: str) -> None:
        super().__init__(
            f"{file}: {why}; give goroutine dumps with stacks (`debug=2`, or what SIGQUIT prints), "
            "those of one process in the order in which they were made, or a run"
        )


class NothingFound(UsageError):
    """A run or a capture that has nothing to diagnose."""

    def __init__(self, folder: Path, findings: int = 0) -> None:
        had = f"has {findings} findings, and no evidence of one that says anything" if findings else "has no finding"
        super().__init__(f"{folder} {had}, so there is nothing to diagnose")


def diagnose_(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN|FILE", help="A run, a capture, or one process's dumps, packed or not; - reads a pipe."
        ),
    ],
    version: Annotated[
        str | None, typer.Option(metavar="V", help="The daemon of the files: `BuildKit v0.23.2`, `Engine 28.3.3`.")
    ] = None,
    own: Annotated[
        Path | None, typer.Option("--signatures", metavar="FILE", help="Known bugs of your own, as `signatures.yaml`.")
    ] = None,
    results: Results = RESULTS,
    page: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also as a page: who waits for whom, and all buckets.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> int:
    """Say what a finding, or dumps, show: livelock, deadlock, failure, death; where, and whether it is known."""
    with ExitStack() as kept:
        files = [kept.enter_context(rereadable(Path("/dev/stdin" if each == "-" else each))) for each in what]
        if len(files) == 1 and (files[0] / "captured.json").is_file():
            diagnosed = _of_evidence(files[0])
        elif len(files) == 1 and (files[0].is_dir() or not files[0].exists()):
            diagnosed = _of_run(find_run(what[0], results))
        else:
            diagnosed = _of_files(files, version, own)
    if page:
        from harness.report.dumps import dumps_page  # noqa: PLC0415 — Jinja is for pages alone

        page.write_text(dumps_page(diagnosed.found, diagnosed.last, diagnosed.top))
    if as_json:
        print(json.dumps(asdict(diagnosed.found), indent=1))  # noqa: T201
    else:
        _tell(Console(highlight=False), diagnosed)
    return ExitCode.CLEAN


@dataclass(frozen=True)
class _Told:
    """What dumps, or a finding, come to, the last dump, and its goroutines counted."""

    found: Diagnosis
    last: Dump
    top: list[Bucket]
    finding: str = ""
    """What was found in a run, where, and after what wait."""
    others: tuple[str, ...] = ()
    """What else was found in it, a line for each that comes to something else."""


def _with_last(found: Diagnosis, folder: Path, finding: str = "", others: tuple[str, ...] = ()) -> _Told:
    dumps = sorted(folder.glob("goroutines-*.txt"))
    last = read_dump(dumps[-1]) if dumps else []
    return _Told(found, last, buckets(last), finding, others)


def _of_evidence(folder: Path) -> _Told:
    """Return what a capture comes to, or one finding of a run."""
    run = RunFolder(folder.resolve().parents[1])
    if folder.resolve().parent.name == "findings" and (run.path / "run.db").is_file():
        return _of_run(run, folder.resolve().name)
    found = EvidenceFolder(folder).capture_diagnosis()
    if found is None:
        raise NothingFound(folder)
    return _with_last(found, folder)


def _of_run(folder: RunFolder, place: str = "") -> _Told:
    """Return what the findings of a run come to: that of the first one which it hunted, with a word on the others.

    Args:
        folder: the run.
        place: the folder's name of the one that is asked for; empty: all.
    """
    salvage = Salvage()
    summary, manifest = salvage(folder.summary, None), salvage(folder.manifest, None)
    daemon: Mapping[str, Any] = summary.daemon if summary else manifest.subject if manifest else {}
    findings = [each for each in salvage(lambda: folder.read(Finding), []) if not place or each.place.endswith(place)]
    diagnosed: dict[str, tuple[Diagnosis, Finding]] = {}
    count = Counter[str]()
    for finding in sorted(findings, key=lambda each: (not each.hunted, each.at)):
        found = diagnosis_of(finding, folder.evidence(finding).path, daemon)
        if found:
            diagnosed.setdefault(key := found.signature or found.kind, (found, finding))
            count[key] += 1
    if not diagnosed and salvage.problems:  # without its records, a hang's dumps still say what they say
        for evidence in folder.evidences():
            if found := diagnose_finding(evidence.path, daemon):
                return _with_last(found, evidence.path)
    if not diagnosed:
        raise NothingFound(folder.path, len(findings))
    said = {key: finding_line(finding) + _more(count[key] - 1) for key, (_, finding) in diagnosed.items()}
    (first, (found, finding)), *others = diagnosed.items()
    lines = tuple(f"{said[key]}: {also.sentence}" for key, (also, _) in others)
    return _with_last(found, folder.evidence(finding).path, said[first], lines)


def _more(count: int) -> str:
    return f", and {count} more of the same" if count else ""


def _of_files(files: list[Path], version: str | None, own: Path | None) -> _Told:
    dumps: list[Dump] = []
    crash = ""
    for file in files:
        try:
            posted = read_file(file)
            counted = [] if posted.dumps or posted.hollow else counted_of(file)
        except OSError as error:
            raise NoDump(file, str(error.strerror)) from error
        if counted and len(files) == 1 and (leak := diagnose_counted(counted)):
            return _Told(leak, [], counted)
        if posted.hollow:
            raise NoDump(file, "has goroutines whose frames cannot be read, so nothing is to be told from it")
        if not posted.dumps and not posted.crash:
            raise NoDump(file, _why_not(file, counted))
        dumps += posted.dumps
        crash = crash or posted.crash
    found = diagnose(dumps, version=version, crash=crash, own=own_files(own))
    last = dumps[-1] if dumps else []
    return _Told(found, last, buckets(last))


def _why_not(file: Path, counted: list[Bucket]) -> str:
    """Return why nothing is to be told from a file that has no dump with stacks."""
    if counted:
        return "is in the counted form, which has no ids"
    other = other_than_text(file)
    return f"is {other}" if other else "holds no goroutine with a stack"


def _tell(console: Console, diagnosed: _Told) -> None:
    found, top = diagnosed.found, diagnosed.top

    def say(line: str, style: str = "") -> None:
        console.print(line, style=style, markup=False, soft_wrap=True)

    say(found.sentence, "bold")
    if found.known and found.because not in found.sentence:
        say(f"    {found.because}")
    if diagnosed.finding:
        say(f"finding        {diagnosed.finding}")
    if found.goroutines:
        say(f"goroutines     {', '.join(str(each) for each in found.goroutines)}")
    if found.signature:
        say(f"signature      {found.signature}")
    for function in found.frames[:_FRAMES_TOLD]:
        say(f"    {function}")
    if len(found.frames) > _FRAMES_TOLD:
        say(f"    and {len(found.frames) - _FRAMES_TOLD} more")
    for other in diagnosed.others:
        say(f"also           {other}")
    if not top:
        return
    say(f"{sum(bucket.count for bucket in top)} goroutines in {len(top)} buckets; the fullest:")
    for bucket in top[:_BUCKETS_TOLD]:
        innermost = next((frame.function for frame in bucket.frames if frame.is_users), None)
        place = innermost or (bucket.frames[0].function if bucket.frames else "no stack")
        waited = f", {bucket.least_minutes} to {bucket.most_minutes} min" if bucket.most_minutes else ""
        say(f"{bucket.count:>6}  {bucket.state}{waited}  {place}")
