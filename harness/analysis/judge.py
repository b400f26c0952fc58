"""The verdict of a run, computed from its records alone, so that it can be computed again from disk."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.analysis.effects import totals_of, without_effect
from harness.analysis.failures import Failures, Provocations, symptom_rates
from harness.analysis.growths import growths_of
from harness.analysis.leak import leak_of
from harness.analysis.lifetimes import Life, Lives
from harness.analysis.rates import excluded_rate, quantile
from harness.analysis.watched_rate import watched_rate
from harness.core.outcome import Ending, ExitCode, FindingKind, Outcome, Symptom, Verdict
from harness.core.records import (
    FORMAT,
    Action,
    AftermathAnswer,
    Audit,
    Finding,
    FirstHang,
    Growing,
    Iteration,
    Leak,
    Rate,
    Summary,
)
from harness.core.units import counted, one_in
from harness.core.wording import none_of

_CUT_SHORT: dict[Ending, str] = {
    Ending.STALLED: "the daemon completed no build any more",
    Ending.FAILING: "no build succeeded",
    Ending.DAEMON_DIED: "the daemon is gone",
    Ending.UNABLE: "this daemon cannot be tested so",
    Ending.INFRA: "the harness or the host broke",
    Ending.INTERRUPTED: "it was interrupted",
}
_EXIT_CODES: dict[Verdict, ExitCode] = {
    Verdict.HANG: ExitCode.HANG,
    Verdict.CLEAN: ExitCode.CLEAN,
    Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
}


@dataclass
class _Builds:
    """What the builds of a run came to, counted one after the other."""

    failures: Failures
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    tails: list[float] = field(default_factory=list)
    merged: int = 0
    _error: str = ""
    """The first that was told."""
    _excuses: Counter[str] = field(default_factory=Counter)
    """What of the scenario's own cut builds off."""

    def add(self, build: Iteration) -> None:
        """Count one."""
        self.outcomes[build.outcome] += 1
        if build.outcome is Outcome.OK and build.tail is not None:
            self.tails.append(build.tail)
        if build.outcome is Outcome.CUT_OFF and build.error:
            self._excuses[build.error.partition(":")[0]] += 1
        self._error = self._error or build.error
        self.merged += bool(build.merged)
        self.failures.add(build)

    @property
    def mostly_failed(self) -> bool:
        """Whether more failed than succeeded, but for those that the scenario itself made fail."""
        return self.failures.failed - self.failures.provoked > self.outcomes[Outcome.OK]

    def which_failed(self) -> str:
        """Return how many failed, and of what most did."""
        failed, provoked, most = self.failures.failed, self.failures.provoked, self.failures.counts()[0]
        beside = f" and {self.outcomes[Outcome.OK]} succeeded; " if self.mostly_failed else ", "
        own = f"{provoked} of them in what the scenario did to their registry, " if provoked else ""
        return f"{failed} builds failed{beside}{own}most often, {most.count} times: {most.example or 'without a word'}"

    def without_a_trial(self) -> str:
        """Return why nobody can say whether a build would have hung."""
        what = "was left alone for long enough to be seen to hang" if self.tails else "came to the end of its export"
        why = f"; the first error: {self._error}" if self._error else ""
        if most := self._excuses.most_common(1):
            [(excuse, count)] = most
            why = f"; {self._excuses.total()} were cut off, most often ({count} times) as {excuse}"
        return f"no build {what}{why}"


def judge(
    iterations: Iterable[Iteration],
    findings: Iterable[Finding],
    audits: Iterable[Audit] = (),
    actions: Iterable[Action] = (),
    *,
    expected: Mapping[str, str] | None = None,
    threshold: float = 0.0,
    hunts: Sequence[str] = (Outcome.HANG,),
    scenario: str,
    daemon: Mapping[str, Any],
    seed: int,
    ending: Ending,
    detail: str,
    seconds: float,
    unattended: float,
    aftermath: Mapping[str, AftermathAnswer] | None = None,
    left_behind: tuple[str, ...] = (),
) -> Summary:
    """Return what the records say.

    A trial is a build whose export completed, and that would have been seen to hang: nobody would have killed it within
    `threshold` seconds (the scenario's `export_hang`), or the daemon tells of builds that were. Each daemon of the run
    counts up to the onset of its first hang, whoever saw it, and that is one (`lifetimes`). A build that we ended while
    it waited after its export for longer than any that returned is unsettled (`rates.rate`).
    The verdict is ``hang`` with one hunted finding; else ``inconclusive`` if the run was cut short, a finding
    that is not hunted came, no build was a trial, an actor that acted never once took effect, or more builds failed
    than succeeded: such a run did not load the daemon as its scenario says; else ``clean``. Of failures, those do not
    count that came in an export whose registry the scenario itself had made a bad one by then.
    Of `hunts`, what the scenario looks for, `because` says that it did not come.
    Of `expected`, the kinds of actors by their names, each must have acted: what they wait for was to come.
    A leak changes nothing of that. It is looked for up to the first finding: a build that hangs keeps its goroutines.
    """
    found = sorted(findings, key=lambda finding: finding.at)
    daemons = Lives(found, threshold)
    provocations = Provocations()
    builds = _Builds(Failures(provocations))
    actors = totals_of(provocations.seen(actions), expected)
    idle = without_effect(actors)
    for iteration in iterations:
        daemons.add(iteration)
        builds.add(iteration)
    hunted = [finding for finding in found if finding.hunted]
    others = [finding for finding in found if finding.kind is not Symptom.GROWTH]
    looked = [audit for audit in audits if not others or audit.at < others[0].at]
    lived = daemons.lives()
    hangs = watched_rate(*(sum(getattr(life, what) for life in lived) for what in ("hung", "trials", "unsettled")))
    if hunted:
        verdict, because = Verdict.HANG, _finding_text(hunted[0]) + _after(lived)
    elif ending in _CUT_SHORT:
        because = f"{_CUT_SHORT[ending]}{f': {detail}' if detail else ''}"
        verdict = Verdict.INCONCLUSIVE
        if found:
            because += f"; {_finding_text(found[0])}, which this scenario does not hunt"
    elif found:
        verdict, because = Verdict.INCONCLUSIVE, f"{_finding_text(found[0])}, which this scenario does not hunt"
    elif not hangs.trials:
        verdict, because = Verdict.INCONCLUSIVE, builds.without_a_trial()
    elif idle:
        verdict, because = Verdict.INCONCLUSIVE, idle
    elif builds.mostly_failed:
        verdict, because = Verdict.INCONCLUSIVE, builds.which_failed()
    else:
        verdict = Verdict.CLEAN
        because = without_a_finding(hangs, hunts) + (f"; {builds.which_failed()}" if builds.failures.failed else "")
    if verdict is Verdict.INCONCLUSIVE and idle and not found and idle != because and ending is not Ending.UNABLE:
        because = f"{idle}; {because}"
    leak, growths = leak_of(looked), growths_of(looked)
    if verdict is Verdict.INCONCLUSIVE and ending not in _CUT_SHORT and Symptom.GROWTH not in hunts:
        because += _growing(leak, growths)
    outcomes, tails = builds.outcomes, builds.tails
    total = outcomes.total()
    return Summary(
        format=FORMAT,
        scenario=scenario,
        daemon=daemon,
        seed=seed,
        verdict=verdict,
        because=because,
        ending=ending,
        exit_code=_exit_code(verdict, ending),
        iterations=total,
        outcomes={outcome.value: outcomes[outcome] for outcome in Outcome if outcomes[outcome]},
        first_hang=_first(found, Outcome.HANG),
        first_stall=_first(found, Outcome.STALL),
        merged=builds.merged,
        first_finding=_seen(decisive(found)),
        failures=builds.failures.counts(),
        hunts=tuple(hunts),
        symptoms=symptom_rates(found, builds.failures.ended, actors),
        rate=hangs,
        tail_seconds={"p50": quantile(tails, 0.5), "p99": quantile(tails, 0.99), "max": quantile(tails, 1.0)},
        seconds=seconds,
        iterations_per_minute=60 * total / seconds if seconds else 0.0,
        unattended_seconds=unattended,
        aftermath=aftermath or {},
        left_behind=left_behind,
        leak=leak,
        growths=growths,
        actors=actors,
    )


def without_a_finding(rate: Rate, hunts: Iterable[str] = (Outcome.HANG,)) -> str:
    """Return what a run that found nothing of what it hunts excludes, to a person: as one in so many builds."""
    excluded = excluded_rate(rate.trials, unsettled=rate.unsettled)
    builds = counted(rate.trials, "build")
    text = f"{none_of(hunts)} in {builds}; {one_in(excluded)} builds or more often is ruled out (95 % sure)"
    if rate.unsettled:
        what = "build was" if rate.unsettled == 1 else "builds were"
        text += f", for {rate.unsettled} {what} cut off while waiting after the export, and may have hung"
    return text


def _growing(leak: Leak | None, growths: Sequence[Growing]) -> str:
    """Return what grows without bound in a run that has no other verdict; nothing where nothing does."""
    growing = ["goroutines"] if leak and leak.verdict == "yes" else []
    growing += [each.what for each in growths if each.verdict == "yes"]
    verb = "grows" if len(growing) == 1 else "grow"
    return f"; by its audits {', '.join(growing)} {verb}, which this scenario does not hunt" if growing else ""


def _after(lived: Sequence[Life]) -> str:
    """Return which of two worlds the data fit: whether a hang poisons its daemon; nothing where nothing came after."""
    returned, hung = sum(life.returned_after for life in lived), sum(life.hung_after for life in lived)
    after = "after it" if sum(life.hung for life in lived) == 1 else "on a daemon that had hung"
    if returned:
        return f"; {after} {returned} more builds returned{f' and {hung} hung' if hung else ''}: it does not stay"
    return f"; {after} no build returned, and {hung} more hung" if hung else ""


def _exit_code(verdict: Verdict, ending: Ending) -> ExitCode:
    if verdict is Verdict.INCONCLUSIVE and ending is Ending.INTERRUPTED:
        return ExitCode.INTERRUPTED
    if verdict is Verdict.INCONCLUSIVE and ending is Ending.INFRA:
        return ExitCode.BROKEN
    return _EXIT_CODES[verdict]


def decisive(findings: Iterable[Finding]) -> Finding | None:
    """Return the finding that decides: the first that the scenario hunts, else the first hang, else the first."""
    order = sorted(findings, key=lambda each: (not each.hunted, each.kind is not Outcome.HANG, each.at))
    return order[0] if order else None


def _first(found: list[Finding], kind: FindingKind) -> FirstHang | None:
    return _seen(next((finding for finding in found if finding.kind is kind), None))


def _seen(finding: Finding | None) -> FirstHang | None:
    if finding is None:
        return None
    return FirstHang(
        iteration=finding.iteration,
        seconds=finding.at,
        build=finding.actor,
        args=finding.args,
        kind=finding.kind,
        seen_by=finding.seen_by,
    )


def _finding_text(finding: Finding) -> str:
    what = {
        Outcome.HANG: "export hang",
        Outcome.STALL: "stall before the export",
        Outcome.LATE_FAILURE: "failure after the export",
        Symptom.FAILURE: "failure",
        Symptom.DEATH: "death of the daemon",
        Symptom.ACT: "act without an answer",
        Symptom.GROWTH: "growth without bound",
        Symptom.INCONSISTENCY: "cache graph that contradicts itself",
        Symptom.CONTENT: "wrong content",
        Symptom.MISS: "unexpected cache miss",
        Symptom.SLOW: "slow success",
    }[finding.kind]
    if finding.detail:
        what += f" ({finding.detail.strip().splitlines()[0]})"
    behind = ", behind a build that was timed out" if finding.seen_by == "history" else ""
    return f"{what} at iteration {finding.iteration}, {finding.at:.1f} s into the run{behind}"
