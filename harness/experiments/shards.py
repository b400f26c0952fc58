"""One run as many, side by side on the hosts of a fleet: each has its part of the builds, and a seed of its own."""

import math
from collections.abc import Callable
from dataclasses import replace

import anyio

from harness.core.errors import HarnessError, InfraError, Interrupted
from harness.core.records import Summary
from harness.core.rng import SEED_BITS, Dice, first_seed
from harness.experiments.runner import Runner
from harness.host.interrupt import first_of
from harness.run.observer import Reporter
from harness.run.plan import RunOptions
from harness.scenario import Scenario
from harness.store.folder import RunFolder


class NoShard(InfraError):
    """A run none of whose shards was made."""

    def __init__(self, why: str) -> None:
        super().__init__(f"no shard was made: {why}")


async def run_shards(
    scenario: Scenario,
    options: RunOptions,
    runner: Runner,
    reporter_of: Callable[[str], Reporter],
) -> list[tuple[Summary, RunFolder]]:
    """Run a scenario `options.shards` times, each with its part of the iterations, to its own end.

    One that hangs does not end the others: their builds without a hang count in the rate as much as its own.

    Args:
        scenario: with one daemon.
        options: for all of them.
        runner: makes them, as many at once as it can.
        reporter_of: who looks on, by the number of the shard.

    Returns:
        Those that were made, in the order of their numbers; of one that was not, its reporter is told.

    Raises:
        NoShard: none was made.
        UsageError: it cannot be obtained as asked.
        Interrupted: by the user.
    """
    seed = first_seed(options.seed, scenario.seed)
    most = scenario.stop.iterations
    each = most and math.ceil(most / options.shards)
    part = scenario.model_copy(update={"stop": scenario.stop.model_copy(update={"iterations": each})})
    made: dict[int, tuple[Summary, RunFolder]] = {}
    why = ""

    async def make(number: int) -> None:
        nonlocal why
        of_one = replace(options, shards=1, seed=Dice(seed, "shards").throw(number).getrandbits(SEED_BITS))
        reporter = reporter_of(str(number))
        try:
            made[number] = await runner.make(part, of_one, reporter)
        except InfraError as error:
            why = why or str(error)
            reporter.doing(f"not made: {error}")

    try:
        async with anyio.create_task_group() as shards:
            for number in range(1, options.shards + 1):
                shards.start_soon(make, number)
    except BaseExceptionGroup as group:
        error = first_of(group)
        raise error if isinstance(error, HarnessError) else group from None
    if not made:
        raise NoShard(why) if why else Interrupted
    return [made[number] for number in sorted(made)]
