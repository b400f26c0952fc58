"""``disk``: fills the daemon's disk for a while."""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from harness.actors.base import ActorEnv, CouldNot, Disturbance, Effect
from harness.actors.pressure import pressing, room
from harness.core.quantities import Amount
from harness.core.units import format_size
from harness.host.cache import cache_folder
from harness.host.hostinfo import ResourceDemand
from harness.scenario import DaemonSpec, Setting, Violation
from harness.scenario.triggers import Firing


class Disk(Disturbance):
    """Fill the disk that the daemon's root is on; `when.lasting` says for how long.

    Without `daemon.limits.disk` that is a disk of the host's.
    """

    lasts = True

    fill: Amount
    """How much of it is then in use, by the daemon and by us: `100%`, `900MiB`. What is freed meanwhile is filled
    again.
    """

    def faults(self, setting: Setting) -> Iterator[Violation]:
        """Yield what cannot work although every value is well-formed."""
        yield from super().faults(setting)
        for limits in setting.limits:
            if limits.disk is not None and self.fill.of(limits.disk) > limits.disk:
                yield Violation(("fill",), f"is more than daemon.limits.disk, {format_size(limits.disk)}")

    def burdens(self, daemon: DaemonSpec) -> Iterator[ResourceDemand]:
        """Yield what is missing to that level now, unless the daemon has a disk of its own."""
        if daemon.limits.disk is None:
            disk = shutil.disk_usage(cache_folder("daemons"))
            yield ResourceDemand(self.name, disk=max(0, self.fill.of(disk.total) - disk.used))

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        return f"fills the daemon's disk to {self.fill.root}"

    @asynccontextmanager
    async def act(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:  # noqa: ARG002 — every moment alike
        """Fill it, and remove what it was filled with.

        Raises:
            CouldNot: so much of it is in use already, or the daemon is not ours.
        """
        with room(stage, self.name) as folder:
            disk = shutil.disk_usage(folder)
            level = self.fill.of(disk.total)
            if level <= disk.used:
                raise CouldNot(f"{format_size(disk.used)} are in use already")
            text = f"filled to {format_size(level)} of {format_size(disk.total)}"
            async with pressing(text, "disk", folder / "full", level) as deed:
                yield deed
