"""What a run leaves behind: frozen records, one table of the database each, and the summary; one format version.

Times are seconds since the run began, on the monotonic clock, unless a name says otherwise.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from harness.outcome import Ending, ExitCode, Outcome, Phase, Verdict
from harness.stats import Rate

FORMAT: Final = 1
"""Version of every file and table below; a reader refuses what is newer than itself."""


@dataclass(frozen=True)
class Iteration:
    """One build attempt."""

    number: int
    actor: str
    args: Mapping[str, str]
    outcome: Outcome
    started: float
    solving: float | None
    exporting: float | None
    exported: float | None
    exited: float | None
    killed: float | None
    """When we sent the signal that the scenario asked for."""
    returncode: int | None
    error: str = ""
    seen_by: str = "client"

    @property
    def tail(self) -> float | None:
        """Seconds from the export's completion to the client's exit."""
        return None if self.exited is None or self.exported is None else self.exited - self.exported


@dataclass(frozen=True)
class Action:
    """One act of an actor that is no build."""

    actor: str
    kind: str
    count: int
    due: float
    """When what called for it came, and its delay had passed."""
    started: float
    acted: float | None
    """When it took effect, such as the signal sent or the client started; None where it could not be done."""
    ended: float
    """When it was done, and healed."""
    succeeded: bool
    detail: str

    @property
    def lag(self) -> float | None:
        """Seconds from what called for it to its taking effect."""
        return None if self.acted is None else self.acted - self.due


@dataclass(frozen=True)
class Sample:
    """How the daemon, the host and the harness were at one time."""

    at: float
    cpu: float | None
    """Cores that the daemon's processes used since the last sample."""
    rss: int | None
    """Resident bytes of the daemon's processes."""
    goroutines: int | None
    running: int
    """Builds in flight."""
    lag: float
    """The latest that our own heartbeat came since the last sample, in seconds."""
    unattended: float
    """Seconds so far that do not count towards a threshold, because we or the host were held up."""
    own_cpu: float
    """Cores that the harness itself used since the last sample."""
    own_rss: int


@dataclass(frozen=True)
class Finding:
    """A hang or a stall, as it was when it was seen."""

    iteration: int
    kind: Outcome
    at: float
    actor: str
    args: Mapping[str, str]
    phase: Phase
    waited: float
    """Attended seconds without the event that was due."""
    completed_steps: int
    last_progress: tuple[str, ...]
    hunted: bool
    """Whether the scenario's verdict goes by findings of this kind."""


@dataclass(frozen=True)
class FirstHang:
    """The figure that a user quotes."""

    iteration: int
    seconds: float
    build: str
    args: Mapping[str, str]
    kind: Outcome


Said = Literal["yes", "no", "not asked"]


@dataclass(frozen=True)
class Answer:
    """What a hung daemon did when it was asked."""

    said: Said
    seconds: float
    detail: str = ""


@dataclass(frozen=True)
class Summary:
    """A finished run, in one object; `summary.json`."""

    format: int
    scenario: str
    daemon: Mapping[str, Any]
    seed: int
    verdict: Verdict
    because: str
    ending: Ending
    exit_code: ExitCode
    iterations: int
    outcomes: Mapping[str, int]
    first_hang: FirstHang | None
    first_stall: FirstHang | None
    rate: Rate
    tail_seconds: Mapping[str, float | None]
    seconds: float
    iterations_per_minute: float
    unattended_seconds: float
    aftermath: Mapping[str, Answer] = field(default_factory=dict)
    """The answers of a daemon that hung, by question."""
    left_behind: tuple[str, ...] = ()
    """What could not be ended or removed; `repro clean` tries again."""
