"""What a search knows, kept on disk after every observation: `state.json` in its folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.core.errors import StoreError, UsageError
from harness.experiments.bisect.belief import Belief, Find, hypotheses
from harness.experiments.bisect.choice import Costs
from harness.experiments.bisect.forecast import Forecast, forecast
from harness.experiments.bisect.rates import Rates
from harness.experiments.short_run import ShortRun
from harness.store.folder import RunFolder
from harness.store.folders import the_one

_FILE: Final = "state.json"
Purpose = Literal["choose", "calibrate", "good end", "search"]


class NoSuchSearch(UsageError):
    """A search that is not there."""

    def __init__(self, name: str, results: Path, matching: Sequence[Path]) -> None:
        several = f"it ends the names of {', '.join(path.name for path in matching)}; say more of it"
        none = f"it is no folder with a {_FILE}, nor the end of the name of one below {results / 'bisect'}"
        super().__init__(f"no search {name!r}: {several if matching else none}")


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Asked(_Kept):
    """What the user wants to know."""

    argv: tuple[str, ...]
    scenarios: tuple[str, ...]
    """Names of those that are tried; each is beside the state, resolved, as NAME.yaml."""
    range: str
    find: Find = "introduced"
    build_command: str | None = None
    build_seconds: float = 1800.0
    full_history: bool = False
    prereleases: bool = False
    began: float
    """In seconds since the epoch."""
    confidence: float = 0.95
    calibrate: int = 3
    """How many hangs of the bad end are to be seen before the search."""
    any_hang: bool = False
    """Whether hangs of every signature count."""
    seconds: float | None = None
    """How long the search may go on in all."""
    shards: int = 1
    seed: int


class Known(_Kept):
    """A candidate as it was listed when the search began."""

    name: str
    title: str
    parents: tuple[int, ...]


class Had(_Kept):
    """A candidate's toolchain."""

    spec: str
    seconds: float
    """What it took to build or fetch."""


class Observation(_Kept):
    """One look at a candidate."""

    candidate: int
    scenario: str
    purpose: Purpose
    look: ShortRun
    wall: float
    """Seconds from before the run to after it."""
    counts: bool
    """Whether its hang, if it is one, is that which is looked for."""

    @property
    def is_another_hang(self) -> bool:
        """Whether it ended in a hang that is not looked for, by its name."""
        return self.look.said == "hang" and not self.counts


class State(_Kept):
    """All that a search knows; what comes to be known makes a new one."""

    format: Literal[1] = 1
    asked: Asked
    candidates: tuple[Known, ...]
    note: str = ""
    """What is to be known of the list of candidates."""
    scenario: str = ""
    """The one that hangs soonest; empty until it is known."""
    signature: str = ""
    """Of the hang that is looked for; empty until it was seen."""
    had: Mapping[int, Had] = {}
    skipped: Mapping[int, str] = {}
    """Why a candidate cannot be tried."""
    observations: tuple[Observation, ...] = ()
    costs: Costs | None = None
    """What looks were expected to take, at the last one; None before the good end was looked at."""

    @property
    def bad_end(self) -> int:
        """The candidate that is known to hang."""
        return 0 if self.asked.find == "fixed" else len(self.candidates) - 1

    @property
    def good_end(self) -> int:
        """The candidate that is said not to."""
        return len(self.candidates) - 1 - self.bad_end

    @property
    def seconds(self) -> float:
        """What was spent so far on building and on looking."""
        return sum(had.seconds for had in self.had.values()) + sum(seen.wall for seen in self.observations)

    @property
    def left(self) -> Forecast | None:
        """What the search is expected to take still; None where that cannot be told yet. It takes a second to find."""
        if self.costs is None:
            return None
        return forecast(self.belief, self.costs, self.asked.confidence, self.asked.seed + len(self.observations))

    def of(self, candidate: int) -> list[Observation]:
        """Return the looks at a candidate with the scenario that hangs soonest."""
        return [seen for seen in self.observations if seen.candidate == candidate and seen.scenario == self.scenario]

    def is_doubtful(self, candidate: int) -> bool:
        """Whether it hung, but only under another name; of the good end it is the user who says that it is good."""
        looks = self.of(candidate)
        hung_otherwise = any(seen.is_another_hang for seen in looks) and not any(seen.counts for seen in looks)
        return hung_otherwise and candidate != self.good_end

    @property
    def other_hangs(self) -> Mapping[str, tuple[int, ...]]:
        """The candidates with hangs that are not looked for, one for each such hang, by their signatures."""
        found: dict[str, list[int]] = {}
        for seen in self.observations:
            if seen.scenario == self.scenario and seen.is_another_hang:
                found.setdefault(seen.look.signature or "of no signature", []).append(seen.candidate)
        return {name: tuple(candidates) for name, candidates in found.items()}

    @property
    def belief(self) -> Belief:
        """What follows from all that was seen with the scenario that hangs soonest.

        A look that ended in a hang of another name is left out whole, and so are all looks at a candidate that hung
        under that name alone: it may be the same hang, in a function that was renamed within the range, and then no
        clean build speaks for the candidate.
        """
        rates = Rates.flat(never=0.0) if self.asked.find == "worse" else Rates.flat()
        belief = Belief(hypotheses([known.parents for known in self.candidates], self.asked.find), rates)
        for seen in self.observations:
            left_out = seen.is_another_hang or self.is_doubtful(seen.candidate)
            if seen.scenario == self.scenario and seen.look.builds and not left_out:
                belief = belief.saw(seen.candidate, seen.look.builds, hung=seen.counts)
        for candidate in self.skipped:
            belief = belief.skip(candidate)
        return belief


def find_search(name: str, results: Path) -> Path:
    """Return the folder of a search: a path, the end of a name, or `last`.

    Raises:
        NoSuchSearch: none, or several.
    """
    folders = (path.parent for path in (results / "bisect").glob(f"*/{_FILE}"))
    return the_one(name, _FILE, folders, lambda matching: NoSuchSearch(name, results, matching))


def save(state: State, folder: Path) -> None:
    """Write the state, whole or not at all."""
    RunFolder(folder).write_json(_FILE, state.model_dump(mode="json"))


def restore(folder: Path) -> State:
    """Return the state of a search.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        return State.model_validate(RunFolder(folder).read_json(_FILE))
    except ValidationError as error:
        raise StoreError(folder / _FILE, f"cannot be read: {error}") from error
