"""``oom``: has the daemon's memory run out, so that the kernel kills the daemon, and starts it again."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from harness.actors.base import ActorEnv, CouldNot, Disturbance, Effect, NothingOfTheKind
from harness.actors.pressure import own_cgroup
from harness.core.units import format_size
from harness.daemons.base import Restartable
from harness.host import stressor
from harness.host.hostinfo import ResourceDemand
from harness.host.proc import Command, child
from harness.scenario import DaemonSpec, Setting, Violation
from harness.scenario.triggers import Firing

_DEADLINE_SECONDS: Final = 60.0
_FIRST: Final = "1000"
"""The `oom_score_adj` of what the kernel kills first (proc(5))."""


class Oom(Disturbance):
    """Have the kernel kill the daemon for want of memory, in its own cgroup; then it is started again on its root.

    Builds in flight are cut off, later ones wait. `when.lasting` is how long it stays down.
    """

    def faults(self, setting: Setting) -> Iterator[Violation]:
        """Yield what cannot work although every value is well-formed."""
        yield from super().faults(setting)
        if None in [each.memory for each in setting.limits]:
            yield Violation((), "the daemon has no memory of its own that can run out: set daemon.limits.memory")

    def burdens(self, daemon: DaemonSpec) -> Iterator[ResourceDemand]:
        """Yield what is taken until the kernel acts."""
        yield ResourceDemand(self.name, memory=daemon.limits.memory or 0)

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        return "has the kernel kill the daemon for want of memory, and starts it again"

    @asynccontextmanager
    async def act(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:  # noqa: ARG002 — every moment alike
        """Take its memory until it is killed, and start it again.

        Raises:
            DaemonStartError: it did not come up again.
            CouldNot, CgroupError: it is not ours, or outlived that.
        """
        daemon, pid = stage.daemon, stage.daemon.facts.pid
        if not isinstance(daemon, Restartable) or pid is None:
            raise NothingOfTheKind("the daemon is not ours to kill")
        cgroup = own_cgroup(stage)
        try:
            limit, before = cgroup.memory_limit(), cgroup.oom_kills()
            Path(f"/proc/{pid}/oom_score_adj").write_text(_FIRST)
        except OSError as error:
            raise CouldNot(f"the daemon cannot be made the first to go: {error.strerror}") from error
        join = ":".join(str(file) for file in cgroup.leaf("pressure"))
        taking = Command((sys.executable, "-I", stressor.__file__, join, "oom", str(pid), str(limit)))
        with stage.board.outage(f"{self.name} had the kernel kill the daemon"):
            async with child(taking):
                status = await daemon.falls(_DEADLINE_SECONDS)
            if status is None:
                raise CouldNot(f"the daemon outlived a lack of memory for {_DEADLINE_SECONDS:g} s")
            killed = cgroup.oom_kills() - before
            yield Effect(f"the kernel killed {killed} at {format_size(limit)}; the daemon ended with {status}", killed)
            await daemon.start()
