"""Looks at two sides, A and B, one after the other: a folder for what they say, a line in it for each as it is done."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from harness.contrast import Exposure
from harness.dice import SEED_BITS, Dice, first_seed
from harness.errors import UsageError
from harness.look import Look, look
from harness.plan import RunOptions, plan_run
from harness.run import Audience, Nobody
from harness.scenario import Scenario
from harness.store import RunFolder, new_folder

Name = Literal["A", "B"]


class DaemonsOfItsOwn(UsageError):
    """A scenario that names its daemons, where each side has one."""

    def __init__(self, daemons: Iterable[str]) -> None:
        super().__init__(
            f"the scenario has daemons of its own ({', '.join(daemons)}), and A and B are one each: write `daemon` "
            "instead of `daemons`, and say what differs with --set-a and --set-b"
        )


@dataclass(frozen=True)
class Side:
    """One of the two that are looked at."""

    name: Name
    toolchain: str
    scenario: Scenario
    settings: tuple[str, ...] = ()
    """What is set for this side alone."""

    def __post_init__(self) -> None:
        if self.scenario.daemons:
            raise DaemonsOfItsOwn(self.scenario.daemons)

    async def require(self, results: Path, audience: Audience) -> None:
        """See that it can be had, before hours are spent on the other one.

        Raises:
            UsageError, InfraError: it cannot.
        """
        await plan_run("", self.scenario, RunOptions(results, self.toolchain), audience.preparing)


@dataclass(frozen=True)
class Seen:
    """One look at one side, as it counts."""

    side: Name
    number: int
    """Which one at this side it is, from 1."""
    exposure: Exposure
    look: Look


@dataclass
class Series:
    """The looks so far, in the order in which they were done."""

    path: Path
    results: Path
    seed: int
    argv: tuple[str, ...] = ()
    audience: Audience = field(default_factory=Nobody)
    looks: list[Seen] = field(default_factory=list)

    @classmethod
    def begin(
        cls, kind: str, scenario: Scenario, results: Path, *, seed: int | None, argv: Sequence[str], audience: Audience
    ) -> "Series":
        """Make the folder of a new one, `results/<scenario>/<kind>-<UTC time>-<4 hex>`, and write what it is to be.

        Raises:
            StoreError: it cannot be made.
        """
        path = new_folder(results / scenario.name, kind=kind)
        series = cls(path, results, first_seed(seed, scenario.seed), tuple(argv), audience)
        started = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        RunFolder(path).write_json("begun.json", {"argv": argv, "started": started, "seed": series.seed})
        return series

    def of(self, side: Name) -> list[Seen]:
        """Return the looks at a side."""
        return [seen for seen in self.looks if seen.side == side]

    async def look(self, side: Side, iterations: int) -> Seen:
        """Look at a side once more; its n-th look has the same plan of actions as the other side's n-th.

        Raises:
            UsageError, InfraError, SubjectError: the look could not be begun.
            Interrupted: it was ended by the user.
        """
        number = len(self.of(side.name)) + 1
        seed = Dice(self.seed, "looks").throw(number).getrandbits(SEED_BITS)
        done = await look(
            side.scenario,
            side.toolchain,
            results=self.results,
            iterations=iterations,
            seed=seed,
            audience=self.audience,
            argv=self.argv,
        )
        seen = Seen(side.name, number, Exposure(done.builds, done.said == "hang"), done)
        self.looks.append(seen)
        with (self.path / "looks.jsonl").open("a") as file:
            file.write(json.dumps(asdict(seen)) + "\n")
        return seen

    def conclude(self, name: str, content: object) -> None:
        """Write the last file."""
        RunFolder(self.path).write_json(name, content)
