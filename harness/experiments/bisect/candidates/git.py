"""``git:DIR@A..B``: commits of the user's own clone, each built by the user's own command."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.experiments.bisect.candidates.base import (
    BadRange,
    Candidate,
    Options,
    Range,
    SameEnds,
    WrongWayRound,
    startable,
)
from harness.experiments.bisect.candidates.builds import Builds
from harness.experiments.bisect.candidates.clone import Clone, Commit
from harness.experiments.bisect.candidates.versions import parse_ends, version_in

NAME_DIGITS: Final = 12
_PULL_REQUEST: Final = re.compile(r"Merge pull request (#\d+) ")


class NotConnected(BadRange):
    """Two commits of which the clone knows no common ancestor, or no way from one to the other."""

    def __init__(self, text: str, older: str, newer: str, *, shallow: bool) -> None:
        hint = (
            "the clone is shallow: `git fetch --unshallow` brings what lies between" if shallow else "name two others"
        )
        super().__init__(text, f"{older!r} and {newer!r} have no commit in common here; {hint}")


@dataclass(frozen=True)
class Line:
    """The commits of a range, and what is to be said of it."""

    commits: Sequence[Commit]
    candidates: tuple[Candidate, ...]
    notes: Sequence[str]


class Commits:
    """Takes the commits from one to another; along first parents, or all of them."""

    async def find(self, argument: str, options: Options) -> Range:
        """Return the range of commits; nothing is built yet."""
        text = f"git:{argument}"
        folder, ends = _split(text, argument)
        older, newer = parse_ends(text, ends)
        if options.build_command is None or not options.build_command.strip():
            raise BadRange(
                text,
                "commits have to be built: say how with --build-command '…', which puts the daemon's "
                "programs into the folder $REPRO_OUT",
            )
        clone = await Clone.open(folder)
        line = await read_line(text, clone, older, newer, first_parent=not options.full_history)
        builds = Builds(clone, options.build_command, options.build_seconds, options.since)
        return BuiltCommits(line, builds)


@dataclass(frozen=True)
class BuiltCommits:
    """A range of commits, with their builds."""

    line: Line
    builds: Builds

    @property
    def candidates(self) -> Sequence[Candidate]:
        """The commits, each after its parents."""
        return self.line.candidates

    @property
    def note(self) -> str:
        """What is to be said of the range."""
        return " ".join(self.line.notes)

    async def toolchain(self, index: int) -> str:
        """Build a commit, unless it is built already, and return the spec of the result."""
        name = self.line.candidates[index].name
        folder = await self.builds.built(self.line.commits[index].sha, name)
        return await startable(name, f"path:{folder}")

    def seconds(self, index: int) -> float | None:
        """Return about how long the build of a commit will take, by those before it; 0 where it is built."""
        return self.builds.seconds(self.line.commits[index].sha)


def _split(text: str, argument: str) -> tuple[Path, str]:
    """Return the folder and the two ends; both may have an ``@`` in them."""
    marks = [match.start() for match in re.finditer("@", argument)]
    for mark in marks:
        folder = Path(argument[:mark]).expanduser().absolute()
        with suppress(OSError):
            if folder.is_dir() and mark > 0:
                return folder, argument[mark + 1 :]
    if not marks:
        raise BadRange(text, "name a clone and two commits of it, as in git:~/buildkit@v0.22.0..v0.23.2")
    return Path(argument[: marks[0]]).expanduser().absolute(), argument[marks[0] + 1 :]


async def read_line(text: str, clone: Clone, older: str, newer: str, *, first_parent: bool) -> Line:
    """Return the commits from `older` to `newer`, oldest first.

    Where the older end is not on the way to the newer, the last commit that is on it and that the older end has too
    stands in its place.

    Raises:
        UsageError: there is no such range.
    """
    low, high = await clone.commit(older), await clone.commit(newer)
    if low == high:
        raise SameEnds(text, older, newer)
    base = await clone.merge_base(low, high)
    if base is None:
        raise NotConnected(text, older, newer, shallow=clone.shallow)
    if base == high or (base != low and _later(older, newer)):
        raise WrongWayRound(text, older, newer)
    commits = await clone.commits(low, high, first_parent=first_parent)
    if first_parent:
        if not commits[0].parents:
            raise NotConnected(text, older, newer, shallow=clone.shallow)
        base = commits[0].parents[0]
    commits = [await clone.one(base), *commits]
    notes = []
    if base != low:
        way = "on the first-parent line to" if first_parent else "an ancestor of"
        notes.append(
            f"{older} is not {way} {newer}, so the search begins where the two part, at {base[:NAME_DIGITS]}; that it "
            f"behaves as {older} does is taken for granted until it was tried."
        )
    if await clone.uncommitted():
        notes.append(f"{clone.folder} has changes that are not committed; they are not part of any build.")
    return Line(commits, _candidates(commits, first_parent=first_parent), notes)


def _later(older: str, newer: str) -> bool:
    """Whether two names that have versions are the wrong way round; branches of releases tell it in no other way."""
    one, other = version_in(older), version_in(newer)
    return one is not None and other is not None and one > other


def _candidates(commits: Sequence[Commit], *, first_parent: bool) -> tuple[Candidate, ...]:
    """Return commits as candidates; what comes from outside the range follows its oldest."""
    places = {commit.sha: place for place, commit in enumerate(commits)}
    made = []
    for place, commit in enumerate(commits):
        counted = commit.parents[:1] if first_parent else commit.parents
        parents = tuple(dict.fromkeys(places.get(parent, 0) for parent in counted)) if place else ()
        made.append(Candidate(commit.sha[:NAME_DIGITS], title(commit), parents))
    return tuple(made)


def title(commit: Commit) -> str:
    """Return a commit's subject; of a merge what it merges, with the number of the pull request where it has one."""
    if not commit.merged:
        return commit.subject
    request = _PULL_REQUEST.match(commit.subject)
    return f"{commit.merged} ({request[1]})" if request else commit.merged
