"""A time to wait, fixed or random: ``2s``, ``{uniform: [0s, 50ms]}``, ``{exponential: 2s}``."""

from random import Random
from typing import Annotated, Self

from pydantic import Discriminator, RootModel, Tag, model_validator

from harness.core.model import StrictModel
from harness.core.quantities import Duration
from harness.core.units import format_duration


class Fixed(RootModel[Duration]):
    """Always the same."""

    def draw(self, random: Random) -> float:  # noqa: ARG002 — the same call for every kind
        """Return seconds."""
        return self.root

    @property
    def least(self) -> float:
        """The shortest wait, in seconds."""
        return self.root

    @property
    def mean(self) -> float:
        """The usual wait, in seconds."""
        return self.root

    @property
    def in_words(self) -> str:
        """What a sentence says of it."""
        return format_duration(self.root)


class Uniform(StrictModel):
    """Anything between two bounds, alike likely."""

    uniform: tuple[Duration, Duration]

    def draw(self, random: Random) -> float:
        """Return seconds."""
        return random.uniform(*self.uniform)

    @property
    def least(self) -> float:
        """The shortest wait, in seconds."""
        return self.uniform[0]

    @property
    def mean(self) -> float:
        """The usual wait, in seconds."""
        return sum(self.uniform) / 2

    @property
    def in_words(self) -> str:
        """What a sentence says of it."""
        return " to ".join(map(format_duration, self.uniform))

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.uniform[0] > self.uniform[1]:
            raise ValueError("the first bound of `uniform` is the lower one")
        return self


class Exponential(StrictModel):
    """The gaps of events that come at random at a steady rate; the value is their mean."""

    exponential: Duration

    def draw(self, random: Random) -> float:
        """Return seconds."""
        return random.expovariate(1 / self.exponential) if self.exponential else 0.0

    @property
    def least(self) -> float:
        """The shortest wait, in seconds."""
        return 0.0

    @property
    def mean(self) -> float:
        """The usual wait, in seconds."""
        return self.exponential

    @property
    def in_words(self) -> str:
        """What a sentence says of it."""
        return f"{format_duration(self.exponential)} on average"


def _kind(value: object) -> str:
    if isinstance(value, Uniform | Exponential):
        return type(value).__name__
    if isinstance(value, dict):
        return "Uniform" if "uniform" in value else "Exponential"
    return "Fixed"


Delay = Annotated[
    Annotated[Fixed, Tag("Fixed")] | Annotated[Uniform, Tag("Uniform")] | Annotated[Exponential, Tag("Exponential")],
    Discriminator(_kind),
]
"""Any of the three."""

NO_DELAY = Fixed(0.0)
