"""A run told to a person: verdict first, then what it rests on."""

from rich.console import Console
from rich.text import Text

from harness.buildkit.progress import told
from harness.cli.display.against import told_against
from harness.cli.display.kept import kept_lines
from harness.core.errors import StoreError
from harness.core.outcome import Outcome, Verdict
from harness.core.records import Finding, Summary
from harness.report.words import facts, finding_line, headline
from harness.store.folder import RunFolder

_COLOURS: dict[Verdict, str] = {Verdict.HANG: "bold red", Verdict.CLEAN: "bold green", Verdict.INCONCLUSIVE: "yellow"}
_LAST_STEPS = 6
_FINDINGS_TOLD = 5


def tell(console: Console, folder: RunFolder, summary: Summary | None, against: str | None = None) -> None:
    """Print a run, held against a rate if one is given; one that has no summary is told as what it is."""
    story = folder.read_json("run.json")
    verdict, because = headline(folder, summary, story)
    if summary is None:
        _say(console, f"{verdict}  {because}; {folder.path}", "yellow")
        _say(console, f"started {story['started']}, seed {story['seed']}: {' '.join(story['argv'])}")
        return
    console.print(Text(f"{verdict}  ", _COLOURS[summary.verdict]) + because, soft_wrap=True)
    if summary.diagnosis:
        _say(console, summary.diagnosis.sentence, "bold")
        if summary.diagnosis.known:
            _say(console, f"    {summary.diagnosis.because}")
    for name, value in facts(folder, summary, story).items():
        _say(console, f"{name:<14} {value}")
        if name == "hang rate" and against:
            _say(console, f"{'against':<14} {told_against(summary, against)}")
    findings = folder.read(Finding)
    for finding in findings[:1]:
        _tell_finding(console, folder, finding)
    for finding in findings[1:_FINDINGS_TOLD]:
        _say(console, finding_line(finding), "red")
    if len(findings) > _FINDINGS_TOLD:
        _say(console, f"and {len(findings) - _FINDINGS_TOLD} more findings", "red")
    if summary.aftermath:
        _say(console, "aftermath: what the daemon did after the hang")
    for question, answer in summary.aftermath.items():
        seconds = "" if answer.said == "not asked" else f"  after {answer.seconds:.1f} s"
        detail = f"  ({answer.detail.splitlines()[0]})" if answer.detail else ""
        _say(console, f"    {question.replace('_', ' '):<24} {answer.said}{seconds}{detail}")
    for line in kept_lines(folder):
        _say(console, line)
    for problem in summary.left_behind:
        _say(console, f"left behind: {problem}; try `repro clean`", "red")


def _tell_finding(console: Console, folder: RunFolder, finding: Finding) -> None:
    _say(console, finding_line(finding), "red")
    said = [line for item in finding.last_progress for line in told(item)]
    for line in said[-_LAST_STEPS:]:
        _say(console, f"    {line}")
    if finding.kind is Outcome.HANG:
        due = "the client should have returned" if finding.seen_by == "client" else "the daemon should have been done"
        _say(console, f"    <- here {due}")
    try:
        captured = folder.read_json(f"findings/{finding.iteration}/captured.json")
    except StoreError:
        captured = {}
    had = [name for name, result in captured.items() if result == "captured"]
    where = folder.path / "findings" / str(finding.iteration)
    _say(console, f"    evidence: {len(had)} of {len(captured)} kinds captured; {where}")


def _say(console: Console, line: str, style: str = "") -> None:
    console.print(Text(line, style=style), soft_wrap=True)
