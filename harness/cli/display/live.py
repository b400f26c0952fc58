"""A run on a terminal: a view that is drawn anew."""

from typing import Final

from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.cli.console import Console, Group
from harness.cli.display.summary import tell
from harness.cli.display.totals import Totals, time_left
from harness.cli.output import in_order
from harness.core.manifest import DaemonFacts
from harness.core.outcome import FAILURES, Outcome
from harness.core.records import Action, Finding, Iteration, Sample, Summary
from harness.core.units import format_duration
from harness.report.words import failures_line, finding_line, merged_line
from harness.scenario import Scenario
from harness.store.folder import RunFolder
from harness.store.resume_point import ResumePoint

_REFRESH_HZ: Final = 2


class LiveView:
    """A view on a terminal that is drawn anew twice a second; findings stay above it, and the verdict comes below."""

    def __init__(self, console: Console, against: str | None = None) -> None:
        self._console, self._totals, self._against = console, Totals(), against
        self._live: Live | None = None
        self._status = console.status("")
        self._title = ""
        self._now = ""
        """What is done at the moment beside building."""
        self._ending = False
        self._scenario: Scenario | None = None

    def doing(self, what: str) -> None:
        """Show that something takes a while."""
        self._now = what
        if not self._live:
            self._status.update(Text(what))
            self._status.start()

    def interrupted(self, what: str) -> None:
        """Leave it on the screen; the view goes on until the run has ended."""
        self._say(what, "yellow")
        self._ending = True
        self.doing("ending")

    def started(self, scenario: Scenario, folder: RunFolder, facts: DaemonFacts, seed: int, past: ResumePoint) -> None:
        """Begin to draw."""
        self._status.stop()
        self._scenario, self._totals, self._now = scenario, Totals(past), ""
        self._title = f"{scenario.name}  {facts.kind} {facts.version} ({facts.toolchain})  seed {seed}\n{folder.path}"
        self._live = Live(get_renderable=self._draw, console=self._console, refresh_per_second=_REFRESH_HZ)
        self._live.start()

    def iterated(self, iteration: Iteration) -> None:
        """Count it; failures stay on the screen."""
        self._totals.add(iteration)
        if not self._ending:
            self._now = ""
        if iteration.outcome in {*FAILURES, Outcome.INFRA}:
            self._say(f"iteration {iteration.number}: {iteration.outcome}: {iteration.error}", "yellow")

    def acted(self, action: Action) -> None:
        """Count it."""
        self._totals.act(action)

    def found(self, finding: Finding) -> None:
        """Leave it on the screen."""
        self._totals.find(finding)
        self._say(finding_line(finding), "bold red")

    def sampled(self, sample: Sample) -> None:
        """Show it."""
        self._totals.measure(sample)

    def finished(self, summary: Summary, folder: RunFolder) -> None:
        """Stop drawing, and tell the verdict."""
        self.leave()
        tell(Console(), folder, summary, self._against)

    def leave(self) -> None:
        """Give the terminal back."""
        self._status.stop()
        if self._live:
            self._live.stop()
            self._live = None
        in_order()

    def _say(self, line: str, style: str) -> None:
        self._console.print(Text(line, style=style))

    def _draw(self) -> Group:
        totals, scenario = self._totals, self._scenario
        done, seconds = totals.outcomes.total(), totals.seconds
        table = Table.grid(padding=(0, 2))
        minute = f"{60 * done / seconds:.0f} a minute" if seconds else ""
        running = sum(sample.running for sample in totals.now)
        elapsed = format_duration(round(seconds))
        left = f"left {time_left(scenario, totals)}" if scenario and not totals.hangs and not self._now else ""
        for name, value in (
            ("time", f"{elapsed}  {left}"),
            ("builds", f"{done}  {minute}  running {running}"),
            ("outcomes", totals.outcome_line()),
            ("hangs", totals.rate_line()),
            ("acts", totals.act_line()),
            ("tail", totals.tail_line()),
            ("daemon", totals.daemon_line()),
            *([("merged", merged_line(totals.merged, totals.merged_steps))] if totals.merged else ()),
            *([("failures", failures_line(totals.failures.most_common()))] if totals.failures else ()),
            ("now", self._now or "building"),
        ):
            table.add_row(Text(name, style="dim"), Text(value))
        return Group(Text(self._title, style="bold"), table)
