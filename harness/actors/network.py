"""``network``: makes the way from clients to the daemon a bad one for a while: slow, down, or gone without a word."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final, Literal

from harness.actors.base import ActorEnv, Disturbance, Effect, NothingOfTheKind
from harness.actors.relayed import meeting, one_of
from harness.core.quantities import Duration, Size
from harness.core.units import format_duration, format_size
from harness.daemons.base import Relayed
from harness.host.relay import Fault
from harness.scenario import Name, Setting, Violation
from harness.scenario.triggers import Firing

_ONE_OF: Final = ("delay", "throttle", "reset", "cut")


class Network(Disturbance):
    """Have connections of clients to the daemon meet a fault; `when.lasting` says for how long.

    A relay on the loopback stands between them, over TCP. What the harness itself asks the daemon does not go through.
    """

    lasts = True

    delay: Duration | None = None
    """So long waits each piece of up to 64 KiB, either way."""
    throttle: Size | None = None
    """So many bytes a second pass, of each connection."""
    reset: Size | None = None
    """A connection is reset once so many bytes of it have passed; with `0B` each is at once."""
    cut: Literal["for_a_while", "half_open"] | None = None
    """`for_a_while`: nothing passes, and comes late. `half_open`: nothing ever passes again of the connections that
    there are then, and neither end is told.
    """
    host: Name | None = None
    """Only connections from this client host (`host` of a build)."""

    @property
    def disturbs_network(self) -> bool:
        """It does nothing else."""
        return True

    def faults(self, setting: Setting) -> Iterator[Violation]:
        """Yield what cannot work although every value is well-formed."""
        yield from super().faults(setting)
        yield from one_of(self, _ONE_OF, "cut")
        if self.host is not None and self.host not in setting.hosts:
            known = ", ".join(sorted(setting.hosts)) or "none"
            yield Violation(("host",), f"no build has the client host {self.host!r}; client hosts: {known}")

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        if self.cut:
            how = "nothing passes" if self.cut == "for_a_while" else "connections become half-open"
        elif self.reset is not None:
            how = f"connections are reset after {format_size(self.reset)}"
        elif self.throttle is not None:
            how = f"{format_size(self.throttle)} a second pass"
        else:
            how = f"each piece waits {format_duration(self.delay or 0)}"
        whose = f"the clients on {self.host}" if self.host else "clients"
        return f"has a network between {whose} and the daemon in which {how}"

    @asynccontextmanager
    async def act(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:  # noqa: ARG002 — every moment alike
        """Have the fault, and lift it; the effect is how many connections met it.

        Raises:
            CouldNot: no relay stands before this daemon, or another fault is there.
        """
        relay = stage.daemon.relay if isinstance(stage.daemon, Relayed) else None
        if relay is None:
            raise NothingOfTheKind("no relay stands before this daemon: `network` takes private ones alone")
        fault = Fault(
            delay=self.delay or 0.0,
            rate=self.throttle,
            reset_after=self.reset,
            holds=self.cut == "for_a_while",
            swallows=self.cut == "half_open",
            host=self.host,
        )
        severing = stage.board.severing(f"{self.name} made the network fail", self.host)
        async with meeting(relay, fault, "connections", severing) as effect:
            yield effect
