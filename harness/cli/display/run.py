"""What a run shows while it goes on: a live view on a terminal, plain lines elsewhere, or machine lines."""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from time import monotonic
from typing import Any, Final, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.analysis.rates import excluded_rate, quantile
from harness.cli.display.against import hold_against
from harness.cli.display.json_lines import machine_line
from harness.cli.display.summary import tell
from harness.core.outcome import Outcome
from harness.core.records import Action, Finding, Iteration, Sample, Summary
from harness.core.units import format_duration, format_size
from harness.daemons.base import Daemon
from harness.report.words import finding_line, shown_seconds
from harness.run.observer import Reporter
from harness.run.session import SAMPLE_SECONDS
from harness.scenario import Scenario
from harness.store.folder import RunFolder
from harness.store.resume_point import NOTHING_YET, ResumePoint

_TAILS_KEPT: Final = 1000
_REFRESH_HZ: Final = 2
_LINE_SECONDS: Final = 10.0


class Screen(Reporter, Protocol):
    """An audience that is also told the end."""

    def finished(self, summary: Summary, folder: RunFolder) -> None:
        """Tell the verdict."""
        ...


@contextmanager
def screen(*, as_json: bool, several: bool, against: str | None = None) -> Iterator[Callable[[str], Screen]]:
    """Yield what shows a run to the user, by its daemon's name: machine lines, a live view, or plain lines.

    The live view is for a terminal; several runs side by side share it in plain lines. In the end, each is held against
    a rate if one is given.
    """
    console = Console()
    if as_json:
        yield cache(lambda name: JsonLines(name, against))
    elif console.is_terminal and not several:
        view = LiveView(console, against)
        try:
            yield lambda _: view
        finally:
            view.stop()
    else:
        yield cache(lambda name: PlainLines(console, name, against))


class Totals:
    """What a run came to so far; the tails are those of the last thousand builds."""

    def __init__(self, past: ResumePoint = NOTHING_YET) -> None:
        self.outcomes = Counter({Outcome(name): count for name, count in past.outcomes.items()})
        self.actions: Counter[str] = Counter()
        self.tails: deque[float] = deque(maxlen=_TAILS_KEPT)
        self.trials = past.trials
        self._samples: dict[int, Sample] = {}
        self.began = monotonic() - past.seconds

    def add(self, iteration: Iteration) -> None:
        """Count one iteration."""
        self.outcomes[iteration.outcome] += 1
        if iteration.outcome is Outcome.OK and iteration.tail is not None:
            self.trials += 1
            self.tails.append(iteration.tail)

    def correct(self, finding: Finding) -> None:
        """Count an iteration otherwise than before, where the daemon showed only later what became of it."""
        if finding.seen_by == "history":
            self.outcomes[Outcome.TIMED_OUT] -= 1
            self.outcomes[finding.kind] += 1

    def measure(self, sample: Sample) -> None:
        """Take a sample in the place of the daemon's last one."""
        self._samples[sample.generation] = sample
        self._samples = {each.generation: each for each in self.now}

    @property
    def now(self) -> list[Sample]:
        """The last samples of the daemons that there are now."""
        latest = max((sample.at for sample in self._samples.values()), default=0.0)
        return [sample for sample in self._samples.values() if sample.at > latest - 1.5 * SAMPLE_SECONDS]

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return monotonic() - self.began

    def outcome_line(self) -> str:
        """Return the counts of the outcomes that came."""
        return "  ".join(f"{outcome} {self.outcomes[outcome]}" for outcome in Outcome if self.outcomes[outcome]) or "–"

    def tail_line(self) -> str:
        """Return the median and the 99th percentile."""
        tails = [*self.tails]
        return f"p50 {shown_seconds(quantile(tails, 0.5))}  p99 {shown_seconds(quantile(tails, 0.99))}"

    def daemon_line(self) -> str:
        """Return what the daemon uses; of several side by side, the sums."""
        cores = [sample.cpu for sample in self.now if sample.cpu is not None]
        bytes_ = [sample.rss for sample in self.now if sample.rss is not None]
        counts = [sample.goroutines for sample in self.now if sample.goroutines is not None]
        cpu = f"{sum(cores):.2f} cores" if cores else "–"
        memory = format_size(sum(bytes_)) if bytes_ else "–"
        goroutines = str(sum(counts)) if counts else "–"
        return f"cpu {cpu}  memory {memory}  goroutines {goroutines}"

    def excluded_line(self) -> str:
        """Return the hang rate that the run excludes so far."""
        if self.outcomes[Outcome.HANG]:
            return "a hang was found"
        return f"above {excluded_rate(self.trials):.2g} per build, at 95 % ({self.trials} trials)"


def time_left(scenario: Scenario, totals: Totals) -> str:
    """Return how long the run goes on, by whichever end comes first at the pace so far."""
    ends = []
    done, seconds = totals.outcomes.total(), totals.seconds
    if scenario.stop.iterations is not None and done:
        ends.append((scenario.stop.iterations - done) * seconds / done)
    if scenario.stop.time is not None:
        ends.append(scenario.stop.time - seconds)
    return format_duration(max(0.0, round(min(ends)))) if ends else "–"


class PlainLines:
    """A line for what matters, and one every ten seconds for the rest."""

    def __init__(self, console: Console, name: str, against: str | None = None) -> None:
        self._console, self._totals, self._against = console, Totals(), against
        self._before = f"[{name}] " if name else ""
        self._said = 0.0

    def preparing(self, what: str) -> None:
        """Say it."""
        self._say(f"preparing {what}")

    def started(self, scenario: Scenario, folder: RunFolder, daemon: Daemon, seed: int, past: ResumePoint) -> None:
        """Say what runs, and where its records are."""
        self._totals = Totals(past)
        self._said = past.seconds
        facts = daemon.facts
        self._say(f"{scenario.name}: {facts.kind} {facts.version} ({facts.toolchain}), seed {seed}, {folder.path}")
        if past.begun:
            self._say(f"going on after iteration {past.begun}, {format_duration(round(past.seconds, 1))} into the run")

    def iterated(self, iteration: Iteration) -> None:
        """Say what is out of the ordinary, and the sum of the rest."""
        self._totals.add(iteration)
        if iteration.outcome in (Outcome.FAILED, Outcome.INFRA):
            self._say(f"iteration {iteration.number}: {iteration.outcome}: {iteration.error}")
        if self._totals.seconds - self._said >= _LINE_SECONDS:
            self._said = self._totals.seconds
            parts = (self._totals.outcome_line(), f"tail {self._totals.tail_line()}", self._totals.daemon_line())
            self._say(f"{format_duration(round(self._said)):>7}  {'  '.join(parts)}")

    def acted(self, action: Action) -> None:
        """Say what did not work."""
        if not action.succeeded:
            self._say(f"{action.kind} {action.actor}: {action.detail}")

    def found(self, finding: Finding) -> None:
        """Say it at once."""
        self._totals.correct(finding)
        self._say(finding_line(finding))

    def sampled(self, sample: Sample) -> None:
        """Keep it for the next line."""
        self._totals.measure(sample)

    def finished(self, summary: Summary, folder: RunFolder) -> None:
        """Tell the verdict."""
        if self._before:
            self._console.print()
        tell(self._console, folder, summary, self._against)

    def _say(self, line: str) -> None:
        self._console.print(f"{self._before}{line}", highlight=False, markup=False, soft_wrap=True)


class JsonLines:
    """Every event as one JSON object a line, told apart by its key ``event``; of several daemons, by ``of`` too."""

    def __init__(self, name: str, against: str | None = None) -> None:
        self._of, self._against = {"of": name} if name else {}, against

    def preparing(self, what: str) -> None:
        """Write it."""
        self._write("preparing", {"what": what})

    def started(self, scenario: Scenario, folder: RunFolder, daemon: Daemon, seed: int, past: ResumePoint) -> None:
        """Write it."""
        facts = {"scenario": scenario.name, "folder": str(folder.path), "seed": seed, "daemon": asdict(daemon.facts)}
        facts["past"] = asdict(past)
        self._write("started", facts)

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


class LiveView:
    """A view on a terminal that is drawn anew twice a second; findings stay above it."""

    def __init__(self, console: Console, against: str | None = None) -> None:
        self._console, self._totals, self._against = console, Totals(), against
        self._live: Live | None = None
        self._status = console.status("")
        self._title = ""
        self._scenario: Scenario | None = None

    def preparing(self, what: str) -> None:
        """Show that something takes a while."""
        if self._live:
            self._say(what, "dim")
            return
        self._status.update(f"preparing {what}")
        self._status.start()

    def started(self, scenario: Scenario, folder: RunFolder, daemon: Daemon, seed: int, past: ResumePoint) -> None:
        """Begin to draw."""
        self._status.stop()
        facts = daemon.facts
        self._scenario, self._totals = scenario, Totals(past)
        self._title = f"{scenario.name}  {facts.kind} {facts.version} ({facts.toolchain})  seed {seed}\n{folder.path}"
        self._live = Live(get_renderable=self._draw, console=self._console, refresh_per_second=_REFRESH_HZ)
        self._live.start()

    def iterated(self, iteration: Iteration) -> None:
        """Count it; failures stay on the screen."""
        self._totals.add(iteration)
        if iteration.outcome in (Outcome.FAILED, Outcome.INFRA):
            self._say(f"iteration {iteration.number}: {iteration.outcome}: {iteration.error}", "yellow")

    def acted(self, action: Action) -> None:
        """Count it."""
        self._totals.actions[f"{action.kind} {action.actor}"] += 1

    def found(self, finding: Finding) -> None:
        """Leave it on the screen."""
        self._totals.correct(finding)
        self._say(finding_line(finding), "bold red")

    def sampled(self, sample: Sample) -> None:
        """Show it."""
        self._totals.measure(sample)

    def finished(self, summary: Summary, folder: RunFolder) -> None:
        """Stop drawing, and tell the verdict."""
        self.stop()
        tell(self._console, folder, summary, self._against)

    def stop(self) -> None:
        """Give the terminal back."""
        self._status.stop()
        if self._live:
            self._live.stop()
            self._live = None

    def _say(self, line: str, style: str) -> None:
        self._console.print(Text(line, style=style))

    def _draw(self) -> Group:
        totals, scenario = self._totals, self._scenario
        done, seconds = totals.outcomes.total(), totals.seconds
        table = Table.grid(padding=(0, 2))
        minute = f"{60 * done / seconds:.0f} a minute" if seconds else ""
        running = sum(sample.running for sample in totals.now)
        left = time_left(scenario, totals) if scenario else "–"
        for name, value in (
            ("iterations", f"{done}  {minute}  running {running}  left {left}"),
            ("outcomes", totals.outcome_line()),
            ("tail", totals.tail_line()),
            ("actions", "  ".join(f"{name} {count}" for name, count in totals.actions.items()) or "–"),
            ("daemon", totals.daemon_line()),
            ("excluded", totals.excluded_line()),
        ):
            table.add_row(Text(name, style="dim"), Text(value))
        return Group(Text(self._title, style="bold"), table)
