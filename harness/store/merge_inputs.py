"""Runs that are to be added up, read from their folders; those that do not belong together are refused."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final

from harness.analysis.judge import judge
from harness.analysis.merge import RunSegment
from harness.core.errors import UsageError
from harness.core.manifest import Addends
from harness.core.outcome import Ending
from harness.core.records import Action, Audit, Finding, Iteration, Summary
from harness.scenario.dump import export_hang_of, hunts_of
from harness.store.folder import RunFolder
from harness.store.folders import RunGoesOn
from harness.store.resume_point import resume_point_of

_MAY_DIFFER: Final = {"about", "seed", "stop.iterations", "stop.time", "stop.hangs", "daemon.toolchain"}
"""What makes no other experiment of a scenario; `stop.on` does, for the verdict goes by it."""


class NothingRecorded(UsageError):
    """A run that died before it had a daemon."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} died before its first iteration, and has nothing to add: leave it out")


class SameRun(UsageError):
    """A run that would count twice."""

    def __init__(self, one: Path, other: Path, what: str) -> None:
        super().__init__(f"{one} and {other} {what}: leave one out")


class NotTogether(UsageError):
    """Runs of different experiments."""

    def __init__(self, one: Path, other: Path, differing: Sequence[str]) -> None:
        listed = "".join(f"\n  {line}" for line in differing)
        super().__init__(f"{one} and {other} are not runs of one scenario on one daemon; they differ in{listed}")


@dataclass(frozen=True)
class Member:
    """A run, and what it is a run of."""

    path: Path
    runs: frozenset[str]
    """Its name, or those of the runs that it was added up from."""
    seeds: frozenset[int]
    nature: Mapping[str, str]
    """The scenario, the daemon and the binaries, key by key."""
    summary: Summary

    @property
    def part(self) -> RunSegment:
        """It, as one of several."""
        return RunSegment(self.path.name, self.summary)


def read_members(folders: Sequence[RunFolder]) -> list[Member]:
    """Return runs with what they came to; nothing is written.

    Raises:
        RunGoesOn, NothingRecorded, SameRun, NotTogether: they cannot be added up.
        StoreError: one cannot be read.
    """
    members = [_member(folder) for folder in folders]
    for one, other in combinations(members, 2):
        if one.runs & other.runs:
            raise SameRun(one.path, other.path, f"are, or contain, the same run ({min(one.runs & other.runs)})")
        if one.seeds & other.seeds:
            played = f"played the same plan (seed {min(one.seeds & other.seeds)}), so they are no independent trials"
            raise SameRun(one.path, other.path, played)
    for other in members[1:]:
        differing = [*_differing(members[0].nature, other.nature)]
        if differing:
            raise NotTogether(members[0].path, other.path, differing)
    return members


def came_to(folder: RunFolder) -> Summary:
    """Return what a run came to; one that died is judged by what it had recorded, as broken where it found nothing.

    Raises:
        RunGoesOn, NothingRecorded, StoreError: there is nothing to judge.
    """
    if folder.is_locked:
        raise RunGoesOn(folder.path)
    summary = folder.summary()
    if summary:
        return summary
    if not (folder.path / "run.db").exists():
        raise NothingRecorded(folder.path)
    manifest, past, scenario = folder.manifest(), resume_point_of(folder), folder.scenario()
    return judge(
        folder.each(Iteration),
        folder.each(Finding),
        audits=folder.each(Audit),
        actions=folder.each(Action),
        threshold=export_hang_of(scenario),
        hunts=hunts_of(scenario),
        scenario=str(scenario.get("name", "")),
        daemon=manifest.subject,
        seed=manifest.seed,
        ending=Ending.INFRA,
        detail="the harness was killed",
        seconds=past.seconds,
        unattended=past.unattended,
    )


def _member(folder: RunFolder) -> Member:
    manifest = folder.manifest()
    nature = {"daemon's kind": manifest.kind or "none", "daemon's version": manifest.version or "none"}
    nature |= {f"{name}'s hash": value[:16] for name, value in manifest.toolchain.hashes.items()}
    nature |= {key: value for key, value in _flat(folder.scenario()) if key not in _MAY_DIFFER}
    of = manifest.merged or Addends((folder.name,), (manifest.seed,))
    return Member(
        folder.path,
        frozenset(of.runs),
        frozenset(of.seeds),
        nature,
        came_to(folder),
    )


def _flat(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each value with its key path; of a file on a host, only the name."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _flat(each, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _flat(each, f"{path}[{index}]")
    else:
        yield path, Path(value).name if isinstance(value, str) and value.startswith("/") else str(value)


def _differing(one: Mapping[str, str], other: Mapping[str, str]) -> Iterator[str]:
    for key in dict.fromkeys([*one, *other]):
        if one.get(key) != other.get(key):
            yield f"{key}: {one.get(key, 'none')} and {other.get(key, 'none')}"
