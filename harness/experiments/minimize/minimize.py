"""`minimize`, from what is asked to the folder of the result: the search with real runs, then the script with none."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harness.actors.context import uses_base
from harness.core.errors import Interrupted, ScenarioError, SubjectError, UsageError
from harness.core.outcome import ExitCode, Outcome
from harness.core.records import Action, Finding, Iteration
from harness.experiments.minimize.attempts import Attempt, Attempts
from harness.experiments.minimize.case import Case, case_of
from harness.experiments.minimize.measure import Measured, ScriptBroke, measure
from harness.experiments.minimize.orders import Around, around
from harness.experiments.minimize.result import rates, write
from harness.experiments.minimize.search import Minimized, MinimizeSearch, SearchLimits
from harness.experiments.minimize.sequential import Bounds
from harness.experiments.runner import LocalRunner, Runner
from harness.experiments.short_run import ShortRun, look
from harness.scenario import DaemonSpec, Scenario
from harness.store.folder import RunFolder
from harness.store.minimized import RATE, RESULT
from harness.toolchain import NEEDS, resolve

_FOREVER: Final = 2**31
_SHARE_OF_AN_ATTEMPT: Final = 1 / 6
"""The most that one attempt may take of the time, but never less than the next."""
_LEAST_SECONDS: Final = 60.0
_SHARE_OF_THE_SCRIPT: Final = 0.2
"""What is left of the time for the script's own attempts."""


class NoEvidence(UsageError):
    """A run in which nothing was found."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__(
            f"{folder.path} has no hang, and no other finding, with a signature to go by: minimize a run that has one, "
            "or its scenario"
        )


@dataclass(frozen=True)
class MinimizeRequest:
    """What is to be minimized, and how."""

    scenario: Scenario
    toolchain: str
    fixed: str | None
    seconds: float
    attempts: int
    """Of the script, with each toolchain."""
    bounds: Bounds = field(default_factory=Bounds)
    signature: str = ""
    """Of the hang, or of what else is hunted; empty: the first one's."""
    run: RunFolder | None = None
    """The run that it was found in."""


@dataclass(frozen=True)
class MinimizeAnswer:
    """A minimization that is over."""

    folder: str
    minimized: Minimized
    measured: tuple[Measured, ...]
    kind: str
    """What was looked for: a `hang`, a `failure`, and so on."""
    signature: str
    seconds: float
    """Of daemon time, in the search."""
    exit_code: ExitCode
    because: str


@dataclass
class Minimization:
    """One on its way."""

    asked: MinimizeRequest
    path: Path
    load: Callable[[Path], Scenario]
    """Reads a scenario's file."""
    report: Callable[[str], None]
    seed: int
    known: list[Attempt] = field(default_factory=list)
    argv: tuple[str, ...] = ()
    runner: Runner = field(default_factory=LocalRunner)
    """Who makes its short runs."""
    _loaded: dict[str, Scenario | None] = field(default_factory=dict)

    async def run(self) -> MinimizeAnswer:
        """Search, and measure what was found.

        Raises:
            NeverHangs: there is nothing to minimize.
            UsageError, InfraError: it cannot be done here.
            Interrupted: by the user; all attempts are saved.
        """
        scenario = self.asked.scenario
        attempts = Attempts(
            self.path, self.seed, self._take, self.asked.signature, known=self.known, report=self._report_attempt
        )
        limits = SearchLimits(self.asked.seconds * (1 - _SHARE_OF_THE_SCRIPT), self.asked.bounds)
        search = MinimizeSearch(attempts, limits, self._valid, self._around, self.report)
        found = await search.run(await case_of(scenario, self.path / "contexts"))
        return await self._conclude(found, attempts)

    async def _conclude(self, found: Minimized, attempts: Attempts) -> MinimizeAnswer:
        folder, because = self.path / RESULT, ""
        measured: list[Measured] = []
        kind = attempts.kind
        about = f"Minimized from {self.asked.scenario.name}; its {kind} is {attempts.signature or 'of no known kind'}."
        why = write(folder, found.case, about, kind)
        if not why:
            specs = [self.asked.toolchain, *([self.asked.fixed] if self.asked.fixed else [])]
            try:
                daemon = DaemonSpec.model_validate(found.case.scenario.get("daemon", {}))
                for spec in specs:
                    one = await measure(folder, spec, daemon, self.asked.attempts, kind, self.report)
                    measured.append(one)
            except (ScriptBroke, UsageError, SubjectError) as error:
                because = str(error)
        said = rates(
            found, why or because, measured, self.asked.bounds, f"{kind}: `{attempts.signature or 'no signature'}`"
        )
        (folder / RATE).write_text(said)
        if not because and not found.changes:
            because = "nothing could be left out"
        code = ExitCode.CLEAN if found.changes and not because else ExitCode.INCONCLUSIVE
        return MinimizeAnswer(
            folder=str(folder),
            minimized=found,
            measured=tuple(measured),
            kind=kind,
            signature=attempts.signature,
            seconds=attempts.seconds,
            exit_code=code,
            because=because or why,
        )

    def _report_attempt(self, attempt: Attempt, known: bool) -> None:
        look = attempt.look
        found = look.kind or Outcome.HANG
        said = found.upper() if attempt.hung else f"another {found}" if look.said == "hang" else look.said
        signature = f" {look.signature}" if look.signature else ""
        self.report(
            f"{attempt.seconds:6.0f}s  {said + signature:<24} {look.seconds:5.0f}s  {attempt.what[:90]}"
            f"{'  (known)' if known else ''}"
        )

    async def _take(self, case: Case, seed: int) -> ShortRun:
        scenario = self._scenario(case)
        if scenario is None:
            raise Interrupted
        longest = max(self.asked.seconds * _SHARE_OF_AN_ATTEMPT, _LEAST_SECONDS)
        stop = scenario.stop.model_copy(update={"time": min(scenario.stop.time or longest, longest)})
        return await look(
            scenario.model_copy(update={"stop": stop}),
            self.asked.toolchain,
            results=self.path / "runs",
            iterations=scenario.stop.iterations or _FOREVER,
            seed=seed,
            runner=self.runner,
            argv=self.argv,
            evidence="dumps",
        )

    def _valid(self, case: Case) -> bool:
        """Whether a case is a scenario that stands by itself: one whose base the harness would have to lay does not."""
        complete = not any(uses_base(context.dockerfile) for context in case.contexts.values())
        return complete and self._scenario(case) is not None

    def _scenario(self, case: Case) -> Scenario | None:
        """Return a case as a scenario that can be run; None where it is none."""
        if case.key not in self._loaded:
            folder = self.path / "cases" / case.key
            folder.mkdir(parents=True, exist_ok=True)
            try:
                self._loaded[case.key] = self.load(case.write(folder, linked=True))
            except ScenarioError:
                self._loaded[case.key] = None
        return self._loaded[case.key]

    def _around(self, attempts: Attempts, case: Case) -> Sequence[Around]:
        folders = [RunFolder(Path(attempt.look.folder)) for attempt in attempts.hung_with(case)]
        return [*self._seen_in([*folders, *([self.asked.run] if self.asked.run else [])])]

    def _seen_in(self, folders: Sequence[RunFolder]) -> Iterator[Around]:
        for folder in folders:
            found = {finding.iteration for finding in folder.each(Finding) if finding.hunted}
            yield from around(folder.read(Iteration), folder.read(Action), found)


async def with_kind(scenario: Scenario, *toolchains: str) -> Scenario:
    """Return the scenario with the kind of daemon that it is tried with, where that is not a plain buildkitd.

    All toolchains must be there, and have that daemon: else the search would be for nothing.

    Raises:
        UsageError, InfraError: one cannot be had, or has another daemon.
    """
    daemon = scenario.daemon
    kind = daemon.wanted_kind
    if kind is None or kind in NEEDS:
        first, *others = [await resolve(spec) for spec in toolchains]
        kind = kind or next(iter(first.kinds), "buildkitd")
        for toolchain in (first, *others):
            toolchain.require(kind)
    if kind != "dockerd" or daemon.kind:
        return scenario
    return scenario.model_copy(update={"daemon": daemon.model_copy(update={"kind": kind})})


def signature_in(folder: RunFolder) -> str:
    """Return the signature of the hang that a run found, or of what else it hunted and found.

    Raises:
        NoEvidence: it found none, or its evidence does not say.
    """
    summary = folder.summary()
    if not any(finding.hunted for finding in folder.each(Finding)) or not summary or not summary.diagnosis:
        raise NoEvidence(folder)
    return summary.diagnosis.signature
