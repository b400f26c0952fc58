"""A run in lines: for a log that people read, such as a CI job's, and for machines."""

import os
import threading
from collections import Counter
from dataclasses import asdict
from typing import Any, Final

from harness.cli.console import Console
from harness.cli.display.against import hold_against
from harness.cli.display.json_lines import machine_line
from harness.cli.display.summary import tell, tell_details, tell_verdict
from harness.cli.display.totals import Totals, time_left
from harness.cli.output import in_order, keep_telling
from harness.core.manifest import DaemonFacts
from harness.core.outcome import FAILURES, Outcome
from harness.core.records import Action, Finding, Iteration, Sample, Summary
from harness.core.units import format_duration
from harness.report.words import finding_line, merged_at
from harness.scenario import Scenario
from harness.store.folder import RunFolder
from harness.store.resume_point import ResumePoint

_LINE_SECONDS: Final = 30.0
_SILENT_SECONDS: Final = 2.0
_OF_A_KIND: Final = 3
"""Lines of one kind that are told in full."""
_ON_GITHUB: Final = os.environ.get("GITHUB_ACTIONS") == "true"
"""Its logs fold what stands between ``::group::`` and ``::endgroup::``."""


class PlainLines:
    """A line for what matters, and one every half minute for the rest: on standard error. The verdict is a result."""

    def __init__(self, console: Console, name: str, against: str | None = None) -> None:
        self._console, self._totals, self._against = console, Totals(), against
        self._before = f"[{name}] " if name else ""
        self._printed_at = 0.0
        self._scenario: Scenario | None = None
        self._over = threading.Event()
        self._counts: Counter[str] = Counter()
        self._now = ""
        """What is done at the moment beside building."""
        self._grouped = _ON_GITHUB and not name

    def doing(self, what: str) -> None:
        """Say it."""
        self._now = what
        self._say(what)

    def interrupted(self, what: str) -> None:
        """Say it, and until the run has ended every two seconds that it still goes on."""
        self._say(what)
        keep_telling(self._say, "ending", _SILENT_SECONDS, self._over)

    def started(self, scenario: Scenario, folder: RunFolder, facts: DaemonFacts, seed: int, past: ResumePoint) -> None:
        """Say what runs, and where its records are."""
        self._scenario, self._totals, self._now = scenario, Totals(past), ""
        self._printed_at = past.seconds
        if self._grouped:
            self._say(f"::group::{scenario.name}")
        self._say(f"{scenario.name}: {facts.kind} {facts.version} ({facts.toolchain}), seed {seed}, {folder.path}")
        if past.begun:
            self._say(f"going on after iteration {past.begun}, {format_duration(round(past.seconds, 1))} into the run")

    def iterated(self, iteration: Iteration) -> None:
        """Say what is out of the ordinary, and the sum of the rest."""
        self._totals.add(iteration)
        self._now = ""
        if iteration.outcome in {*FAILURES, Outcome.INFRA}:
            self._say_some(iteration.outcome, f"iteration {iteration.number}: {iteration.outcome}: {iteration.error}")
        if iteration.merged:
            at = merged_at(iteration.merged)
            self._say_some("merged", f"iteration {iteration.number}: merged into another build at {at}")
        self._sum_up()

    def acted(self, action: Action) -> None:
        """Say what did not work."""
        self._totals.act(action)
        if action.attempted and not action.succeeded:
            self._say_some(action.actor, f"{action.kind} {action.actor}: {action.detail}")

    def found(self, finding: Finding) -> None:
        """Say it at once."""
        self._totals.find(finding)
        self._say(finding_line(finding))

    def sampled(self, sample: Sample) -> None:
        """Keep it for the next line, which may be due though no build has ended."""
        self._totals.measure(sample)
        self._sum_up()

    def leave(self) -> None:
        """Say nothing more."""
        self._over.set()
        if self._grouped:
            self._say("::endgroup::")
        in_order()

    def finished(self, summary: Summary, folder: RunFolder) -> None:
        """Tell the verdict, after all that was said before."""
        self.leave()
        if self._before:
            self._say("")
        out = Console()
        if self._grouped:
            out.print("::group::what the verdict rests on")
            tell_details(out, folder, summary)
            out.print("::endgroup::")
            tell_verdict(out, folder, summary, self._against)
        else:
            tell(out, folder, summary, self._against)

    def _sum_up(self) -> None:
        totals, scenario = self._totals, self._scenario
        if scenario is None or totals.seconds - self._printed_at < _LINE_SECONDS:
            return
        self._printed_at = totals.seconds
        left = self._now or ("" if totals.hangs else f"left {time_left(scenario, totals)}")
        merged = f"merged {totals.merged}" if totals.merged else ""
        acts = "" if all(actor.builds for actor in scenario.actors) else f"acts {totals.act_line()}"
        parts = [
            totals.outcome_line(),
            merged,
            totals.rate_line(),
            left,
            acts,
            totals.daemon_line(),
        ]
        self._say(f"{format_duration(round(self._printed_at)):>7}  {'; '.join(part for part in parts if part)}")

    def _say_some(self, kind: str, line: str) -> None:
        """Say a line of a kind the first few times; how often it came is in every summing up."""
        self._counts[kind] += 1
        if self._counts[kind] <= _OF_A_KIND:
            self._say(line + (" (more of these are only counted)" if self._counts[kind] == _OF_A_KIND else ""))

    def _say(self, line: str) -> None:
        self._console.print(f"{self._before}{line}" if line else "", highlight=False, markup=False, soft_wrap=True)


class JsonLines:
    """Every event as one JSON object a line; ``event`` is its kind and, with several daemons, ``of`` its daemon."""

    def __init__(self, name: str, against: str | None = None) -> None:
        self._of, self._against = {"of": name} if name else {}, against

    def doing(self, what: str) -> None:
        """Write it."""
        self._write("doing", {"what": what})

    def interrupted(self, what: str) -> None:
        """Write it."""
        self._write("interrupted", {"what": what})

    def leave(self) -> None:
        """Write nothing more."""

    def started(self, scenario: Scenario, folder: RunFolder, facts: DaemonFacts, seed: int, past: ResumePoint) -> None:
        """Write it."""
        content = {"scenario": scenario.name, "folder": str(folder.path), "seed": seed, "daemon": asdict(facts)}
        content["past"] = asdict(past)
        self._write("started", content)

    def iterated(self, iteration: Iteration) -> None:
        """Write it."""
        self._write("iteration", asdict(iteration))

    def acted(self, action: Action) -> None:
        """Write it."""
        self._write("action", asdict(action))

    def found(self, finding: Finding) -> None:
        """Write it."""
        self._write("finding", asdict(finding))

    def sampled(self, sample: Sample) -> None:
        """Write it."""
        self._write("sample", asdict(sample))

    def finished(self, summary: Summary, folder: RunFolder) -> None:
        """Write it."""
        held = {"against": asdict(hold_against(summary, self._against))} if self._against else {}
        self._write("summary", asdict(summary) | held | {"folder": str(folder.path)})

    def _write(self, event: str, content: dict[str, Any]) -> None:
        machine_line(event, **(self._of | content))
