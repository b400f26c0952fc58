"""The error tree. Each class makes its own message: what is wrong, where, and what to do next.

HarnessError
├─ Interrupted   the user ended it
├─ UsageError    what the user wrote or asked for      ScenarioError, UnknownKind
├─ SubjectError  the daemon under test                 DaemonStartError, DaemonDied
└─ InfraError    us or the host; never a finding       CommandError, CommandTimeout, CommandMissing,
                                                      CaptureError, StoreError, HostGaveOut
"""

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from harness.core.senses import SENSES

_LOG_LINES: Final = 5


class HarnessError(Exception):
    """Root of every error that the harness raises on purpose."""


class Interrupted(HarnessError):
    """The user ended it before it came to anything."""

    def __init__(self) -> None:
        super().__init__("interrupted")


class UsageError(HarnessError):
    """The user's request is wrong, or cannot be met as it stands."""


class UnknownKind(UsageError):
    """A name that is in no table of kinds."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        self.known = tuple(sorted(known))
        super().__init__(f"unknown {what} {name!r}{nearest(name, self.known)}; known: {', '.join(self.known)}")


@dataclass(frozen=True, order=True)
class Problem:
    """One fault in a scenario: its line (from 1; 0 is the file itself), the key path, and what is allowed there."""

    line: int
    path: str
    message: str
    option: str = ""
    """What on the command line brought it, as it was written: `--time soon`; empty where the file did."""

    def line_in(self, file: Path) -> str:
        """Return it as a line: where, what, and what is allowed."""
        place = f"{file}:{self.line}" if self.line else str(file)
        return ": ".join(part for part in (self.option or place, self.path, self.message) if part)


class ScenarioError(UsageError):
    """A scenario that cannot run, with every problem found and its place."""

    def __init__(self, file: Path, problems: Sequence[Problem]) -> None:
        self.file = file
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(problem.line_in(file) for problem in self.problems))


class SubjectError(HarnessError):
    """The daemon under test misbehaved in a way that is no hang and no stall.

    Args:
        brief: what happened, in a line.
        log: its log, whose end is told too.
    """

    def __init__(self, brief: str, log: Path | None = None) -> None:
        self.brief = brief
        super().__init__(f"{brief}{_end_of(log)}")


class DaemonStartError(SubjectError):
    """A daemon that did not come up."""

    def __init__(self, daemon: str, why: str, log: Path) -> None:
        super().__init__(f"{daemon} did not start: {why}", log)


class DaemonDied(SubjectError):
    """A daemon that ended by itself.

    Args:
        daemon: its kind.
        status: as `subprocess` has it: a signal's is negative.
        log: where it may say why.
        meanwhile: what we did to it at that moment, which may have ended it.
    """

    def __init__(self, daemon: str, status: int, log: Path | None, meanwhile: str = "") -> None:
        how = f"signal {-status}" if status < 0 else f"status {status}"
        doing = f", while {meanwhile}" if meanwhile else ""
        super().__init__(f"{daemon} ended by itself with {how}{doing}", log)


class InfraError(HarnessError):
    """The harness or the host broke; nothing is said about the daemon."""


class HostGaveOut(InfraError):
    """A refusal of the kernel that no program could have foreseen: no room, no rights, no more of something.

    Args:
        error: its number is one of `KINDS`.
    """

    KINDS: Final = {
        errno.ENOSPC: "free some of that disk",
        errno.EDQUOT: "the quota of that disk is used up",
        errno.EROFS: "that disk can only be read: say another folder",
        errno.EFBIG: "raise `ulimit -f`",
        errno.EMFILE: "raise `ulimit -n`",
        errno.ENFILE: "raise the sysctl fs.file-max",
        errno.ENOMEM: "free some memory",
        errno.EIO: "the disk is failing: look into the kernel's log",
    }
    """What to do, by the kernel's number of the refusal."""

    def __init__(self, error: OSError) -> None:
        of = error.filename2 or error.filename
        where = f": {of}" if of is not None else ""
        super().__init__(f"the host gave out: {error.strerror}{where}; {self.KINDS[error.errno or 0]}")

    @classmethod
    def matches(cls, error: BaseException) -> bool:
        """Whether an exception is such a refusal."""
        return isinstance(error, OSError) and error.errno in cls.KINDS


class CommandMissing(InfraError):
    """An external program that is not there, or that the kernel will not start."""

    def __init__(self, program: str, hint: str = "install it, or put it on PATH") -> None:
        super().__init__(f"cannot start {program}: {hint}")


class CommandError(InfraError):
    """An external program that reported failure."""

    def __init__(self, argv: Sequence[str], returncode: int, output: str) -> None:
        self.argv, self.returncode, self.output = tuple(argv), returncode, output
        end = f"exit {returncode}" if returncode >= 0 else f"signal {-returncode}"
        super().__init__(f"`{' '.join(argv)}` failed with {end}:\n{output.strip() or '(no output)'}")


class CommandTimeout(InfraError):
    """An external program that did not end by its deadline, and was killed for it."""

    def __init__(self, argv: Sequence[str], seconds: float, output: str = "") -> None:
        self.argv, self.seconds, self.output = tuple(argv), seconds, output
        line_in = f":\n{output.strip()}" if output.strip() else ""
        super().__init__(f"`{' '.join(argv)}` did not end within {seconds:g} s and was killed{line_in}")


class CaptureError(InfraError):
    """Evidence that could not be taken."""


class StoreError(InfraError):
    """A run folder or its database that cannot be read or written."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")


def _end_of(log: Path | None) -> str:
    """Return where a daemon's log is and how it ends, as the tail of a message."""
    if log is None or not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").splitlines()[-_LOG_LINES:]
    return "".join(f"\n    {line}" for line in (f"; the end of {log}:", *lines)).removeprefix("\n    ")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the known name that means `name`, else is most like it, or nothing."""
    there = list(known)
    close = [each for each in SENSES.get(name.lower().replace("-", "_"), ()) if each in there]
    close += get_close_matches(name, there, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
