"""``collector``: makes the collector of the daemon's and its clients' traces a bad one for a while."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Final, Literal

from pydantic import Field

from harness.actors.base import ActorEnv, CouldNot, Disturbance, Effect
from harness.actors.relayed import meeting, one_of
from harness.core.units import Duration, format_duration
from harness.daemons.registry_relay import RegistryFault
from harness.scenario import Setting, Violation
from harness.scenario.triggers import Firing

_ONE_OF: Final = ("answer", "delay", "cut")


class Collector(Disturbance):
    """Have what hands on traces meet a fault; `when.lasting` says for how long.

    The run has a collector of its own then, to which the daemon and its clients hand their traces (OTLP over HTTP).
    """

    lasts = True

    answer: Annotated[int, Field(ge=400, le=599)] | None = None
    """Requests get this HTTP status, such as 429 or 503, after which an exporter tries again."""
    delay: Duration | None = None
    """So long waits each piece of up to 64 KiB, either way."""
    cut: Literal["for_a_while"] | None = None
    """`for_a_while`: nothing passes, and comes late."""

    @property
    def needs_collector(self) -> bool:
        """It does nothing else."""
        return True

    @property
    def disturbs(self) -> bool:
        """The collector is the run's own."""
        return False

    def faults(self, setting: Setting) -> Iterator[Violation]:
        """Yield what cannot work although every value is well-formed."""
        yield from super().faults(setting)
        yield from one_of(self, _ONE_OF, "delay")

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        slow = f"is slow, {format_duration(self.delay or 0)} a piece"
        how = f"answers {self.answer}" if self.answer else "falls silent" if self.cut else slow
        return f"has a collector of traces that {how}"

    @asynccontextmanager
    async def act(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:  # noqa: ARG002 — every moment alike
        """Have the fault, and lift it; the effect is how many requests met it.

        Raises:
            CouldNot: the run has no collector, or another fault is there.
        """
        if stage.collector is None:
            raise CouldNot("the run has no collector of traces")
        fault = RegistryFault(delay=self.delay or 0.0, answer=self.answer, holds=self.cut is not None)
        async with meeting(stage.collector, fault, "requests") as effect:
            yield effect
