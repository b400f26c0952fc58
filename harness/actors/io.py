"""``io``: writes to the daemon's disk without pause, for a while."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated

from pydantic import Field

from harness.actors.base import ActorEnv, Disturbance, Effect
from harness.actors.pressure import pressing, room
from harness.core.quantities import Size
from harness.core.units import format_size
from harness.host.hostinfo import ResourceDemand
from harness.scenario import DaemonSpec, Setting, Violation
from harness.scenario.triggers import Firing


class Io(Disturbance):
    """Write to the disk that the daemon's root is on; `when.lasting` says for how long."""

    lasts = True

    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """How many processes write, each to a file of its own."""
    size: Annotated[Size, Field(ge=2**20)] = 64 * 2**20
    """Of each file, which is written and synced over and over; at least 1MiB."""

    def faults(self, setting: Setting) -> Iterator[Violation]:
        """Yield what cannot work although every value is well-formed."""
        yield from super().faults(setting)
        total = self.threads * self.size
        for limits in setting.limits:
            if limits.disk is not None and total >= limits.disk:
                text = f"comes to {format_size(total)}, and daemon.limits.disk is {format_size(limits.disk)}"
                yield Violation(("size",), text)

    def burdens(self, daemon: DaemonSpec) -> Iterator[ResourceDemand]:
        """Yield its files, unless they are on a disk of the daemon's own."""
        if daemon.limits.disk is None:
            yield ResourceDemand(self.name, disk=self.threads * self.size)

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        return f"writes {self.threads} x {format_size(self.size)} to the daemon's disk over and over"

    @asynccontextmanager
    async def act(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:  # noqa: ARG002 — every moment alike
        """Write, and remove what was written.

        Raises:
            CouldNot: there is no room for it, or the daemon is not ours.
        """
        text = f"wrote {self.threads} x {format_size(self.size)} over and over"
        with room(stage, self.name) as folder:
            async with pressing(text, "io", folder, self.threads, self.size) as deed:
                yield deed
