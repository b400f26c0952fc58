"""Looks at two sides, A and B, one after the other: a folder for what they say, a line in it for each as it is done."""

import json
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from harness.contrast import Exposure
from harness.dice import Dice
from harness.errors import StoreError, UsageError
from harness.look import Look, look
from harness.plan import RunOptions, plan_run
from harness.run import Audience, Nobody
from harness.scenario import Scenario
from harness.scenario.model import OnHang
from harness.store import RunFolder

Name = Literal["A", "B"]
_SEED_BITS: Final = 32
_QUIET: Final = OnHang(then="stop", probe=False)
"""A look ends with its hang; what the daemon still does then is a matter of a run by itself."""


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
    daemon: str
    """Kind and version; empty where none came up."""
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
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = results / scenario.name / f"{kind}-{stamp}-{secrets.token_hex(2)}"
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise StoreError(path, f"{error.strerror}; give another folder with --results") from error
        given = (seed, scenario.seed, secrets.randbits(_SEED_BITS))
        series = cls(path, results, next(each for each in given if each is not None), tuple(argv), audience)
        RunFolder(path).write_json("begun.json", {"argv": argv, "started": stamp, "seed": series.seed})
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
        seed = Dice(self.seed, "looks").throw(number).getrandbits(_SEED_BITS)
        scenario = side.scenario.model_copy(update={"on_hang": _QUIET})
        done = await look(
            scenario,
            side.toolchain,
            results=self.results,
            iterations=iterations,
            seed=seed,
            audience=self.audience,
            argv=self.argv,
        )
        seen = _counted(side.name, number, done)
        self.looks.append(seen)
        with (self.path / "looks.jsonl").open("a") as file:
            file.write(json.dumps(asdict(seen)) + "\n")
        return seen

    def conclude(self, name: str, content: object) -> None:
        """Write the last file."""
        RunFolder(self.path).write_json(name, content)


def _counted(side: Name, number: int, done: Look) -> Seen:
    """Return a look as it counts.

    A hang behind a build that was timed out is no trial of the run's rate, but it ends the look all the same: here it
    is one, after those that came to their end.
    """
    hung = done.said == "hang"
    daemon, hangs = "", 0
    with suppress(StoreError):
        summary = RunFolder(Path(done.folder)).summary()
        if summary:
            daemon, hangs = _named(summary.daemon), summary.rate.hangs
    return Seen(side, number, Exposure(done.trials + (hung and not hangs), hung), daemon, done)


def _named(daemon: Any) -> str:
    return " ".join(str(daemon[key]) for key in ("kind", "version") if daemon.get(key))
