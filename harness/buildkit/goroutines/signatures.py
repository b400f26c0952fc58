"""The signatures of what is known (``signatures.yaml``), and which of them dumps bear."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import yaml
from packaging.version import InvalidVersion, Version
from pydantic import Field, TypeAdapter

from harness.buildkit.goroutines.difference import Dump, Kind, Reading
from harness.buildkit.goroutines.model import Goroutine
from harness.core.model import Written

_FILE: Final = Path(__file__).with_name("signatures.yaml")


class Signature(Written):
    """One thing that is known; the file says what each key means."""

    name: str
    means: str
    kind: Kind | None = None
    stacks: tuple[tuple[str, ...], ...] = ()
    creator: str | None = None
    least: int = 1
    suspect: bool = False
    where: str = ""
    affected: dict[str, tuple[str | None, str | None]] = Field(default_factory=dict)
    link: str

    @property
    def place(self) -> str:
        """The function that it is named after, in short: ``solver.(*exporter).ExportTo``."""
        return (self.where or self.stacks[0][-1]).rpartition("/")[2]

    @property
    def fixed_in(self) -> dict[str, str]:
        """The first version of each product that has the fix, where one has."""
        return {product: fixed for product, (_, fixed) in self.affected.items() if fixed}

    def fits(self, dumps: Sequence[Dump], reading: Reading) -> bool:
        """Whether dumps that read so bear it."""
        if self.kind is not None and self.kind is not reading.kind:
            return False
        everyone = [each for dump in dumps for each in dump]
        if self.creator is not None:
            return all(sum(self._made(each) for each in dump) >= self.least for dump in dumps)
        return all(any(_bears(each, stack) for each in everyone) for stack in self.stacks)

    def _made(self, each: Goroutine) -> bool:
        return each.creator is not None and each.creator.function == self.creator

    def affects(self, product: str, version: str) -> bool | None:
        """Return whether a version is one of those affected; None where that cannot be told."""
        if product not in self.affected:
            return None
        first, fixed = self.affected[product]
        try:
            here = Version(version.removeprefix("v"))
            return not (first and here < Version(first)) and not (fixed and here >= Version(fixed))
        except InvalidVersion:
            return None


def _bears(each: Goroutine, stack: Sequence[str]) -> bool:
    """Whether functions stand on a goroutine's stack, in their order."""
    functions = iter(frame.function for frame in each.frames)
    return all(wanted in functions for wanted in stack)


@cache
def signatures() -> tuple[Signature, ...]:
    """Return all that are known."""
    return TypeAdapter(tuple[Signature, ...]).validate_python(yaml.safe_load(_FILE.read_text()))
