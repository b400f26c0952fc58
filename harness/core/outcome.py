"""The words for what happened: phases of a build, outcomes of an iteration, verdicts of a run, exit codes."""

from collections.abc import Iterable
from enum import IntEnum, StrEnum
from typing import Final


class Phase(StrEnum):
    """Where a build stands, read from its progress stream; declared in the order in which they come."""

    STARTED = "started"
    SOLVING = "solving"
    EXPORTING = "exporting"
    EXPORTED = "exported"
    EXITED = "exited"


class StepState(StrEnum):
    """What has just become of a step of a build."""

    STARTED = "started"
    COMPLETED = "completed"
    CACHED = "cached"
    """Completed, and nothing was done for it."""
    MERGED = "merged"
    """Begun by this build, and then taken over from another build that does the same, whose result it has now."""


class Outcome(StrEnum):
    """What became of one iteration."""

    OK = "ok"
    TIMED_OUT = "timed_out"
    """We killed the client, as the scenario asked."""
    FAILED = "failed"
    """The build reported an error."""
    LATE_FAILURE = "late_failure"
    """The export completed, and the client reported an error all the same."""
    HANG = "hang"
    """The export completed and the client did not return."""
    STALL = "stall"
    """No progress before the export completed."""
    INFRA = "infra"
    """We or the host broke, or the daemon died: never counted."""
    CUT_OFF = "cut_off"
    """The run ended while the build was in flight: never counted."""


class Symptom(StrEnum):
    """What else is found than builds that end in a way that no build should."""

    FAILURE = "failure"
    """A build reported an error that the scenario looks for."""
    DEATH = "death"
    """The daemon ended by itself, or did not start again on its root."""
    ACT = "act"
    """An act, such as a prune, got no answer."""
    GROWTH = "growth"
    """Something that audits count grows without bound."""
    INCONSISTENCY = "inconsistency"
    """The solver's cache graph, as the daemon keeps it on disk, contradicts itself."""
    CONTENT = "content"
    """A build succeeded, and its result does not hold what the build asked for."""
    MISS = "miss"
    """A step was run again although nothing had changed, and nothing had been removed."""
    SLOW = "slow"
    """A client took far longer to return after its export than those before it."""


FindingKind = Outcome | Symptom
"""`hang`, `stall` and `late_failure`, or a symptom."""


def finding_kind(name: str) -> FindingKind:
    """Return the kind of finding of this name."""
    return Symptom(name) if name in {*Symptom} else Outcome(name)


FAILURES: Final = frozenset({Outcome.FAILED, Outcome.LATE_FAILURE})
"""The client ended by itself, and told an error."""


class Verdict(StrEnum):
    """What a run says of its daemon."""

    HANG = "hang"
    CLEAN = "clean"
    INCONCLUSIVE = "inconclusive"


class Ending(StrEnum):
    """Why a run ended."""

    ITERATIONS = "iterations"
    TIME = "time"
    FINDINGS = "findings"
    STALLED = "stalled"
    """The daemon completes no build any more."""
    FAILING = "failing"
    """No build has ever succeeded."""
    DAEMON_DIED = "daemon_died"
    UNABLE = "unable"
    """The daemon cannot do what the scenario asks."""
    INFRA = "infra"
    INTERRUPTED = "interrupted"


class ExitCode(IntEnum):
    """What `repro` exits with; fit for ``git bisect run``, where 1–127 but 125 is bad and 128 or more aborts."""

    CLEAN = 0
    HANG = 1
    INCONCLUSIVE = 125
    USAGE = 129
    INTERRUPTED = 130
    BROKEN = 255


_GRAVITY: Final = (
    ExitCode.HANG,
    ExitCode.BROKEN,
    ExitCode.INTERRUPTED,
    ExitCode.INCONCLUSIVE,
    ExitCode.CLEAN,
)


def gravest(codes: Iterable[ExitCode]) -> ExitCode:
    """Return what a command exits with that several runs are behind: a hang first, and clean only where all are."""
    return min(codes, key=_GRAVITY.index)
