"""How findings are named in a sentence: the noun of each kind, and what a daemon does that shows one."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Final, Self

from harness.core.outcome import Outcome, Symptom


@dataclass(frozen=True)
class Wording:
    """The words for what is found, or looked for; several kinds are joined by `or`."""

    noun: str
    """A ..."""
    plural: str
    """3 ..."""
    base: str
    """B does not ..."""
    third: str
    """B ..."""
    past: str
    """A ... 3 times."""

    @classmethod
    def of(cls, kinds: Iterable[str]) -> Self:
        """Return the words for these kinds; those for a hang where there are none, as records of earlier have it."""
        words = [_BY_KIND[kind] for kind in dict.fromkeys(kinds) if kind] or [_BY_KIND[Outcome.HANG]]
        return cls(*(" or ".join(getattr(each, field.name) for each in words) for field in fields(cls)))

    def counted(self, number: int) -> str:
        """Return how many: `1 hang`, `3 hangs`."""
        return f"{number} {self.noun if number == 1 else self.plural}"


_BY_KIND: Final[dict[str, Wording]] = {
    Outcome.HANG: Wording("hang", "hangs", "hang", "hangs", "hung"),
    Outcome.STALL: Wording("stall", "stalls", "stall", "stalls", "stalled"),
    Outcome.LATE_FAILURE: Wording("late failure", "late failures", "fail late", "fails late", "failed late"),
    Symptom.FAILURE: Wording("failure", "failures", "fail", "fails", "failed"),
    Symptom.DEATH: Wording("death", "deaths", "die", "dies", "died"),
    Symptom.ACT: Wording(
        "unanswered act",
        "unanswered acts",
        "leave an act unanswered",
        "leaves an act unanswered",
        "left an act unanswered",
    ),
    Symptom.GROWTH: Wording("growth", "growths", "grow", "grows", "grew"),
    Symptom.INCONSISTENCY: Wording(
        "inconsistency", "inconsistencies", "contradict itself", "contradicts itself", "contradicted itself"
    ),
    Symptom.CONTENT: Wording(
        "wrong result", "wrong results", "give a wrong result", "gives a wrong result", "gave a wrong result"
    ),
    Symptom.MISS: Wording("cache miss", "cache misses", "miss its cache", "misses its cache", "missed its cache"),
    Symptom.SLOW: Wording("slow return", "slow returns", "return slowly", "returns slowly", "returned slowly"),
}


def none_of(kinds: Iterable[str]) -> str:
    """Return that nothing of these kinds came: `no hang and no stall`, `no hang, stall or death`."""
    nouns = [Wording.of([kind]).noun for kind in dict.fromkeys(kinds)] or ["hang"]
    if len(nouns) > 2:
        return f"no {', '.join(nouns[:-1])} or {nouns[-1]}"
    return " and ".join(f"no {noun}" for noun in nouns)
