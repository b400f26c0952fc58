"""The signatures of what is known (``signatures.yaml``), and which of them dumps bear."""

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import Final

import yaml
from packaging.version import InvalidVersion, Version
from pydantic import Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails

from harness.buildkit.engines import engines_between
from harness.buildkit.goroutines.model import Frame, Goroutine
from harness.buildkit.goroutines.reading import REQUEST, Dump, Kind, Reading
from harness.buildkit.goroutines.waits import is_busy
from harness.core.model import StrictModel

_FOR_A_BUILD: Final = 4
"""Goroutines of one kind that a build may have of its own: as many are no leak."""
_FILE: Final = Path(__file__).with_name("signatures.yaml")


class Signature(StrictModel):
    """One thing that is known; the file says what each key means."""

    name: str
    means: str
    kind: Kind | None = None
    stacks: tuple[tuple[str, ...], ...] = ()
    creator: str | None = None
    least: int = 1
    wakes: bool = False
    state: str = ""
    says: str = ""
    suspect: bool = False
    where: str = ""
    affected: dict[str, tuple[str | None, str | None]] = Field(default_factory=dict)
    link: str

    @model_validator(mode="after")
    def _is_usable(self) -> "Signature":
        """Refuse a signature that no dump can match, or with a version that is none."""
        if not self.stacks and self.creator is None:
            raise ValueError("needs `stacks` or a `creator`: nothing tells it from another")
        if any(not stack for stack in self.stacks):
            raise ValueError("has a stack without a function")
        for product, versions in self.affected.items():
            for version in filter(None, versions):
                try:
                    Version(version.removeprefix("v"))
                except InvalidVersion as error:
                    raise ValueError(f"{product} {version!r} is no version") from error
        return self

    @property
    def place(self) -> str:
        """The function that it is named after, in short: ``solver.(*exporter).ExportTo``."""
        return (self.where or self.stacks[0][-1]).rpartition("/")[2].removesuffix("*")

    @property
    def fixed_in(self) -> dict[str, str]:
        """The first version of each product that has the fix, where one has."""
        return {product: fixed for product, (_, fixed) in self.ranges.items() if fixed}

    @property
    def ranges(self) -> Mapping[str, tuple[str | None, str | None]]:
        """The first version that has it, and the first with the fix, by product; an Engine's by the BuildKit in it."""
        inside = engines_between(*self.affected["BuildKit"]) if "BuildKit" in self.affected else None
        return self.affected if inside is None or "Engine" in self.affected else {**self.affected, "Engine": inside}

    def fits(self, dumps: Sequence[Dump], reading: Reading) -> bool:
        """Whether dumps that read so bear it."""
        if self.kind is not None and self.kind is not reading.kind:
            return False
        everyone = [each for dump in dumps for each in dump]
        if self.creator is not None:
            return len(self.gathered(dumps)) >= self.least + _FOR_A_BUILD * _builds(dumps[-1])
        if self.says not in reading.because:
            return False
        if reading.kind in {Kind.DEADLOCK, Kind.LIVELOCK} and not self.suspect:
            held = set(reading.goroutines)
            everyone = [each for each in everyone if each.id in held]
        if reading.kind is Kind.CRASHED:
            everyone = everyone[:1]
        return all(bearers(everyone, stack, self.state) for stack in self.stacks)

    def is_among(self, functions: Collection[str]) -> bool:
        """Whether all functions of its stacks are among those of dumps; where one is not, it does not fit them."""
        return all(
            any(map(str.startswith, functions, repeat(wanted[:-1]))) if wanted.endswith("*") else wanted in functions
            for stack in self.stacks
            for wanted in stack
        )

    def gathered(self, dumps: Sequence[Dump]) -> set[int]:
        """Return the ids of those made by its creator that are in every dump.

        None where none has waited a minute, unless they wake up by themselves.
        """
        everyone = [{each.id: each for each in dump if self._made(each)} for dump in dumps]
        shared = set(everyone[0]).intersection(*everyone[1:])
        return shared if self.wakes or any(everyone[-1][id_].minutes for id_ in shared) else set()

    def consistent_with(self, dump: Dump) -> bool:
        """Whether one dump looks as this would: goroutines at its places, those of a wait for a minute or more."""
        if self.kind is None or not self.stacks:
            return False
        bearing = [bearers(dump, stack, self.state) for stack in self.stacks]
        if self.kind is Kind.LIVELOCK:
            return all(any(map(is_busy, found)) for found in bearing)
        return all(bearing) and any(each.minutes for found in bearing for each in found)

    def _made(self, each: Goroutine) -> bool:
        return each.creator is not None and each.creator.function == self.creator

    def affects(self, product: str, version: str) -> bool | None:
        """Return whether a version is one of those affected; None where that cannot be told."""
        if product not in self.ranges:
            return None
        first, fixed = self.ranges[product]
        try:
            here = Version(version.removeprefix("v"))
            return not (first and here < Version(first)) and not (fixed and here >= Version(fixed))
        except InvalidVersion:
            return None


def _builds(dump: Dump) -> int:
    return sum(any(frame.function.startswith(REQUEST) for frame in each.frames) for each in dump)


def bearers(of: Sequence[Goroutine], stack: Sequence[str], state: str) -> list[Goroutine]:
    """Return the goroutines with these functions on their stacks, in this order; a shared stack is searched once."""
    known: dict[int, bool] = {}
    found = []
    for each in of:
        if state in ("", each.state):
            key = id(each.frames)  # `of` holds them all, so that no other can have it
            if key not in known:
                known[key] = _bears(each.frames, stack)
            if known[key]:
                found.append(each)
    return found


def _bears(frames: Sequence[Frame], stack: Sequence[str]) -> bool:
    """Whether functions stand on a stack in their order; a loop of the plainest kind, for a dump may have 90,000."""
    ahead = iter(stack)
    wanted = next(ahead)
    begins = wanted[:-1] if wanted.endswith("*") else None
    for frame in frames:
        function = frame.function
        if function == wanted or (begins is not None and function.startswith(begins)):
            wanted = next(ahead, "")
            if not wanted:
                return True
            begins = wanted[:-1] if wanted.endswith("*") else None
    return False


def among(dumps: Sequence[Dump], *files: Path) -> list[Signature]:
    """Return those of the known signatures whose functions are all in dumps.

    Raises:
        OSError, ValueError: as `signatures` does.
    """
    stacks = {id(each.frames): each.frames for dump in dumps for each in dump}
    functions = {frame.function for frames in stacks.values() for frame in frames}
    return [each for each in signatures(*files) if each.is_among(functions)]


@cache
def signatures(*files: Path) -> tuple[Signature, ...]:
    """Return all that are known, those of a user's own files first.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file is not in the form of `signatures.yaml`; the message has a line for each problem.
    """
    return tuple(signature for file in (*files, _FILE) for signature in signatures_in(file))


def signatures_in(file: Path) -> tuple[Signature, ...]:
    """Return what a file has.

    Raises:
        OSError, ValueError: as `signatures` does.
    """
    try:
        written = yaml.safe_load(file.read_text()) or ()
        found = TypeAdapter(tuple[Signature, ...]).validate_python(written)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    except ValidationError as error:
        raise ValueError("; ".join(_problem_line(problem, written) for problem in error.errors())) from error
    twice = sorted(name for name, count in Counter(each.name for each in found).items() if count > 1)
    if twice:
        raise ValueError(f"two signatures have one name: {', '.join(twice)}")
    return found


def _problem_line(problem: ErrorDetails, written: object) -> str:
    """Return what is wrong with a file, and where: ``2 (my-deadlock), link: Field required``."""
    number, *keys = problem["loc"] or ("",)
    entry = written[number] if isinstance(written, list) and isinstance(number, int) else None
    name = f" ({entry['name']})" if isinstance(entry, dict) and "name" in entry else ""
    where = f"{number + 1 if isinstance(number, int) else number}{name}"
    return f"{', '.join(map(str, (where, *keys)))}: {problem['msg'].removeprefix('Value error, ')}"


def users_file() -> Path:
    """Return where a user's own signatures are looked for: ``~/.config/repro/signatures.yaml``."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "repro" / "signatures.yaml"


def users_files() -> tuple[Path, ...]:
    """Return the user's own file where there is one that can be read as such; `repro signatures` says why not."""
    try:
        signatures_in(users_file())
    except (OSError, ValueError):
        return ()
    return (users_file(),)
