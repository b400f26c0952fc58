"""What actors share that make faults on the way to a server, by the relay that stands there."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any

from harness.actors.base import CouldNot, Effect
from harness.host.relay import Busy, Fault, Relay
from harness.scenario import Violation


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
