"""``memory``: holds memory for a while, the daemon's or the host's."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Literal

import psutil

from harness.actors.base import ActorEnv, Disturbance, Effect
from harness.actors.pressure import own_cgroup, pressing
from harness.core.quantities import Amount
from harness.core.units import format_size
from harness.host.hostinfo import ResourceDemand
from harness.scenario import DaemonSpec, Setting, Violation
from harness.scenario.triggers import Firing


class Memory(Disturbance):
    """Hold memory; `when.lasting` says for how long. Where memory runs out, what holds it is killed first."""

    lasts = True

    hold: Amount
    """A share of what there is, or a size: `80%`, `512MiB`."""
    of: Literal["daemon", "host"] = "daemon"
    """`daemon`: out of `daemon.limits.memory`."""

    def faults(self, setting: Setting) -> Iterator[Violation]:
        """Yield what cannot work although every value is well-formed."""
        yield from super().faults(setting)
        limits = [each.memory for each in setting.limits] if self.of == "daemon" else []
        if None in limits:
            yield Violation(("of",), "the daemon has no memory of its own: set daemon.limits.memory, or say `of: host`")
        for limit in filter(None, limits):
            if self.hold.of(limit) > limit:
                yield Violation(("hold",), f"is more than daemon.limits.memory, {format_size(limit)}")

    def burdens(self, daemon: DaemonSpec) -> Iterator[ResourceDemand]:
        """Yield what is held, which the host has to have, also where the daemon may use more than that."""
        total = psutil.virtual_memory().total if self.of == "host" else daemon.limits.memory
        yield ResourceDemand(self.name, memory=self.hold.of(total or 0))

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        return f"holds {self.hold.root} of the {self.of}'s memory"

    @asynccontextmanager
    async def act(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:  # noqa: ARG002 — every moment alike
        """Hold it, and let it go.

        Raises:
            CouldNot, CgroupError: the memory ran out before all was held, or the daemon is not ours.
        """
        cgroup = own_cgroup(stage) if self.of == "daemon" else None
        size = self.hold.of(cgroup.memory_limit() if cgroup else psutil.virtual_memory().total)
        async with pressing(f"held {format_size(size)}", "memory", size, cgroup=cgroup) as deed:
            yield deed
