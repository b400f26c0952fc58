"""What a run came to so far, in lines: what both a live view and a log show."""

from collections import Counter, deque
from time import monotonic
from typing import Final

from harness.analysis.rates import excluded_rate, quantile
from harness.core.outcome import FAILURES, Outcome
from harness.core.records import Action, Finding, Iteration, Sample
from harness.core.units import format_duration, format_size, one_in
from harness.report.words import shown_seconds
from harness.run.session import SAMPLE_SECONDS
from harness.scenario import Scenario
from harness.store.resume_point import NOTHING_YET, ResumePoint

_TAILS_KEPT: Final = 1000


class Totals:
    """What a run came to so far; the tails are those of the last thousand builds."""

    def __init__(self, past: ResumePoint = NOTHING_YET) -> None:
        self.outcomes = Counter({Outcome(name): count for name, count in past.outcomes.items()})
        self.failures: Counter[str] = Counter()
        """Errors of builds, by their signature."""
        self.merged = 0
        """Builds of which a step was merged into another build's."""
        self.merged_steps: tuple[str, ...] = ()
        """Those of the last one."""
        self.acts: Counter[str] = Counter()
        self.idle: Counter[str] = Counter()
        """Acts that changed nothing, or could not be done."""
        self.hangs: list[int] = []
        """The iterations that hung, as they were found."""
        self.tails: deque[float] = deque(maxlen=_TAILS_KEPT)
        self.trials = past.trials
        self._samples: dict[int, Sample] = {}
        self.began = monotonic() - past.seconds

    def add(self, iteration: Iteration) -> None:
        """Count one iteration."""
        self.outcomes[iteration.outcome] += 1
        if iteration.merged:
            self.merged, self.merged_steps = self.merged + 1, iteration.merged
        if iteration.outcome in FAILURES:
            self.failures[iteration.failure] += 1
        if iteration.outcome is Outcome.OK and iteration.tail is not None:
            self.trials += 1
            self.tails.append(iteration.tail)

    def act(self, action: Action) -> None:
        """Count an act, and whether it changed anything."""
        if action.attempted:
            self.acts[action.actor] += 1
            self.idle[action.actor] += not action.succeeded or action.effect == 0

    def find(self, finding: Finding) -> None:
        """Take a finding; its iteration is counted otherwise than before where only the daemon showed it."""
        if finding.kind is Outcome.HANG:
            self.hangs.append(finding.iteration)
        if finding.seen_by == "history":
            self.outcomes[Outcome.TIMED_OUT] -= 1
            self.outcomes[Outcome(finding.kind)] += 1

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

    def act_line(self) -> str:
        """Return how often each actor acted, and how often without effect."""
        parts = (
            f"{name} {count}" + (f" ({self.idle[name]} without effect)" if self.idle[name] else "")
            for name, count in self.acts.items()
        )
        return "  ".join(parts) or "–"

    def rate_line(self) -> str:
        """Return how many builds hung so far; as long as none did, what that rules out."""
        if self.hangs:
            numbers = ", ".join(map(str, self.hangs[:3])) + (" …" if len(self.hangs) > 3 else "")
            return f"{len(self.hangs)} hung, iteration {numbers}"
        if not self.trials:
            return "no build has counted yet"
        often = one_in(excluded_rate(self.trials))
        return f"no hang in {self.trials:,} builds: {often} or more often is ruled out"


def time_left(scenario: Scenario, totals: Totals) -> str:
    """Return how long the run goes on, by whichever end comes first at the pace so far; until there is one, nothing."""
    stop, done, seconds = scenario.stop, totals.outcomes.total(), totals.seconds
    if stop.iterations is not None and not done:
        return "–"
    ends = [(stop.iterations - done) * seconds / done] if stop.iterations is not None else []
    ends += [stop.time - seconds] if stop.time is not None else []
    return format_duration(max(0.0, round(min(ends))))
