"""Comparisons, bisections, explorations and their like as their folders tell them: what was asked, look by look.

What keeps them is in the room of the experiments; here is only read what all of them write alike.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from harness.core.errors import StoreError
from harness.core.files import read_json, read_text
from harness.scenario.vary import Varied
from harness.store.folders import Folder, require_no_way_out
from harness.store.minimized import BEGUN

_BEGUN: Final = (BEGUN, "state.json")
_RUNS: Final = "runs.jsonl"
_JOURNALS: Final = ("looks.jsonl", "attempts.jsonl", _RUNS)
_EXPLORED: Final = "explore.json"
_ANSWERS: Final = ("compare.json", "verify.json", "result.json", "shards.json", _EXPLORED)
_STAMP: Final = re.compile(r"(?:(\w+)-)?(\d{8}T\d{6}Z)-[0-9a-f]{4}")
_MOST_LOOKS: Final = 1000


@dataclass(frozen=True)
class ListedShortRun:
    """One of its short runs."""

    of: str
    """At what: a side, a candidate, an attempt."""
    said: str
    because: str
    signature: str
    daemon: str
    builds: int
    seconds: float
    run: str
    """The name of the run's folder."""


@dataclass(frozen=True)
class ListedSearch:
    """One of them."""

    path: Path
    kind: str
    """`compare`, `verify`, `bisect`, `minimize`, `explore` or `shards`."""
    scenario: str
    started: datetime | None
    is_over: bool | None
    """None where that cannot be told."""
    goes_on: bool
    answer: str
    because: str
    looks: tuple[ListedShortRun, ...]
    damaged: str = ""
    """What could not be read of it."""

    @property
    def name(self) -> str:
        """Its folder's name."""
        return self.path.name


def search_folders(results: Path) -> list[Path]:
    """Return the folders of those that there are below a results folder."""
    return sorted({file.parent for begun in _BEGUN for file in results.glob(f"*/*/{begun}")})


def search_of(path: Path) -> ListedSearch:
    """Return what a folder tells; what cannot be read is said."""
    stamp = _STAMP.fullmatch(path.name)
    started = datetime.strptime(stamp[2], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) if stamp else None
    kind = (stamp[1] if stamp else None) or "bisect"
    try:
        require_no_way_out(path, below=False)
        looks, answer = tuple(_looks(path))[:_MOST_LOOKS], _answer(path)
        damaged = ""
    except StoreError as error:
        looks, answer, damaged = (), {}, str(error)
    if kind == "explore" and answer:
        answer = _explored(answer)
    said = str(answer.get("verdict", ""))
    return ListedSearch(
        path=path,
        kind=kind,
        scenario=path.parent.name,
        started=started,
        is_over=bool(said) if kind in {"compare", "verify", "explore", "shards"} else None,
        goes_on=Folder(path).is_locked,
        answer=said,
        because=str(answer.get("because", "")),
        looks=looks,
        damaged=damaged,
    )


def _answer(path: Path) -> Mapping[str, Any]:
    file = next((path / name for name in _ANSWERS if (path / name).is_file()), None)
    return read_json(file, dict[str, Any]) if file else {}


def _explored(answer: Mapping[str, Any]) -> Mapping[str, str]:
    """Return what an exploration came to, as the others keep it."""
    mix, rate = answer.get("mix"), answer.get("rate")
    if not isinstance(mix, dict) or not mix:
        return {"verdict": "NO HANG", "because": f"no hang in {answer.get('searched')} mixes"}
    because = ", ".join(f"{name}={value}" for name, value in mix.items())
    if isinstance(rate, dict):
        because += f": {rate.get('hangs')} hangs in {rate.get('trials')} builds of fresh runs"
    ranking = answer.get("ranking")
    if isinstance(ranking, dict) and ranking:
        because += f"; what matters most is {next(iter(ranking))}"
    return {"verdict": "FOUND", "because": because}


def _mix_in_words(path: Path) -> Callable[[Mapping[str, Any]], str]:
    """Return what says which mix a run of an exploration was of."""
    begun = path / BEGUN
    asked = read_json(begun, dict[str, Any]).get("asked") if begun.is_file() else None
    vary = asked.get("vary") if isinstance(asked, dict) else None
    vary = vary if isinstance(vary, dict) else {}
    known = {name: Varied((*name.split("."),), (*each,)) for name, each in vary.items() if isinstance(each, list)}

    def in_words(point: Mapping[str, Any]) -> str:
        with suppress(LookupError, ValueError, TypeError):
            return ", ".join(f"{known[name].path[-1]} {known[name].at(value)}" for name, value in point.items())
        return ""

    return in_words


def _looks(path: Path) -> Iterator[ListedShortRun]:
    state = path / "state.json"
    if state.is_file():
        content = read_json(state, dict[str, Any])
        names = {number: each.get("name", "") for number, each in enumerate(_maps(content.get("candidates")))}
        for each in _maps(content.get("observations")):
            yield _look(each, str(names.get(int(each.get("candidate") or 0), "")))
    mix = _mix_in_words(path)
    for journal in (path / name for name in _JOURNALS):
        if journal.is_file():
            for each in _lines(journal):
                of = f"{each['side']}, {each.get('number')}" if "side" in each else each.get("what", "")
                if isinstance(point := each.get("point"), dict):
                    of = f"{each.get('phase')} {each.get('number')}: {mix(point)}"
                yield _look(each, str(of))


def _lines(journal: Path) -> Iterator[Mapping[str, Any]]:
    for line in read_text(journal).splitlines()[: 4 * _MOST_LOOKS]:
        try:
            yield from _maps([json.loads(line)])
        except ValueError:  # the last one, which a crash cut short
            return


def _look(entry: Mapping[str, Any], of: str) -> ListedShortRun:
    seen = entry.get("look")
    seen = seen if isinstance(seen, dict) else {}

    def text(name: str) -> str:
        return str(seen.get(name) or "")

    def count(name: str) -> float:
        value = seen.get(name)
        return value if isinstance(value, int | float) else 0

    return ListedShortRun(
        of=of,
        said=text("said"),
        because=text("because"),
        signature=text("signature"),
        daemon=text("daemon"),
        builds=int(count("builds")),
        seconds=float(count("seconds")),
        run=Path(text("folder")).name,
    )


def _maps(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a list of JSON; of anything else none."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
