"""How far a run has come that goes on: what its screen shows, read from its folder."""

from collections import deque
from dataclasses import dataclass
from typing import Any

from harness.analysis.rates import excluded_rate
from harness.core.errors import StoreError
from harness.core.records import Finding
from harness.core.units import format_duration, one_in, parse_duration
from harness.report.door import scenario_of
from harness.scenario.dump import export_hang_of
from harness.store import aggregate
from harness.store.folder import RunFolder
from harness.store.salvage import Salvage


@dataclass(frozen=True)
class RunProgress:
    """A run so far."""

    seconds: float
    """Since it began, by its last record."""
    iterations: int
    hangs: int
    trials: int
    left: float | None
    """Seconds to the first of its bounds, at the pace so far; None where that cannot be told."""
    now: str
    """What is done at the moment beside building; mostly nothing."""

    @property
    def per_minute(self) -> float:
        """Iterations a minute."""
        return 60 * self.iterations / self.seconds if self.seconds else 0.0

    @property
    def bound(self) -> str:
        """How often builds hang, as far as that is known by now."""
        if self.hangs:
            return f"{self.hangs:,} hung"
        if not self.trials:
            return "no build has counted yet"
        ruled_out = one_in(excluded_rate(self.trials))
        return f"no hang in {self.trials:,} builds: {ruled_out} or more often is ruled out (95 % sure)"

    @property
    def parts(self) -> list[str]:
        """What there is to say, each by itself."""
        pace = f"{self.iterations:,} builds, {self.per_minute:.0f} a minute"
        left = [f"about {format_duration(round(self.left))} left"] if self.left is not None and not self.hangs else []
        return [f"{format_duration(round(self.seconds))} so far", pace, self.bound, *left, *filter(None, [self.now])]


def progress_of(folder: RunFolder) -> RunProgress | None:
    """Return how far a run has come; None where it has no records yet, or they cannot be read."""
    salvage = Salvage()
    written: dict[str, Any] = salvage(lambda: scenario_of(folder.path), {})
    try:
        seconds, iterations = aggregate.last_time(folder), aggregate.iterations(folder)
        lives = aggregate.lives(folder, export_hang_of(written))
        found = aggregate.finding_counts(folder)
        now = _now(folder)
    except StoreError:
        return None
    return RunProgress(
        seconds=seconds,
        iterations=iterations,
        hangs=found.get("hang", 0),
        trials=sum(lives.trials),
        left=_left(written.get("stop"), seconds, iterations),
        now=now,
    )


def _left(stop: Any, seconds: float, iterations: int) -> float | None:
    """Return the seconds to the first bound that a scenario sets."""
    if not isinstance(stop, dict):
        return None
    ends = []
    try:
        if stop.get("time") is not None:
            ends.append(parse_duration(stop["time"]) - seconds)
        if stop.get("iterations") is not None and iterations:
            ends.append((int(stop["iterations"]) - iterations) * seconds / iterations)
    except (TypeError, ValueError):
        return None
    return max(0.0, min(ends)) if ends else None


def _now(folder: RunFolder) -> str:
    """Return of what finding evidence is being captured."""
    last = next(iter(deque(folder.each(Finding), maxlen=1)), None)
    if last is None or (folder.path / last.place / "captured.json").exists():
        return ""
    files = sum(1 for file in (folder.path / last.place).glob("*") if file.is_file())
    return f"capturing the evidence of iteration {last.iteration}: {files} files so far"
