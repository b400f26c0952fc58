"""What a range of candidates is, and what can be wrong with one that a user names."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

from harness.core.errors import InfraError, SubjectError, UsageError, nearest
from harness.toolchain import resolve
from harness.toolchain.http import asked_by

BUILD_SECONDS: Final = 1800.0
_LISTED: Final = 8


class BadRange(UsageError):
    """A range that cannot be searched as it was named."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(f"range {text!r}: {why}")


class NoSuchEnd(BadRange):
    """An end of the range that is no candidate."""

    def __init__(self, text: str, end: str, known: Iterable[str], hint: str = "") -> None:
        names = tuple(known)
        listed = f"; there are {', '.join(names)}" if 0 < len(names) <= _LISTED else ""
        super().__init__(text, f"there is no {end!r}{nearest(end, names)}{listed}{hint and f'; {hint}'}")


class SameEnds(BadRange):
    """A range from a candidate to itself."""

    def __init__(self, text: str, end: str, other: str) -> None:
        what = f"{end!r} and {other!r} are the same" if end != other else f"both ends are {end!r}"
        super().__init__(text, f"{what}, so there is nothing between them to find")


class WrongWayRound(BadRange):
    """A range whose first end comes after its last."""

    def __init__(self, text: str, older: str, newer: str) -> None:
        super().__init__(
            text,
            f"{newer!r} is before {older!r}: name the older end first, and to find what took a "
            "hang away, say so with --find fixed",
        )


class OneCandidate(BadRange):
    """A range with nothing to choose from."""

    def __init__(self, text: str, found: Sequence[str]) -> None:
        what = f"it holds {found[0]} alone" if found else "it holds nothing"
        super().__init__(text, f"{what}; a search needs two candidates at the least")


class CannotBeHad(SubjectError):
    """A candidate that cannot be tried, by no fault of this host: a search goes on without it."""

    def __init__(self, candidate: str, why: str) -> None:
        self.candidate, self.why = candidate, why
        super().__init__(f"{candidate} cannot be obtained: {why}")


class ListUnavailable(InfraError):
    """Upstream's list of releases, where it cannot be read."""

    def __init__(self, url: str, why: str, mirror_variable: str) -> None:
        super().__init__(
            f"cannot read the list of releases at {url}{asked_by()}: {why}; check the network, or name a mirror in "
            f"{mirror_variable}, or put the releases into folders and search those with path:DIR"
        )


@dataclass(frozen=True)
class Candidate:
    """One toolchain among those that are searched."""

    name: str
    """``v0.23.0``, ``trixie``, or the first 12 digits of a commit."""
    title: str
    """A commit's subject; of a merge, the title of what it merges. Empty where there is nothing to add to the name."""
    parents: tuple[int, ...]
    """The candidates that it follows, by index; only the oldest has none."""


class Range(Protocol):
    """Candidates in order, oldest first, and how to have each."""

    @property
    def candidates(self) -> Sequence[Candidate]:
        """The oldest is the older end, the last the newer; each comes after its parents."""
        ...

    @property
    def note(self) -> str:
        """What the user should know before hours are spent, in sentences; empty where there is nothing."""
        ...

    async def toolchain(self, index: int) -> str:
        """Return the spec of a candidate's toolchain, such as ``path:/…``; it is fetched or built where need be, once.

        Raises:
            CannotBeHad: this candidate cannot be tried, now or later.
            InfraError: the network or this host broke.
        """
        ...


@runtime_checkable
class TellsCost(Protocol):
    """A range that knows what it takes to have a candidate."""

    def seconds(self, index: int) -> float | None:
        """Return about how long `toolchain` will take: 0 where it is there already, None before anything is known."""
        ...


@dataclass(frozen=True)
class Options:
    """What the kinds of ranges are told beside the range itself."""

    build_command: str | None = None
    """For the shell; only of commits."""
    build_seconds: float = BUILD_SECONDS
    """How long one build may take."""
    full_history: bool = False
    """Whether every commit counts, not only those along first parents."""
    prereleases: bool = False
    since: float = field(default_factory=time.time)
    """Builds that failed before this are tried again; a search that is resumed gives the time at which it began."""


class RangeKind(Protocol):
    """One kind of range."""

    async def find(self, argument: str, options: Options) -> Range:
        """Return the range that `argument` names: what stands behind the colon.

        Raises:
            UsageError: there is no such range.
            InfraError: it cannot be obtained here and now.
        """
        ...


@dataclass(frozen=True)
class Chain:
    """A range of toolchains that are fetched or there already, each by its spec."""

    candidates: tuple[Candidate, ...]
    specs: tuple[str, ...]
    note: str = ""

    async def toolchain(self, index: int) -> str:
        """Return a candidate's spec once it is there, and its programs start."""
        return await startable(self.candidates[index].name, self.specs[index])


def chain(names: Sequence[str], titles: Sequence[str] = ()) -> tuple[Candidate, ...]:
    """Return candidates in a chain: each follows the one before."""
    padded = [*titles, *([""] * (len(names) - len(titles)))]
    return tuple(
        Candidate(name, title, (index - 1,) if index else ())
        for index, (name, title) in enumerate(zip(names, padded, strict=True))
    )


async def startable(name: str, spec: str) -> str:
    """Return the spec again once the toolchain is there, and its programs start on this host.

    Raises:
        CannotBeHad: there is no such toolchain, or one of its programs does not start.
        InfraError: it cannot be obtained here and now.
    """
    try:
        await resolve(spec)
    except (UsageError, SubjectError) as error:
        raise CannotBeHad(name, str(error)) from error
    return spec
