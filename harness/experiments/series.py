"""Looks at two sides, A and B, one after the other: a folder for what they say, a line in it for each as it is done.

What is asked next follows from what was seen. So a series that was ended goes on by being asked the same once more:
what its folder has is not looked at again.
"""

import math
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, Final, Literal

import anyio
from anyio.abc import TaskGroup

from harness.analysis.exposure import Exposure
from harness.core.errors import HarnessError, Interrupted, UsageError
from harness.core.rng import SEED_BITS, Dice, first_seed
from harness.experiments.earlier import AskedElse, differing, earlier_folder
from harness.experiments.journal import entries, line_of
from harness.experiments.runner import LocalRunner, Runner
from harness.experiments.short_run import ShortRun, look
from harness.experiments.successor import HARNESS
from harness.host.interrupt import first_of
from harness.run.observer import NullObserver, Reporter
from harness.run.plan import RunOptions
from harness.scenario import Scenario
from harness.scenario.dump import dump
from harness.store.folder import RunFolder
from harness.store.folders import host_in, new_folder
from harness.store.minimized import BEGUN

Name = Literal["A", "B"]

_LOOKS: Final = "looks.jsonl"


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

    @property
    def asked(self) -> Mapping[str, Any]:
        """All that makes it what it is, as JSON keeps it."""
        return {"toolchain": self.toolchain, "settings": [*self.settings], "scenario": dump(self.scenario)}


@dataclass(frozen=True)
class Question:
    """What is asked of two sides; a series goes on only as the answer to the same one."""

    kind: Literal["compare", "verify"]
    sides: tuple[Side, Side]
    words: Mapping[str, Any]
    """What else its looks depend on, or its verdict, as JSON keeps it: by the name that a person has for it."""
    seed: int | None = None
    """Of all looks; None: the scenario's, or one by chance."""
    seconds: float | None = None
    """How long it may take; None: for ever. It goes on with more of that, not with less: that asks in another order."""

    @property
    def scenario(self) -> Scenario:
        """The one that both sides run, but for what is set for one of them."""
        return self.sides[0].scenario

    @property
    def asked(self) -> dict[str, Any]:
        """All of it but the seed, by name."""
        of_sides = {f"{what} of {side.name}": value for side in self.sides for what, value in side.asked.items()}
        return {"command": self.kind} | of_sides | dict(self.words)


@dataclass(frozen=True)
class SeenRun:
    """One look at one side, as it counts."""

    side: Name
    number: int
    """Which one at this side it is, from 1."""
    exposure: Exposure
    look: ShortRun
    seconds: float
    """What all looks up to it have taken."""
    known: bool = False
    """Whether an earlier process made it."""


@dataclass
class _Begun:
    """A look on its way."""

    over: anyio.Event = field(default_factory=anyio.Event)
    seen: SeenRun | None = None
    error: HarnessError | None = None

    async def outcome(self) -> SeenRun:
        """Wait for it."""
        await self.over.wait()
        if self.seen is None:
            raise self.error or Interrupted
        return self.seen


@dataclass
class Series:
    """The looks so far, in the order in which they were done."""

    path: Path
    results: Path
    seed: int
    argv: tuple[str, ...] = ()
    audience: Reporter = field(default_factory=NullObserver)
    runner: Runner = field(default_factory=LocalRunner)
    """Who makes its short runs."""
    looks: list[SeenRun] = field(default_factory=list)
    known: list[SeenRun] = field(default_factory=list)
    """What an earlier process saw, and is not asked for yet."""
    seconds: float = 0.0
    """What it took so far, by the end of its last look."""
    _since: float = field(default_factory=monotonic)
    _begun: dict[tuple[Name, int], "_Begun"] = field(default_factory=dict)
    """What is made before its turn: looks by their side and number."""
    _next: tuple[Side, int, range] | None = None
    """What is asked for, and is likely to be next: the side, the iterations of a look, and the numbers of the looks."""
    _tasks: TaskGroup | None = None

    @classmethod
    def begin(cls, question: Question, results: Path, argv: Sequence[str], audience: Reporter) -> "Series":
        """Make the folder of a new one, `results/<scenario>/<kind>-<UTC time>-<4 hex>`, and write what it is to be.

        Args:
            question: what is asked.
            results: where runs are kept.
            argv: the command line, for the record.
            audience: who looks on.

        Raises:
            StoreError: it cannot be made.
        """
        path = new_folder(results / question.scenario.name, kind=question.kind)
        series = cls(path, results, first_seed(question.seed, question.scenario.seed), tuple(argv), audience)
        started = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        begun = {
            "argv": argv,
            "started": started,
            "seed": series.seed,
            "asked": question.asked,
            "seconds": question.seconds,
        }
        RunFolder(path).write_json(BEGUN, begun)
        return series

    @classmethod
    def resume(cls, name: str, question: Question, results: Path, argv: Sequence[str], audience: Reporter) -> "Series":
        """Go on with one that was ended, at whatever time; the look that it was in the middle of is made anew.

        Args:
            name: its folder, the end of that one's name, or `last`.
            question: what was asked then, and is again.
            results: where runs are kept.
            argv: the command line, for the record of its looks.
            audience: who looks on.

        Raises:
            NoSuchSearch: there is none of that name, or several.
            AskedElse: it was asked something else.
            RunGoesOn: another process is in the middle of it.
            StoreError: it cannot be read.
        """
        path = earlier_folder(name, results / question.scenario.name, question.kind)
        with RunFolder(path).locked():
            begun, known = RunFolder(path).read_json(BEGUN), entries(path / _LOOKS, SeenRun)
        differ = differing(begun, question.asked)
        if question.seed not in {None, begun["seed"]}:
            differ.append("--seed")
        if (question.seconds or math.inf) < (begun["seconds"] or math.inf):
            differ.append("--time, which is shorter")
        if differ:
            raise AskedElse(path, differ)
        RunFolder(path).write_json(BEGUN, begun | {"seconds": question.seconds})
        return cls(path, results, begun["seed"], tuple(argv), audience, known=known)

    def going_on(self) -> AbstractContextManager[None]:
        """Lock the series for this process.

        Raises:
            RunGoesOn: another process has it.
        """
        return RunFolder(self.path).locked()

    async def require(self, *sides: Side) -> None:
        """See that all sides can be had, and are what they were when it was begun.

        Raises:
            UsageError, InfraError: one cannot.
            AskedElse: one is of other binaries than it was.
        """
        folder = RunFolder(self.path)
        begun = folder.read_json(BEGUN)
        has = {}
        try:
            for side in sides:
                options = RunOptions(self.results, side.toolchain)
                has[side.name] = await self.runner.obtain(side.scenario, options, self.audience)
        except HarnessError:
            if "binaries" not in begun:
                self._forget()
            raise
        had = begun.setdefault("binaries", has)
        if differ := [f"the binaries of {name}" for name in has if had[name] != has[name]]:
            raise AskedElse(self.path, differ)
        folder.write_json(BEGUN, begun)

    def _forget(self) -> None:
        """Remove the folder of what has not seen anything yet, and that of its scenario where nothing else is in it."""
        with suppress(OSError):
            for name in (BEGUN, HARNESS):
                (self.path / name).unlink(missing_ok=True)
            self.path.rmdir()
            self.path.parent.rmdir()

    def of(self, side: Name) -> list[SeenRun]:
        """Return the looks at a side."""
        return [seen for seen in self.looks if seen.side == side]

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Have looks made before it is their turn, where the runner has places for them; what is not awaited ends."""
        try:
            async with anyio.create_task_group() as self._tasks:
                yield
                self._tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise first_of(group) from None
        finally:
            self._tasks = None

    async def look(self, side: Side, iterations: int, ahead: int = 0) -> SeenRun:
        """Look at a side once more; its n-th look has the same plan of actions as the other side's n-th.

        Looks count in the order in which they are asked for, whichever is over first: else those that hang, which are
        short, would count before those that do not.

        Args:
            side: what is looked at.
            iterations: of the look, at most.
            ahead: how many more looks at this side are likely to be asked for, and may be begun as well.

        Raises:
            UsageError, InfraError, SubjectError: the look could not be begun.
            Interrupted: it was ended by the user.
        """
        number = len(self.of(side.name)) + 1
        known = next((seen for seen in self.known if (seen.side, seen.number) == (side.name, number)), None)
        if known:
            self.known.remove(known)
            self.seconds, self._since = max(self.seconds, known.seconds), monotonic()
            self.looks.append(replace(known, known=True))
            return self.looks[-1]
        self._next = (side, iterations, range(number, number + 1 + ahead))
        self._fill()
        if self._side_by_side and (side.name, number) not in self._begun:
            self._begin(side, number, iterations)
        begun = self._begun.get((side.name, number))
        seen = await (begun.outcome() if begun else self._made(side, number, iterations))
        self.looks.append(seen)
        self._begun.pop((side.name, number), None)
        return seen

    @property
    def _side_by_side(self) -> bool:
        return self._tasks is not None and self.runner.slots > 1

    def _fill(self) -> None:
        """Begin what is likely to be asked for next, as far as there are places; also as one is over out of turn."""
        if not self._side_by_side or self._next is None:
            return
        side, iterations, numbers = self._next
        had = {seen.number for seen in (*self.looks, *self.known) if seen.side == side.name}
        for number in numbers:
            running = sum(not each.over.is_set() for each in self._begun.values())
            if running < self.runner.slots and number not in had and (side.name, number) not in self._begun:
                self._begin(side, number, iterations)

    def _begin(self, side: Side, number: int, iterations: int) -> None:
        """Start a short run beside those in progress."""
        begun = self._begun[(side.name, number)] = _Begun()

        async def make() -> None:
            try:
                begun.seen = await self._made(side, number, iterations)
            except HarnessError as error:  # who waits for it is told; one that nobody waits for is not missed
                begun.error = error
            begun.over.set()
            if not begun.error:
                self._fill()

        if self._tasks:
            self._tasks.start_soon(make)

    async def _made(self, side: Side, number: int, iterations: int) -> SeenRun:
        """Make a look, and save what came of it, whether or not it is its turn."""
        done = await look(
            side.scenario,
            side.toolchain,
            results=self.results,
            iterations=iterations,
            seed=Dice(self.seed, "looks").throw(number).getrandbits(SEED_BITS),
            audience=self.audience,
            runner=self.runner,
            argv=self.argv,
        )
        self.seconds, self._since = self.seconds + monotonic() - self._since, monotonic()
        exposure = Exposure(done.builds, done.said == "hang", host_in(Path(done.folder).name))
        seen = SeenRun(side.name, number, exposure, done, self.seconds)
        with (self.path / _LOOKS).open("a") as file:
            file.write(line_of(seen))
        return seen

    def conclude(self, name: str, content: object) -> None:
        """Write the last file."""
        RunFolder(self.path).write_json(name, content)
