"""One look at a toolchain: a short run on fresh daemons, and the little of it that a search or a comparison goes by."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from harness.analysis.lifetimes import onset_of
from harness.core.errors import InfraError, Interrupted
from harness.core.outcome import FAILURES, Ending, Outcome, Verdict
from harness.core.records import Finding, Iteration, Summary
from harness.experiments.runner import LocalRunner, Runner
from harness.run.observer import NullObserver, Reporter
from harness.run.plan import RunOptions
from harness.scenario import Scenario
from harness.scenario.model import OnHang
from harness.store.folder import RunFolder

HOST_TRIES: Final = 3
"""So many short runs in a row may come to nothing because of the host."""
_QUIET: Final = OnHang(then="stop", probe=False)
_NOT_COUNTED: Final = FAILURES | {Outcome.INFRA}


class HostFails(InfraError):
    """Short runs that end because of us or of the host, one after the other."""

    def __init__(self, what: str, because: str) -> None:
        super().__init__(f"{HOST_TRIES} {what} in a row came to nothing because of this host: {because}")


@dataclass(frozen=True)
class ShortRun:
    """What one run said of a toolchain."""

    toolchain: str
    """How to name the very same toolchain again."""
    seed: int
    said: Literal["hang", "clean", "nothing"]
    """`nothing` where the host or the daemon broke, where no build came to its end, or a stall came unhunted."""
    iterations: int
    signature: str
    """What the finding is, by its evidence; empty where there is none."""
    seconds: float
    """From the daemon's start to its end."""
    ending: Ending
    because: str
    folder: str
    """Where the run's records are."""
    daemon: str
    """Kind and version; empty where none came up."""
    builds: int
    """Of a clean look its trials; of one that hung all that had begun as it hung, and did not fail.

    Both err to the same side. What was in flight as a daemon hung may have been the next to hang, and what was timed
    out may have been too late: counted at a hang they make the rate no larger than it is, by no more than the lines of
    builds that there are. Of a clean look they would be proof that nobody has: a daemon that is so slow that its builds
    are timed out before their export is not a good one. Nor of a look in which an actor acted and never took effect:
    nothing was put to the daemon there. What goes on after a hang, until it is noticed, counts nowhere.
    """
    frames: tuple[str, ...] = ()
    """The functions that hang, by the evidence, the innermost first; none where it says none."""
    kind: str = ""
    """Of what was found, where that is what the scenario hunts: `hang`, `failure` and so on."""


async def look(
    scenario: Scenario,
    toolchain: str,
    *,
    results: Path,
    iterations: int,
    seed: int,
    audience: Reporter | None = None,
    runner: Runner | None = None,
    shards: int = 1,
    argv: tuple[str, ...] = (),
    evidence: Literal["all", "dumps"] = "all",
) -> ShortRun:
    """Run a scenario on a toolchain until it hangs, or until so many iterations are done.

    The daemon is neither kept nor asked what it still does: that is a matter of a run by itself.

    Args:
        scenario: with one daemon; its time limit holds as well.
        toolchain: a spec.
        results: where the run's folder is made.
        iterations: at most so many builds.
        seed: the source of all chance.
        audience: who looks on; nobody where it is left out.
        runner: makes the run; this host where it is left out.
        shards: how many daemons side by side; the first that hangs ends the look.
        argv: the command line, for the run's record.
        evidence: what is captured of a hang; see `OnHang.capture`.

    Raises:
        UsageError, InfraError, SubjectError: the run could not be begun.
        Interrupted: it was ended by the user.
    """
    stop = scenario.stop.model_copy(update={"iterations": iterations, "hangs": 1})
    options = RunOptions(results=results, toolchain=toolchain, seed=seed, shards=shards, argv=argv)
    bounded = scenario.model_copy(update={"stop": stop, "on_hang": _QUIET.model_copy(update={"capture": evidence})})
    summary, folder = await (runner or LocalRunner()).make(bounded, options, audience or NullObserver())
    if summary.ending is Ending.INTERRUPTED and summary.verdict is not Verdict.HANG:
        raise Interrupted
    return seen_in(summary, folder)


def seen_in(summary: Summary, folder: RunFolder) -> ShortRun:
    """Return what a finished run said."""
    builds = summary.rate.trials
    if summary.verdict is Verdict.HANG:
        builds = _begun_as_it_hung(folder)
    elif any(totals.acts and not totals.effective for totals in summary.actors.values()):
        builds = 0  # what was to bring it on never came about
    said: dict[Verdict, Literal["hang", "clean", "nothing"]] = {Verdict.HANG: "hang", Verdict.CLEAN: "clean"}
    return ShortRun(
        toolchain=summary.daemon["toolchain"],
        seed=summary.seed,
        said=said.get(summary.verdict, "nothing"),
        iterations=summary.iterations,
        signature=summary.diagnosis.signature if summary.diagnosis else "",
        seconds=summary.seconds,
        ending=summary.ending,
        because=summary.because,
        folder=str(folder.path),
        daemon=" ".join(str(summary.daemon[key]) for key in ("kind", "version") if summary.daemon.get(key)),
        builds=builds,
        frames=summary.diagnosis.frames if summary.diagnosis else (),
        kind=summary.first_finding.kind if summary.verdict is Verdict.HANG and summary.first_finding else "",
    )


def _begun_as_it_hung(folder: RunFolder) -> int:
    """Return how many builds had begun, and did not fail, as the first one began to hang."""
    findings = [finding for finding in folder.each(Finding) if finding.hunted]
    found = min(findings, key=lambda finding: finding.at)
    hunted = {finding.iteration for finding in findings}  # a finding may be a build's failure
    builds = [build for build in folder.each(Iteration) if build.outcome not in _NOT_COUNTED or build.number in hunted]
    onset = next((onset_of(found, build) for build in builds if build.number == found.iteration), found.at)
    return sum(build.started <= onset for build in builds)
