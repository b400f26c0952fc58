"""What a search knows, kept on disk after every observation: `state.json` in its folder."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.buildkit.likeness import LIKELY, most_alike
from harness.core.errors import StoreError, UsageError
from harness.core.wording import Wording
from harness.experiments.bisect.belief import Belief, Find, hypotheses
from harness.experiments.bisect.choice import Costs
from harness.experiments.bisect.forecast import Forecast, forecast
from harness.experiments.bisect.rates import Rates
from harness.experiments.short_run import ShortRun
from harness.store.folder import RunFolder
from harness.store.folders import the_one

_FILE: Final = "state.json"
_UNNAMED: Final = 3
"""So many hangs without a name are borne of one candidate: most show what they are when they come again."""
Purpose = Literal["choose", "calibrate", "good end", "search"]


class NoSuchBisect(UsageError):
    """A search that is not there."""

    def __init__(self, name: str, results: Path, matching: Sequence[Path]) -> None:
        several = f"it ends the names of {', '.join(path.name for path in matching)}; say more of it"
        none = f"it is no folder with a {_FILE}, nor the end of the name of one below {results / 'bisect'}"
        super().__init__(f"no search {name!r}: {several if matching else none}")


class NoSuchHang(UsageError):
    """A name that no other hang of a search has."""

    def __init__(self, name: str, others: Sequence[str]) -> None:
        known = f"those of other hangs are {', '.join(others)}" if others else "there were no other hangs"
        super().__init__(f"no other hang was seen under the name {name!r}; {known}")


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BisectRequest(_Kept):
    """What the user wants to know."""

    argv: tuple[str, ...]
    scenarios: tuple[str, ...]
    """Names of those that are tried; each is beside the state, resolved, as NAME.yaml."""
    hunts: tuple[str, ...] = ("hang",)
    """The kinds of finding that these look for."""
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
    also: tuple[str, ...] = ()
    """Signatures that the user takes for that of the bad end, under another name."""
    apart: tuple[str, ...] = ()
    """Signatures that the user says are of another hang."""
    seconds: float | None = None
    """How long the search may go on in all."""
    shards: int = 1
    seed: int


class ListedCandidate(_Kept):
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


@dataclass(frozen=True)
class OtherHang:
    """Hangs of a name that is not looked for."""

    name: str
    """Empty where their evidence gives none."""
    candidates: tuple[int, ...]
    """Those that hung so, one for each hang, in the order in which they were seen."""
    likeness: float | None
    """To the hang that is looked for, from 0 to 1, by the functions that hang; None where no functions are known."""


class State(_Kept):
    """All that a search knows; what comes to be known makes a new one."""

    format: Literal[1] = 1
    asked: BisectRequest
    candidates: tuple[ListedCandidate, ...]
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
    elapsed: float | None = None
    """Seconds of its processes by the clock; None where an earlier version began it, which made a look at a time."""
    costs: Costs | None = None
    """What looks were expected to take, at the last one; None before the good end was looked at."""
    places: int = 1
    """How many looks could be made at once, at the last one."""

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
        """What was spent so far on building and on looking, of all hosts together."""
        return sum(had.seconds for had in self.had.values()) + sum(seen.wall for seen in self.observations)

    @property
    def took(self) -> float:
        """What it took so far, by the clock: less than was spent where several hosts looked at once."""
        return self.seconds if self.elapsed is None else self.elapsed

    @property
    def words(self) -> Wording:
        """How what is looked for is named: by its kind once it was seen, until then by all that scenarios hunt."""
        return Wording.of({seen.look.kind: None for seen in self.observations if seen.counts} or self.asked.hunts)

    @property
    def left(self) -> Forecast | None:
        """What the search is expected to take still; None where that cannot be told yet. It takes a second to find."""
        if self.costs is None:
            return None
        seed = self.asked.seed + len(self.observations)
        return forecast(self.belief, self.costs, self.asked.confidence, seed, self.places)

    def of(self, candidate: int) -> list[Observation]:
        """Return the looks at a candidate with the scenario that hangs soonest."""
        return [seen for seen in self.observations if seen.candidate == candidate and seen.scenario == self.scenario]

    def is_sought(self, seen: ShortRun, signature: str) -> bool:
        """Whether a look ended in the hang that is looked for, which has that signature or one that is taken for it."""
        return seen.said == "hang" and (self.asked.any_hang or seen.signature in {signature, *self.asked.also} - {""})

    def taking(self, also: Sequence[str], apart: Sequence[str]) -> Self:
        """Return the state in which hangs of some names are, or are not, the one that is looked for: all that was seen.

        Raises:
            NoSuchHang: no hang of such a name was seen, or it is that of the bad end.
        """
        others = {seen.look.signature for seen in self.observations} - {"", self.signature}
        if unknown := [name for name in (*also, *apart) if name not in others]:
            raise NoSuchHang(unknown[0], sorted(others))
        asked = self.asked.model_copy(
            update={
                "also": tuple(sorted({*self.asked.also, *also} - {*apart})),
                "apart": tuple(sorted({*self.asked.apart, *apart} - {*also})),
            }
        )
        state = self.model_copy(update={"asked": asked})
        again = (
            seen.model_copy(update={"counts": state.is_sought(seen.look, self.signature or seen.look.signature)})
            for seen in self.observations
        )
        return state.model_copy(update={"observations": tuple(again)})

    @property
    def in_question(self) -> Collection[str]:
        """The names of other hangs that may be the one that is looked for, renamed; empty of one without a name.

        Those are not that the user says are of another hang, or that have few functions in common with it.
        """
        return {
            other.name
            for other in self.other_hangs
            if not other.name
            or (other.name not in self.asked.apart and (other.likeness is None or other.likeness >= LIKELY))
        }

    @property
    def doubtful(self) -> Mapping[int, str]:
        """The candidates that hung, but only under other names, with these names.

        It may be the same hang in a function that was renamed within the range. So such a candidate is not looked at
        any more, and nothing that was seen of it counts. It is looked at again while all that speaks against it are
        few hangs without a name. That the good end is good says the user.
        """
        found: dict[int, str] = {}
        in_question = self.in_question
        for candidate in {seen.candidate for seen in self.observations} - {self.good_end}:
            looks = self.of(candidate)
            others = [
                each.look.signature for each in looks if each.is_another_hang and each.look.signature in in_question
            ]
            waits = bool(looks) and looks[-1].is_another_hang and not any(others) and len(others) < _UNNAMED
            if others and not waits and not any(seen.counts for seen in looks):
                found[candidate] = " and ".join(sorted({name or "nothing known" for name in others}))
        return found

    @property
    def left_out(self) -> Mapping[int, str]:
        """Why each candidate that is not looked at any more is not."""
        doubts = {candidate: f"it {self.words.third} as {names}" for candidate, names in self.doubtful.items()}
        return {**doubts, **self.skipped}

    @property
    def other_hangs(self) -> tuple[OtherHang, ...]:
        """The hangs that are not looked for, by their names; those most like the one that is first."""
        found: dict[str, list[Observation]] = {}
        for seen in self.observations:
            if seen.scenario == self.scenario and seen.is_another_hang:
                found.setdefault(seen.look.signature, []).append(seen)
        sought = [seen.look.frames for seen in self.observations if seen.counts]
        others = [
            OtherHang(
                name, tuple(seen.candidate for seen in those), most_alike(sought, [seen.look.frames for seen in those])
            )
            for name, those in found.items()
        ]
        return tuple(sorted(others, key=lambda other: -(other.likeness or 0.0)))

    @property
    def belief(self) -> Belief:
        """What follows from all that was seen with the scenario that hangs soonest.

        A look that ended in a hang of another name is left out whole, and so are all looks at a candidate that hung
        under other names alone that are in question: no clean build speaks for it.
        """
        in_question = self.in_question
        rates = Rates.flat(never=0.0) if self.asked.find == "worse" else Rates.flat()
        belief = Belief(hypotheses([known.parents for known in self.candidates], self.asked.find), rates)
        sought = {self.good_end, *(seen.candidate for seen in self.observations if seen.counts)}
        others = {
            seen.candidate for seen in self.observations if seen.is_another_hang and seen.look.signature in in_question
        } - sought
        for seen in self.observations:
            left_out = seen.is_another_hang or seen.candidate in others
            if seen.scenario == self.scenario and seen.look.builds and not left_out:
                belief = belief.saw(seen.candidate, seen.look.builds, hung=seen.counts)
        for candidate in self.left_out:
            belief = belief.skip(candidate)
        return belief


def find_search(name: str, results: Path) -> Path:
    """Return the folder of a search: a path, the end of a name, or `last`.

    Raises:
        NoSuchSearch: none, or several.
    """
    folders = (path.parent for path in (results / "bisect").glob(f"*/{_FILE}"))
    return the_one(name, _FILE, folders, lambda matching: NoSuchBisect(name, results, matching))


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
