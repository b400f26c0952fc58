"""A search as text that a person reads and may edit, and that is replayed into a search: as `git bisect log` is.

A line that begins with ``#`` is for people. Each other one is a word and a JSON object: ``search`` first, with what was
asked and the scenarios as they were; then ``scenario``, ``look`` and ``skip`` in the order in which they came. Take out
the lines of what went wrong, and replay the rest.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.core.errors import UsageError, nearest
from harness.core.units import format_duration
from harness.core.wording import Wording
from harness.experiments.bisect.state import BisectRequest, ListedCandidate, Observation, State

_WORDS: Final = ("search", "scenario", "look", "skip")


class NotReplayable(UsageError):
    """A log that does not say a search."""

    def __init__(self, file: Path, line: int, why: str) -> None:
        super().__init__(f"{file}:{line}: {why}")


class NoSuchCandidate(UsageError):
    """A name that no candidate, or more than one, begins with."""

    def __init__(self, name: str, matching: list[str], known: list[str]) -> None:
        several = f"it begins the names of {', '.join(matching)}; say more of it"
        none = f"no candidate begins so{nearest(name, known)}; there are {known[0]} to {known[-1]}"
        super().__init__(f"no candidate {name!r}: {several if matching else none}")


class _FirstLine(BaseModel):
    """The first line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    asked: BisectRequest
    candidates: tuple[ListedCandidate, ...]
    note: str
    scenarios: Mapping[str, str]


@dataclass(frozen=True)
class Replayed:
    """What a log comes to."""

    state: State
    scenarios: Mapping[str, str]
    """The text of each, by its name."""


def place_of(state: State, name: str) -> int:
    """Return which candidate a name, or its beginning, names.

    Raises:
        NoSuchCandidate: none, or several.
    """
    names = [candidate.name for candidate in state.candidates]
    if name in names:
        return names.index(name)
    matching = [each for each in names if name and each.startswith(name)]
    if len(matching) != 1:
        raise NoSuchCandidate(name, matching, names)
    return names.index(matching[0])


def log_of(state: State, scenarios: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of a search's log.

    Args:
        state: what it knows.
        scenarios: the text of each of its scenarios, by its name.
    """
    asked, names = state.asked, [candidate.name for candidate in state.candidates]
    yield f"# {asked.range}: {len(names)} candidates, {names[0]} to {names[-1]}; --find {asked.find}"
    yield _line("search", _FirstLine(asked=asked, candidates=state.candidates, note=state.note, scenarios=scenarios))
    if state.scenario:
        yield f"# {state.scenario} {state.words.third} as {state.signature or 'nothing known'}"
        yield f"scenario {json.dumps({'name': state.scenario, 'signature': state.signature})}"
    for seen in state.observations:
        look = seen.look
        said = {
            "hang": f"{Wording.of([look.kind]).third} within {look.builds} builds",
            "clean": f"clean in {look.builds} builds",
        }
        yield f"# {names[seen.candidate]}  {said.get(look.said, look.because)}, {format_duration(round(seen.wall))}"
        yield _line("look", seen)
    for number, why in state.skipped.items():
        yield f"# {names[number]} cannot be tried"
        yield f"skip {json.dumps({'candidate': number, 'because': why})}"


def replay(file: Path, text: str) -> Replayed:
    """Return the search that a log says.

    Args:
        file: where it stands, for the messages.
        text: what stands there.

    Raises:
        NotReplayable: a line that is none of a log, or that does not fit what was said before it.
    """
    state: State | None = None
    scenarios: Mapping[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        word, _, rest = line.strip().partition(" ")
        if not word or word.startswith("#"):
            continue
        if word not in _WORDS:
            raise NotReplayable(file, number, f"{word[:40]!r} is none of {', '.join(_WORDS)}, and no # for a remark")
        if (word == "search") is not (state is None):
            raise NotReplayable(file, number, "there is one line `search`, before all others")
        try:
            said = json.loads(rest)
            if state is None:
                begun = _FirstLine.model_validate(said)
                scenarios = begun.scenarios
                state = State(asked=begun.asked, candidates=begun.candidates, note=begun.note)
            else:
                state = _with(state, word, said)
        except (ValidationError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise NotReplayable(file, number, " ".join(str(error).split())) from error
    if state is None:
        raise NotReplayable(file, 1, "there is no line `search`")
    if missing := sorted({*state.asked.scenarios} - {*scenarios}):
        raise NotReplayable(file, 1, f"the text of {', '.join(missing)} is not in it")
    return Replayed(state, scenarios)


def _with(state: State, word: str, said: Mapping[str, Any]) -> State:
    """Return a state that knows one line more."""
    if word == "scenario":
        if said["name"] not in state.asked.scenarios:
            raise ValueError(f"{said['name']!r} is none of the scenarios of the search")
        return state.model_copy(update={"scenario": str(said["name"]), "signature": str(said["signature"])})
    if not (type(said["candidate"]) is int and 0 <= said["candidate"] < len(state.candidates)):
        raise ValueError(f"there is no candidate {said['candidate']!r}")
    if word == "skip":
        return state.model_copy(update={"skipped": {**state.skipped, said["candidate"]: str(said["because"])}})
    return state.model_copy(update={"observations": (*state.observations, Observation.model_validate(said))})


def _line(word: str, what: BaseModel) -> str:
    return f"{word} {what.model_dump_json()}"
