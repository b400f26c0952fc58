"""``{vary: [50ms, 5s]}``, ``{vary: [load, image, oci]}``: values that a scenario leaves open, for `repro explore`.

Two durations, sizes or numbers are the ends of a range; anything else is a choice of what stands there. The ends of a
range that is wide are a factor apart, so it is searched by factors: as likely from 50ms to 500ms as from 500ms to 5s.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from harness.core.units import format_duration, parse_duration, parse_size, spell_size
from harness.scenario.places import Document, KeyPath

KEY: Final = "vary"
_WIDE: Final = 5
"""The factor between the ends of a range from which on it is searched by factors."""

Kind = Literal["choice", "duration", "size", "integer", "number"]
Mix = Mapping[KeyPath, Any]
"""What is chosen, as YAML would have it, by where it stands."""


@dataclass(frozen=True)
class Varied:
    """One value that is left open."""

    path: KeyPath
    values: tuple[Any, ...]
    """As they are written."""

    @property
    def name(self) -> str:
        """Its place, as one word."""
        return ".".join(str(part) for part in self.path)

    @property
    def kind(self) -> Kind:
        """What it is a range of, or that it is a choice."""
        if len(self.values) != 2 or any(isinstance(value, bool) for value in self.values):
            return "choice"
        if all(isinstance(value, int) for value in self.values):
            return "integer"
        if all(isinstance(value, int | float) for value in self.values):
            return "number"
        kinds: Mapping[Kind, Any] = {"duration": parse_duration, "size": parse_size}
        for kind, parse in kinds.items():
            try:
                for value in self.values:
                    parse(value)
            except ValueError:
                continue
            return kind
        return "choice"

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of a range, the lower one first, in seconds, bytes, or as numbers."""
        parse = {"duration": parse_duration, "size": parse_size}.get(self.kind, float)
        low, high = sorted(float(parse(value)) for value in self.values)
        return low, high

    @property
    def by_factors(self) -> bool:
        """Whether a range is searched so."""
        low, high = self.ends
        return low > 0 and high / low >= _WIDE

    def written(self, value: float) -> Any:
        """Return a value in the range as YAML has it: of durations a millisecond is enough."""
        match self.kind:
            case "duration":
                return format_duration(round(value, 3))
            case "size":
                return spell_size(round(value))
            case "integer":
                return round(value)
        return float(f"{value:.4g}")

    def at(self, point: float) -> Any:
        """Return what is written for a point of a search: which of the choices, or a value in the range."""
        return self.values[int(point)] if self.kind == "choice" else self.written(point)

    @property
    def in_words(self) -> str:
        """What a sentence says of it."""
        between = " to " if self.kind != "choice" else ", "
        return between.join(str(value) for value in self.values)

    @property
    def wrong(self) -> str:
        """What makes it nothing that can be varied; empty where nothing does."""
        if len(self.values) < 2:
            return "takes two ends of a range, or two choices at least"
        if self.kind != "choice" and self.ends[0] == self.ends[1]:
            return "has two ends that are the same"
        return ""


def varied(document: Document) -> list[Varied]:
    """Return what a document leaves open, in its order."""
    return [*_below(document.data, ())]


def _below(value: Any, path: KeyPath) -> Iterator[Varied]:
    if isinstance(value, dict):
        if set(value) == {KEY} and isinstance(value[KEY], list):
            yield Varied(path, tuple(value[KEY]))
            return
        for key, each in value.items():
            yield from _below(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _below(each, (*path, index))


def settle(document: Document, mix: Mix) -> None:
    """Put what is chosen where it belongs."""
    for path, value in mix.items():
        here: Any = document.data
        for part in path[:-1]:
            here = here[part]
        here[path[-1]] = value


def first_of_each(left_open: Sequence[Varied]) -> dict[KeyPath, Any]:
    """Return a mix of the first value of each, which says whether the rest of a scenario is well-formed."""
    return {each.path: each.values[0] for each in left_open if each.values}
