"""Makes short runs, on this host or on the hosts of a fleet; callers need not know which."""

from collections.abc import Callable, Collection
from typing import Protocol

from harness.core.records import Summary
from harness.host.interrupt import unheard
from harness.run.engine import run_scenario
from harness.run.observer import Reporter
from harness.run.plan import RunOptions, plan_run
from harness.scenario import Scenario
from harness.store.folder import RunFolder


class Runner(Protocol):
    """Makes runs, each on fresh daemons, from a scenario with its bounds to a whole run folder."""

    @property
    def slots(self) -> int:
        """How many runs it can make at once."""
        ...

    @property
    def hosts(self) -> Collection[str]:
        """The hosts that can make one now, as they stand in the names of their runs; empty where nobody is there."""
        ...

    async def obtain(self, scenario: Scenario, options: RunOptions, reporter: Reporter) -> dict[str, str]:
        """See that a toolchain can be had for a scenario, before hours are spent; return its programs' SHA-256.

        Raises:
            UsageError, InfraError: it cannot.
        """
        ...

    async def make(self, scenario: Scenario, options: RunOptions, reporter: Reporter) -> tuple[Summary, RunFolder]:
        """Make one run.

        Args:
            scenario: with one daemon; its `stop` is the run's bounds.
            options: where its folder is to be, with what toolchain and seed.
            reporter: hears of what goes on in it.

        Returns:
            What it came to, and its folder below `options.results`.

        Raises:
            UsageError, InfraError, SubjectError: it could not be begun.
            Interrupted: it was ended by the user before it began.
        """
        ...


class LocalRunner:
    """Makes them on this host, one at a time: several daemons side by side would disturb each other."""

    slots = 1
    hosts: Collection[str] = ("",)

    def __init__(self, interrupted: Callable[[int], None] = unheard) -> None:
        """Make a runner; `interrupted` hears of each signal while a run is made, and which one it is, from 1."""
        self._interrupted = interrupted

    async def obtain(self, scenario: Scenario, options: RunOptions, reporter: Reporter) -> dict[str, str]:
        """See that it can be had; see the Protocol."""
        plan = await plan_run("", scenario, options, reporter.doing)
        return {name: binary.sha256 for name, binary in plan.toolchain.binaries.items()}

    async def make(self, scenario: Scenario, options: RunOptions, reporter: Reporter) -> tuple[Summary, RunFolder]:
        """Make one run; see the Protocol."""
        [made] = await run_scenario(scenario, options, lambda _: reporter, self._interrupted)
        return made
