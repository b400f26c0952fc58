"""``cpu``: burns cores beside the daemon, or lets it use only so many of them, for a while."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from harness.actors.base import ActorEnv, Disturbance, Effect
from harness.actors.pressure import own_cgroup, pressing
from harness.scenario import Setting, Violation
from harness.scenario.triggers import Firing


class Cpu(Disturbance):
    """Press on the CPU, by `threads` or by a `quota`; `when.lasting` says for how long."""

    lasts = True

    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """How many processes burn a core each."""
    of: Literal["daemon", "host"] = "host"
    """Where the threads burn; `daemon`: what `daemon.limits.cpus` gives is shared with them."""
    quota: Annotated[float, Field(ge=0.01)] | None = None
    """How many cores the daemon and all that it runs may use together."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.threads is None) == (self.quota is None):
            raise ValueError("give either `threads`, to burn beside the daemon, or `quota`, to throttle it")
        if self.quota is not None and "of" in self.model_fields_set:
            raise ValueError("`of` says where threads burn; a quota is always the daemon's")
        return self

    def faults(self, setting: Setting) -> Iterator[Violation]:
        """Yield what cannot work although every value is well-formed."""
        yield from super().faults(setting)
        for limits in setting.limits:
            if self.quota is not None and limits.cpus is not None and self.quota >= limits.cpus:
                yield Violation(("quota",), f"throttles nothing: daemon.limits.cpus is {limits.cpus:g}")

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        if self.quota is not None:
            return f"lets the daemon use {self.quota:g} cores only"
        whose = "the daemon's" if self.of == "daemon" else "the host's"
        return f"burns CPU, {whose}, in {self.threads} threads"

    @asynccontextmanager
    async def act(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:  # noqa: ARG002 — every moment alike
        """Press, and let go; the effect of a quota is in how many periods the daemon wanted more than it.

        Raises:
            CouldNot, CgroupError: the daemon is not ours, or is throttled already.
        """
        if self.quota is not None:
            daemons = own_cgroup(stage)
            before = daemons.times_throttled()
            with daemons.throttled(self.quota):
                throttled = Effect(f"throttled to {self.quota:g} cores", effect=0)
                try:
                    yield throttled
                finally:
                    throttled.effect = daemons.times_throttled() - before
        else:
            cgroup = own_cgroup(stage) if self.of == "daemon" else None
            async with pressing(f"burned in {self.threads} threads", "cpu", self.threads, cgroup=cgroup) as deed:
                yield deed
