"""What actors share that make faults on the way to a server, by the relay that stands there."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.actors.base import ActorEnv, CouldNot, Disturbance, Effect
from harness.core.quantities import Duration
from harness.core.units import format_duration
from harness.daemons.http_relay import HttpFault, HttpRelay
from harness.host.relay import Busy, Fault, Relay
from harness.scenario import Setting, Violation
from harness.scenario.triggers import Firing


def one_of(actor: object, keys: Sequence[str], usual: str) -> Iterator[Violation]:
    """Yield that an actor says of none, or of several, of these options what its fault is; `usual` stands for none."""
    given = [key for key in keys if getattr(actor, key) is not None]
    if len(given) != 1:
        yield Violation((given[1] if given else usual,), f"give one of {', '.join(keys)}")


@asynccontextmanager
async def meeting(
    relay: Relay, fault: Fault, what: str, meanwhile: AbstractContextManager[Any] | None = None
) -> AsyncIterator[Effect]:
    """Have a fault at a relay, and lift it; the effect is how many connections met it.

    Args:
        relay: where it is.
        fault: the fault.
        what: what one connection is, to a person: `requests`.
        meanwhile: entered once the fault is there.

    Raises:
        CouldNot: another fault is there.
    """
    effect, before = Effect(), relay.met
    try:
        with relay.faulty(fault), meanwhile or nullcontext():
            yield effect
    except Busy as error:
        raise CouldNot(str(error)) from error
    finally:
        effect.effect = relay.met - before
        effect.detail = f"{effect.effect} {what} met it"


class HttpDisturbance(Disturbance):
    """Have requests to a server of the run's own meet a fault, by the relay before it; `when.lasting` says how long."""

    lasts = True
    one_of: ClassVar[Sequence[str]]
    """The options of which one says what the fault is; the first stands for none."""

    answer: Annotated[int, Field(ge=400, le=599)] | None = None
    """Requests get this HTTP status, such as 413, 429 or 503, and never come to the server."""
    delay: Duration | None = None
    """So long waits each piece of up to 64 KiB, either way."""

    @property
    def disturbs(self) -> bool:
        """The server is the run's own."""
        return False

    def faults(self, setting: Setting) -> Iterator[Violation]:
        """Yield what cannot work although every value is well-formed."""
        yield from super().faults(setting)
        yield from one_of(self, self.one_of, self.one_of[0])

    @property
    def trouble(self) -> str:
        """What the server does meanwhile, for a sentence: `answers 503`."""
        return f"answers {self.answer}" if self.answer else f"is slow, {format_duration(self.delay or 0)} a piece"

    @property
    def fault(self) -> HttpFault:
        """What becomes of requests."""
        return HttpFault(answer=self.answer, delay=self.delay or 0.0)

    @abstractmethod
    def relay(self, stage: ActorEnv) -> HttpRelay:
        """Return what stands before the server.

        Raises:
            CouldNot: nothing does.
        """

    @asynccontextmanager
    async def act(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:  # noqa: ARG002 — every moment alike
        """Have the fault, and lift it; the effect is how many requests met it.

        Raises:
            CouldNot: no relay stands there, or another fault is there.
        """
        async with meeting(self.relay(stage), self.fault, "requests") as effect:
            yield effect
