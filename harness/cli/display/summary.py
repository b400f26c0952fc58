"""A run told to a person: what it rests on first, and the verdict with what to do next as the last lines."""

import shlex
from collections.abc import Iterator
from textwrap import shorten
from typing import Final

from rich.text import Text

from harness.analysis.effects import without_effect
from harness.buildkit.known import HUNTED, DaemonRelease, advice_on, has_fix, known_in, place_of
from harness.buildkit.progress import plain_lines
from harness.cli.console import Console
from harness.cli.display.against import format_against
from harness.cli.display.kept import kept_lines
from harness.core.outcome import Ending, Outcome, Symptom, Verdict
from harness.core.records import Diagnosis, Finding, Summary
from harness.core.units import format_duration
from harness.report.words import facts, finding_line, headline, little_effect, rate_line, verdict_word
from harness.store.folder import RunFolder
from harness.store.salvage import Salvage

_COLOURS: Final = {Verdict.HANG: "bold red", Verdict.CLEAN: "bold green", Verdict.INCONCLUSIVE: "yellow"}
_ENDERS: Final = {"kill", "restart", "oom", "network"}
"""The kinds of actors that end builds, or cut them off."""
_LAST_STEPS: Final = 6
_FINDINGS_TOLD: Final = 5
_BECAUSE: Final = 400
"""Characters of what a verdict rests on that its block has; all of it stands above."""


def tell(
    console: Console,
    folder: RunFolder,
    summary: Summary | None,
    against: str | None = None,
    salvage: Salvage | None = None,
) -> None:
    """Print a run, held against a rate if one is given; one that has no summary is told as what it is.

    What cannot be read is noted in `salvage`, and the rest is told.
    """
    salvage = salvage or Salvage()
    if summary is None:
        is_damaged = bool(salvage.problems)
        manifest = salvage(folder.manifest, None)
        verdict, because = headline(folder, summary, manifest)
        because = "what it came to cannot be read" if is_damaged else because
        if manifest:
            _say(console, f"started {manifest.started}, seed {manifest.seed}: {' '.join(manifest.argv)}")
        _say(console, f"{verdict}  {because}; {folder.path}", "yellow")
        return
    tell_details(console, folder, summary, salvage)
    console.print()
    tell_verdict(console, folder, summary, against)


def tell_details(console: Console, folder: RunFolder, summary: Summary, salvage: Salvage | None = None) -> None:
    """Print what the verdict rests on; what cannot be read of it is noted in `salvage`."""
    salvage = salvage or Salvage()
    manifest = salvage(folder.manifest, None)
    for name, value in salvage(lambda: facts(folder, summary, manifest), dict[str, str]()).items():
        _say(console, f"{name:<14} {value}")
    findings = salvage(lambda: folder.read(Finding), [])
    for finding in findings[:1]:
        _tell_finding(console, folder, finding, salvage)
    for finding in findings[1:_FINDINGS_TOLD]:
        _say(console, finding_line(finding), "red")
    if len(findings) > _FINDINGS_TOLD:
        _say(console, f"and {len(findings) - _FINDINGS_TOLD} more findings", "red")
    if summary.diagnosis:
        _say(console, f"diagnosis: {summary.diagnosis.sentence}")
        if summary.diagnosis.known:
            _say(console, f"    {summary.diagnosis.because}")
    if summary.aftermath:
        _say(console, "aftermath: what the daemon did after the hang")
    for question, answer in summary.aftermath.items():
        seconds = "" if answer.said == "not asked" else f"  after {answer.seconds:.1f} s"
        detail = f"  ({answer.detail.splitlines()[0]})" if answer.detail else ""
        _say(console, f"    {question.replace('_', ' '):<24} {answer.said}{seconds}{detail}")
    if not _is_told_by_the_verdict(summary):
        _say(console, summary.because)
    for line in kept_lines(manifest):
        _say(console, line)
    for problem in summary.left_behind:
        _say(console, f"left behind: {problem}; try `repro clean`", "red")


def tell_verdict(console: Console, folder: RunFolder, summary: Summary, against: str | None = None) -> None:
    """Print the verdict, its diagnosis and rate, what to do next, and where all of it is: twelve lines at most."""
    first = shorten(summary.because.splitlines()[0], _BECAUSE, placeholder=" …")
    console.print(Text(f"{verdict_word(summary)}  ", _COLOURS[summary.verdict]) + first, soft_wrap=True)
    for name, value in _block(folder, summary, against):
        _say(console, f"    {name:<10} {value}")


def _is_told_by_the_verdict(summary: Summary) -> bool:
    """Whether the reason stands whole behind the verdict and, where a daemon is unable, the advice in it as `next`."""
    first, *others = summary.because.splitlines() or [""]
    advised = summary.ending is Ending.UNABLE and len(others) == 1 and len(first) <= _BECAUSE
    return advised or not others


def _block(folder: RunFolder, summary: Summary, against: str | None) -> Iterator[tuple[str, str]]:
    if summary.diagnosis:
        yield "what", _in_short(summary.diagnosis)
    if summary.verdict is not Verdict.CLEAN:
        yield "rate", rate_line(summary.rate)
    if against:
        yield "against", format_against(summary, against)
    if where := place_of(DaemonRelease.of(summary.daemon)):
        yield "known", where
    if weak := little_effect(summary):
        yield "warning", f"acts that changed something: {weak}"
    name = "next"
    for step in _next_steps(folder, summary):
        yield name, step
        name = ""
    yield "folder", str(folder.path)
    report = folder.path / "report.html"
    if report.exists():
        yield "report", str(report)


def _in_short(found: Diagnosis) -> str:
    """Return what a diagnosis comes to; how it comes to that stands above."""
    if not found.known:
        return shorten(found.sentence, _BECAUSE, placeholder=" …")
    fixed = " / ".join(f"{product} {version}" for product, version in found.fixed_in.items())
    what = found.sentence.partition(": ")[0].removesuffix(", known")
    return f"{what}; known, {f'fixed in {fixed}' if fixed else 'no fix yet'}; {found.link}"


def _next_steps(folder: RunFolder, summary: Summary) -> Iterator[str]:
    """Yield what to do now, as commands that can be typed: three at most."""
    if summary.verdict is Verdict.HANG:
        yield from _after_finding(folder, summary)
    elif summary.verdict is Verdict.CLEAN:
        yield from _after_nothing(folder, summary)
    else:
        yield _for_a_verdict(folder, summary)


def _after_finding(folder: RunFolder, summary: Summary) -> Iterator[str]:
    found, run = summary.diagnosis, shlex.quote(str(folder.path))
    release = DaemonRelease.of(summary.daemon)
    if found and found.known and found.fixed_in and not has_fix(found, release):
        ours = "Engine" if summary.daemon.get("kind") == "dockerd" else "BuildKit"
        product = ours if ours in found.fixed_in else next(iter(found.fixed_in))
        fixed = f"{'docker' if product == 'Engine' else 'buildkit'}:{found.fixed_in[product]}"
        tried = f"`repro verify {summary.scenario} --broken {_spec(summary)} --fixed {fixed}`"
        yield f"upgrade, this is known and needs no report; {tried} shows that it helps"
    elif found and found.kind == "frozen":
        yield "nothing: the daemon was stopped, as a control does it, and was found"
        return
    else:
        advice = f"{advice_on(found, release)}; " if found and found.known else ""
        yield f"{advice}`repro bundle {run}` makes an archive for a report, without secrets"
    yield f"`repro explain {run}` says why, `repro diagnose {run}` shows the goroutines"


def _after_nothing(folder: RunFolder, summary: Summary) -> Iterator[str]:
    release = DaemonRelease.of(summary.daemon)
    if HUNTED in {each.name for each in known_in(release)} and summary.scenario != "merged-and-killed":
        yield f"`repro run merged-and-killed --daemon {_spec(summary)}` shows the hang that {release} is known for"
    if more := _more_of(summary) if not _is_sum(folder) else "":
        yield f"`repro resume {shlex.quote(str(folder.path))} {more}` rules out rarer hangs"
    yield "`repro demo` shows what a hang that is found looks like"


def _for_a_verdict(folder: RunFolder, summary: Summary) -> str:
    """Return what to do for a run that says nothing to say something."""
    run = shlex.quote(str(folder.path))
    if summary.ending in {Ending.INTERRUPTED, Ending.INFRA}:
        return f"`repro resume {run}` goes on with it"
    if summary.ending is Ending.UNABLE:
        return summary.because.splitlines()[-1]
    if summary.ending is Ending.DAEMON_DIED:
        return f"{folder.path / 'daemon'} has the daemon's log, `repro doctor` says what this host lacks"
    if summary.first_stall:
        return f"`repro diagnose {run}` says what the daemon waits for, `repro bundle {run}` makes an archive of it"
    return _in_the_scenario(folder, summary)


def _in_the_scenario(folder: RunFolder, summary: Summary) -> str:
    """Return what to change in a scenario whose run came to its end, and says nothing."""
    run, scenario = (shlex.quote(str(each)) for each in (folder.path, folder.path / "scenario.yaml"))
    growing = (summary.leak, *summary.growths)
    if any(each and each.verdict == "yes" for each in growing) and Symptom.GROWTH not in summary.hunts:
        hunts = ",".join((*summary.hunts, Symptom.GROWTH))
        return f"`repro run {scenario} --set 'stop.on=[{hunts}]'` has what grows decide the verdict"
    ended = summary.outcomes.get(Outcome.TIMED_OUT, 0) + summary.outcomes.get(Outcome.CUT_OFF, 0)
    if not summary.rate.trials and 2 * ended > summary.iterations:
        enders = [name for name, totals in summary.actors.items() if totals.kind in _ENDERS and totals.effective]
        where = f"the `when` of {' or '.join(enders)}" if enders else "`kill`"
        return f"let some builds come to their end: {where} may have a `chance` below 1, or come later"
    if summary.outcomes.get(Outcome.FAILED) and not without_effect(summary.actors):
        return f"see to what the builds fail of first; `repro show {run}` lists it, with counts"
    return f"`repro check {scenario}` says what of it can have no effect"


def _spec(summary: Summary) -> str:
    return shlex.quote(str(summary.daemon.get("toolchain")))


def _is_sum(folder: RunFolder) -> bool:
    manifest = Salvage()(folder.manifest, None)
    return manifest is not None and manifest.merged is not None


def _more_of(summary: Summary) -> str:
    """Return the option that lets a run that came to its end go on for ten times as long; nothing of others."""
    if summary.ending is Ending.ITERATIONS:
        return f"--iterations {10 * summary.iterations}"
    return f"--time {format_duration(10 * round(summary.seconds))}" if summary.ending is Ending.TIME else ""


def _tell_finding(console: Console, folder: RunFolder, finding: Finding, salvage: Salvage) -> None:
    _say(console, finding_line(finding), "red")
    said = [line for item in finding.last_progress for line in plain_lines(item)]
    for line in said[-_LAST_STEPS:]:
        _say(console, f"    {line}")
    if finding.kind is Outcome.HANG:
        due = "the client should have returned" if finding.seen_by == "client" else "the daemon should have been done"
        _say(console, f"    <- here {due}")
    captured = salvage(folder.evidence(finding).captured, dict[str, str]())
    had = [name for name, result in captured.items() if result == "captured"]
    where = folder.path / finding.place
    _say(console, f"    evidence: {len(had)} of {len(captured)} kinds captured; {where}")


def _say(console: Console, line: str, style: str = "") -> None:
    console.print(Text(line, style=style), soft_wrap=True)
