"""What something of ours takes beside what one would do without it, measured in turn; a row of the README's table."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Self


@dataclass(frozen=True)
class Ratio:
    """Some rounds of ours and of the other, in the same unit."""

    what: str
    """What is measured, and in what unit."""
    beside: str
    """What it is compared with."""
    ours: Sequence[float]
    other: Sequence[float]
    """Of the same rounds."""
    digits: int = 2

    @classmethod
    def of(cls, what: str, beside: str, rounds: Sequence[tuple[float, float]], digits: int = 2) -> Self:
        """Return what rounds came to, each ours and the other."""
        return cls(what, beside, [ours for ours, _ in rounds], [other for _, other in rounds], digits)

    @property
    def ratios(self) -> list[float]:
        """Ours by the other, a round each, ascending."""
        return sorted(ours / other for ours, other in zip(self.ours, self.other, strict=True))

    def cells(self) -> tuple[str, ...]:
        """Return the row: what, beside what, medians of both, the median ratio with its range, and how many rounds."""
        low, high = self.ratios[0], self.ratios[-1]
        medians = (f"{median(values):.{self.digits}f}" for values in (self.ours, self.other))
        told = f"{median(self.ratios):.3g} ({low:.3g} to {high:.3g})"
        return (self.what, self.beside, *medians, told, str(len(self.ratios)))

    def __str__(self) -> str:
        """Return it as a line of text."""
        what, beside, ours, other, ratio, rounds = self.cells()
        return f"{what}: {ours}, {beside} {other}, ratio {ratio}, {rounds} rounds"
