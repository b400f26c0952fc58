"""What a run leaves behind: frozen records, one table of the database each, and the summary; one format version.

Times are seconds since the run began, on the monotonic clock, unless a name says otherwise.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from harness.core.outcome import Ending, ExitCode, FindingKind, Outcome, Phase, Symptom, Verdict
from harness.core.units import one_in

FORMAT: Final = 1
"""Version of every file and table below; a reader refuses what is newer than itself."""


@dataclass(frozen=True)
class Rate:
    """Hangs per trial, with its two-sided 95 % interval: exact, or one that holds at every look (`watched_rate`)."""

    hangs: int
    trials: int
    low95: float
    high95: float
    unsettled: int = 0
    """Builds that we ended while they waited after their export, longer than any that returned: each may have hung."""

    def __str__(self) -> str:
        """Return it as a person reads it."""
        return f"{self.hangs:,} in {self.trials:,} builds that could have hung"

    @property
    def interval(self) -> str:
        """The interval as a person reads it."""
        return f"from {one_in(self.low95)} to {one_in(self.high95)}"


@dataclass(frozen=True)
class Birth:
    """A daemon of a run, as it came up."""

    generation: int
    """Which one of the run's it is, from 1; other records name it by this."""
    shard: int
    """Which of the daemons side by side it is, from 1."""
    at: float
    pid: int | None
    cores: tuple[int, ...]
    """Those that it was pinned to; none where it was not."""


@dataclass(frozen=True)
class Begun:
    """A build on its way; its record is replaced by the iteration's."""

    number: int
    actor: str
    args: Mapping[str, str]
    started: float
    generation: int = 1
    """Which daemon of the run it is built on, from 1."""


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
    """Who showed its outcome: its client, or the daemon's `history` of builds, after we had timed the client out."""
    generation: int = 1
    """Which daemon of the run it was built on, from 1."""
    released: float | None = None
    """Of a build that we timed out: when the daemon stopped listing it as running; None where that was not seen."""
    kill_due: float | None = None
    """When the client is due to be killed; recorded only where the daemon does not list running builds."""
    cut: float | None = None
    """When the build was cut off before it had ended; None where that is not known."""
    failure: str = ""
    """The signature of its error: without what differs from build to build; empty where it did not fail."""
    merged: tuple[str, ...] = ()
    """The steps that BuildKit merged into those of another build that does the same: begun here, taken over from it."""
    killed_at: str = ""
    """Where it stood as its own `kill` came, as `BuildMoment.point` has it; empty where none did."""
    killed_after: float = 0.0
    """Seconds from its coming there to that."""

    @property
    def tail(self) -> float | None:
        """Seconds from the export's completion to the client's exit."""
        return None if self.exited is None or self.exported is None else self.exited - self.exported


@dataclass(frozen=True)
class BuildMoment:
    """How far a build had come as an actor acted."""

    iteration: int
    point: str
    """What it had come to last: a phase, a step, or a step and what had become of it."""
    since: float
    """Seconds from then to the act."""
    followed: bool
    """Whether the act was aimed at this build, or followed it; else it was merely in flight."""


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
    generation: int = 1
    """Which daemon of the run it was done to, from 1."""
    effect: int | None = None
    """How much it changed: bytes or records removed, 0 where that was nothing; None where its kind does not say."""
    attempted: bool = True
    """False where the run ended before it was done, or the daemon has nothing of the kind: that says nothing of it."""
    moments: tuple[BuildMoment, ...] = ()
    """Where the build stood that it was aimed at or followed; of an act that goes by the clock, where each stood."""

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
    disk_free: int | None = None
    """Bytes that the daemon's root and the run's records may still grow by, on the fuller of their disks."""
    generation: int = 1
    """Which daemon of the run it is of, from 1."""


@dataclass(frozen=True)
class Finding:
    """Something that a scenario may hunt, such as a hang, as observed when it was found."""

    iteration: int
    """The iteration; for a finding without a build, such as a death, the last iteration that had begun."""
    kind: FindingKind
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
    generation: int = 1
    """Which daemon of the run it is of, from 1."""
    seen_by: str = "client"
    """`client`, which waited; or `history`: of a build that we timed out, the daemon holds the record to be running."""
    detail: str = ""
    """The error that a client told, how a daemon ended, what an act was to do, or what of the graph does not fit."""

    @property
    def place(self) -> str:
        """The folder of its evidence, within the run's: those of one build and of its daemon are two."""
        return f"findings/{self.iteration}" if self.is_builds else f"findings/{self.iteration}-{self.kind}"

    @property
    def is_builds(self) -> bool:
        """Whether it is of a build, and not of the daemon or of an act."""
        return self.kind not in {Symptom.DEATH, Symptom.ACT, Symptom.GROWTH, Symptom.INCONSISTENCY}


@dataclass(frozen=True)
class GoroutineGroup:
    """Goroutines that were made at one place, and are in one state at one place."""

    creator: str
    """The function that made them; empty of the first one, and of the runtime's own."""
    state: str
    function: str
    """The innermost call that is not of Go's own."""
    count: int


@dataclass(frozen=True)
class Arrivals:
    """Goroutines that were made at one place, and last since this audit."""

    creator: str
    """As of `GoroutineGroup`."""
    ids: tuple[int, ...]
    """Go gives none twice."""


@dataclass(frozen=True)
class Audit:
    """What a daemon held while no build of ours was in it."""

    iteration: int
    """The last one that had begun; all had ended."""
    series: int
    """Which process of the daemon it is, from 1: growth is only within one, but of what lies on the disk."""
    at: float
    held: float
    """Seconds for which no build could begin."""
    quiet: bool
    """Whether the number of goroutines had come to rest; other actors go on, and may not let it."""
    goroutines: int | None
    lasting: int | None
    """How many of them an audit some ten seconds before had seen too; None where there was none."""
    groups: tuple[GoroutineGroup, ...]
    """The largest ones of those that last."""
    open_files: int | None
    rss: int | None
    """Resident bytes of the daemon's processes."""
    running: int | None
    """Build records that the daemon holds to be running: builds whose clients are gone."""
    cache: int | None = None
    """Records in the daemon's cache; None where it did not say, or was asked less than a minute before."""
    graph_keys: int | None = None
    """Keys in the solver's cache graph; None where its database could not be read."""
    graph_faults: tuple[str, ...] = ()
    """What of the graph contradicts itself."""
    generation: int = 1
    """Which daemon of the run it is of, from 1."""
    heap: int | None = None
    """Bytes of its heap in use after a garbage collection; None where that was not asked for (`audit.memory`)."""
    disk: int | None = None
    """Bytes on disk below its root once everything was pruned (`audit.disk`)."""
    kept_records: int | None = None
    """Records in its cache once everything was pruned (`audit.disk`)."""
    build_seconds: float | None = None
    """The median of the builds that succeeded since the audit before."""
    idle_cores: float | None = None
    """Cores that its processes used while nobody asked it anything (`audit.cpu`)."""
    came: tuple[Arrivals, ...] = ()
    """Those that last now, and did not at the audit before; of the first that could tell, all that last."""
    gone: tuple[int, ...] = ()
    """The ids of those that lasted at the audit before, and are not there any more."""


@dataclass(frozen=True)
class Growing:
    """Whether something that audits count grows with a daemon's builds, and by how much a build."""

    what: str
    unit: str
    """`B`, `s`, `cores`, or nothing for what is merely counted."""
    verdict: Literal["yes", "no", "unclear"]
    per_iteration: float
    low95: float
    high95: float
    more: int | None = None
    """About how many more iterations would tell, where it is unclear."""


@dataclass(frozen=True)
class Leak:
    """Whether a daemon's lasting goroutines grow with its builds, by how many a build, and what makes them."""

    verdict: Literal["yes", "no", "unclear"]
    per_iteration: float
    low95: float
    high95: float
    bucket: str | None
    """The function that makes most of those that stay, or grow; None where nothing does."""
    more: int | None = None
    """About how many more iterations would tell, where it is unclear."""
    stayed: int | None = None
    """Goroutines, told apart by their ids, that came while they were watched and stayed to the last audit."""


@dataclass(frozen=True)
class GraphState:
    """Whether the solver's cache graph was consistent whenever its database was read: at audits and at findings."""

    reads: int
    inconsistent: int
    """In how many of them something contradicted itself."""
    faults: tuple[str, ...]
    """What did, the first few."""


@dataclass(frozen=True)
class ActorTotals:
    """What the acts of one actor came to."""

    kind: str
    acts: int
    """How many it attempted."""
    done: int
    effective: int
    """How many of them changed something, as far as their kind says."""
    effect: int | None
    """How much they changed together; None where their kind does not say."""
    reason: str = ""
    """Of those that were not done, the commonest reason."""


@dataclass(frozen=True)
class FirstHang:
    """The figure that a user quotes."""

    iteration: int
    seconds: float
    build: str
    args: Mapping[str, str]
    kind: FindingKind
    seen_by: str = "client"


@dataclass(frozen=True)
class FailureCount:
    """Errors of one kind, by their signature."""

    text: str
    """The signature: an error without what differs from build to build."""
    outcome: Outcome
    """`failed`, or `late_failure`: the export had completed before."""
    count: int
    first: int
    """The iteration that told it first."""
    example: str
    """What that told."""
    rate: Rate
    """Among the builds whose clients ended by themselves."""


Said = Literal["yes", "no", "not asked"]


@dataclass(frozen=True)
class AftermathAnswer:
    """What a hung daemon did when it was asked."""

    said: Said
    seconds: float
    detail: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What keeps a daemon from going on, read from its goroutines."""

    kind: str
    """`livelock`, `deadlock`, `lost wake-up`, `client side`, `frozen`, `slow`, `idle`, or `unknown`."""
    because: str
    signature: str
    """The name of what is known; of what is not, one that another run of the same gets too."""
    known: bool
    fixed_in: Mapping[str, str]
    """The first version with the fix, by product: `BuildKit`, `Engine`."""
    link: str
    sentence: str
    """All of it to a person."""
    goroutines: tuple[int, ...]
    """The ids of those that say so."""
    frames: tuple[str, ...]
    """The functions that they have in common, the innermost first; Go's own are left out."""


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
    aftermath: Mapping[str, AftermathAnswer] = field(default_factory=dict)
    """The answers of a daemon that hung, by question."""
    diagnosis: Diagnosis | None = None
    """What the evidence of the first finding comes to."""
    left_behind: tuple[str, ...] = ()
    """What could not be ended or removed; `repro clean` tries again."""
    leak: Leak | None = None
    """None where too few audits say anything."""
    actors: Mapping[str, ActorTotals] = field(default_factory=dict)
    """What the acts of each actor that is no build came to, by its name."""
    graph: GraphState | None = None
    """None where its database was never read."""
    merged: int = 0
    """Builds of which a step was merged into another build's."""
    first_finding: FirstHang | None = None
    """The first that the scenario hunts, of whatever kind; else the first."""
    growths: tuple[Growing, ...] = ()
    """What else than goroutines audits have counted often enough."""
    failures: tuple[FailureCount, ...] = ()
    """The errors of builds, the commonest kind first; at most twenty kinds."""
    hunts: tuple[str, ...] = ("hang",)
    """The kinds of finding that the scenario looks for."""
    symptoms: Mapping[str, Rate] = field(default_factory=dict)
    """How often findings came that are neither hangs nor stalls, by kind: failures and deaths per build, acts per act.
    """
