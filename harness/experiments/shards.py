"""One run as many, side by side on the hosts of a fleet: each has its part of the builds, and a seed of its own.

Which of them came back stands in the runs themselves: each says of which shards it is one, and its seed says which one.
So shards go on after whatever ended them, by being asked the same once more. A line each beside them is for the page.
"""

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import anyio

from harness.core.errors import HarnessError, InfraError, Interrupted
from harness.core.records import Summary
from harness.core.rng import SEED_BITS, Dice, first_seed
from harness.experiments.earlier import AskedElse, differing, earlier_folder
from harness.experiments.journal import line_of
from harness.experiments.runner import Runner
from harness.experiments.short_run import ShortRun, seen_in
from harness.host.interrupt import first_of
from harness.run.observer import Reporter
from harness.run.plan import RunOptions
from harness.scenario import Scenario
from harness.scenario.dump import dump
from harness.store.find import shards_in
from harness.store.folder import RunFolder
from harness.store.folders import new_folder
from harness.store.minimized import BEGUN

KIND: Final = "shards"
_LOOKS: Final = "looks.jsonl"


class NoShard(InfraError):
    """A run none of whose shards was made."""

    def __init__(self, why: str) -> None:
        super().__init__(f"no shard was made: {why}")


@dataclass(frozen=True)
class MadeShard:
    """A line in the journal."""

    what: str
    look: ShortRun


@dataclass(frozen=True)
class Shards:
    """A folder for some shards; what came back of them lies beside it, as any other run."""

    path: Path
    scenario: Scenario
    options: RunOptions
    """Of all of them; `shards` is how many."""
    seed: int

    @classmethod
    def begin(cls, scenario: Scenario, options: RunOptions) -> "Shards":
        """Make the folder of new ones, ``results/<scenario>/shards-<UTC time>-<4 hex>``, and write what they are to be.

        Raises:
            StoreError: it cannot be made.
        """
        path, seed = new_folder(options.results / scenario.name, kind=KIND), first_seed(options.seed, scenario.seed)
        RunFolder(path).write_json(BEGUN, {"argv": options.argv, "seed": seed, "asked": _asked(scenario, options)})
        return cls(path, scenario, options, seed)

    @classmethod
    def resume(cls, name: str, scenario: Scenario, options: RunOptions) -> "Shards":
        """Go on with earlier ones, which were asked for in the same words.

        Args:
            name: their folder, the end of its name, or `last`.
            scenario: with one daemon.
            options: as then.

        Raises:
            NoSuchSearch: there are none of that name, or several.
            AskedElse: they were asked something else.
            StoreError: their folder cannot be read.
        """
        path = earlier_folder(name, options.results / scenario.name, KIND, "run in shards")
        begun = RunFolder(path).read_json(BEGUN)
        differ = differing(begun, _asked(scenario, options))
        if options.seed not in {None, begun["seed"]}:
            differ.append("--seed")
        if differ:
            raise AskedElse(path, differ)
        return cls(path, scenario, options, begun["seed"])

    def seed_of(self, number: int) -> int:
        """Return the seed of a shard, by its number from 1."""
        return Dice(self.seed, "shards").throw(number).getrandbits(SEED_BITS)

    def came_back(self) -> dict[int, tuple[Summary, RunFolder]]:
        """Return what was made of them already, by the number of the shard."""
        number_of = {self.seed_of(number): number for number in range(1, self.options.shards + 1)}
        made = {}
        for run in shards_in(self.path):
            if (summary := run.summary()) and (number := number_of.get(run.manifest().seed)):
                made[number] = summary, run
        return made

    async def run(
        self, runner: Runner, reporter_of: Callable[[str], Reporter], known: Callable[[int, RunFolder], None]
    ) -> list[tuple[Summary, RunFolder]]:
        """Make those that are not there yet, each to its own end.

        One that hangs does not end the others: their builds without a hang count in the rate as much as its own.

        Args:
            runner: makes them, as many at once as it can.
            reporter_of: who looks on, by the number of the shard.
            known: is told of each that came back before.

        Returns:
            All that were made, in the order of their numbers; of one that was not, its reporter is told.

        Raises:
            NoShard: none was made.
            RunGoesOn: another process makes them.
            UsageError: they cannot be obtained as asked.
            Interrupted: by the user.
        """
        with RunFolder(self.path).locked():
            made = self.came_back()
            for number in sorted(made):
                known(number, made[number][1])
            self._tell(made, anew=True)
            why = await self._make(made, runner, reporter_of)
        if not made:
            raise NoShard(why) if why else Interrupted
        return [made[number] for number in sorted(made)]

    async def _make(
        self, made: dict[int, tuple[Summary, RunFolder]], runner: Runner, reporter_of: Callable[[str], Reporter]
    ) -> str:
        """Make what is missing, and return why the first that was not made was not."""
        most = self.scenario.stop.iterations
        each = most and math.ceil(most / self.options.shards)
        stop = self.scenario.stop.model_copy(update={"iterations": each})
        part = self.scenario.model_copy(update={"stop": stop})
        why = ""

        async def make(number: int) -> None:
            nonlocal why
            of_one = replace(self.options, shards=1, seed=self.seed_of(number), part_of=self.path.name)
            reporter = reporter_of(str(number))
            try:
                made[number] = await runner.make(part, of_one, reporter)
                self._tell({number: made[number]})
            except InfraError as error:
                why = why or str(error)
                reporter.doing(f"not made: {error}")

        try:
            async with anyio.create_task_group() as shards:
                for number in range(1, self.options.shards + 1):
                    if number not in made:
                        shards.start_soon(make, number)
        except BaseExceptionGroup as group:
            error = first_of(group)
            raise error if isinstance(error, HarnessError) else group from None
        return why

    def _tell(self, made: Mapping[int, tuple[Summary, RunFolder]], *, anew: bool = False) -> None:
        """Write a line for each in the journal, which is for those who look on."""
        with (self.path / _LOOKS).open("w" if anew else "a") as file:
            for number, (summary, folder) in made.items():
                file.write(line_of(MadeShard(f"shard {number}", seen_in(summary, folder))))

    def forget(self) -> None:
        """Remove the folder, and that of the scenario where nothing else is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):
            self.path.parent.rmdir()

    def conclude(self, summary: Summary, made: Sequence[RunFolder]) -> None:
        """Write what they come to together."""
        said = f"{len(made)} of {self.options.shards} shards: {summary.because}"
        RunFolder(self.path).write_json("shards.json", {"verdict": str(summary.verdict), "because": said})


def _asked(scenario: Scenario, options: RunOptions) -> dict[str, Any]:
    """Return all that their plans depend on but the seed, by the name that a person has for it."""
    return {"scenario": dump(scenario), "--daemon": options.toolchain, "--shards": options.shards}
