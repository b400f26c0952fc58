"""Runs that were recorded, here or elsewhere, as one side of a comparison: nothing is run for it."""

from dataclasses import dataclass
from pathlib import Path

from harness.analysis.exposure import Exposure
from harness.core.errors import UsageError
from harness.core.manifest import HostFacts
from harness.scenario.dump import export_hang_of
from harness.store import aggregate
from harness.store.find import runs_at, runs_below
from harness.store.folder import RunFolder
from harness.store.folders import host_in, require_no_way_out


class NoBuilds(UsageError):
    """Recorded runs that say nothing."""

    def __init__(self, place: Path) -> None:
        super().__init__(f"no build of the runs in {place} came to the end of its export: there is nothing to compare")


@dataclass(frozen=True)
class RecordedSide:
    """What some runs come to."""

    place: Path
    runs: int
    scenarios: tuple[str, ...]
    """Their names, each once."""
    daemons: tuple[str, ...]
    """Kinds and versions, each once."""
    exposures: tuple[Exposure, ...]
    """One for each daemon: its trials, and whether they ended with a hang."""


def runs_in(place: Path) -> list[RunFolder]:
    """Return the run that a folder is, or those below it; none of a folder without."""
    if (place / "run.json").is_file():
        return [RunFolder(place)]
    return [*runs_at(place, "*"), *runs_below(place)]


def recorded_side(place: Path) -> RecordedSide:
    """Return what the runs of a folder come to.

    Raises:
        StoreError: one cannot be read.
        NoBuilds: they say nothing.
    """
    runs = runs_in(place)
    exposures = tuple(each for run in runs for each in _exposures(run))
    if not exposures:
        raise NoBuilds(place)
    subjects = [manifest.subject for run in runs for manifest in [run.manifest()]]
    daemons = [" ".join(str(each[key]) for key in ("kind", "version") if each.get(key)) for each in subjects]
    return RecordedSide(
        place,
        len(runs),
        tuple(dict.fromkeys(run.path.parent.name for run in runs)),
        tuple(dict.fromkeys(daemons)),
        exposures,
    )


def _exposures(run: RunFolder) -> list[Exposure]:
    require_no_way_out(run.path)
    lives = aggregate.lives(run, export_hang_of(run.scenario()))
    host = host_in(run.name) or _host(run.manifest().host)
    return [Exposure(trials, hung, host) for trials, hung in zip(lives.trials, lives.hung, strict=True) if trials]


def _host(facts: HostFacts) -> str:
    """Return what tells hosts apart whose runs do not name them."""
    return f"{facts.kernel} {facts.cores} cores {facts.memory_bytes}"
