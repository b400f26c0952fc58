"""``registry``: makes the run's registry a bad one for a while: slow, out of order, or silent."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Final, Literal

from pydantic import Field

from harness.actors.base import ActorEnv, CouldNot, Disturbance, Effect
from harness.actors.relayed import meeting, one_of
from harness.core.model import Pattern
from harness.core.units import Duration, Size, format_duration, format_size
from harness.daemons.registry_relay import RegistryFault
from harness.scenario import Scenario, Setting, Violation
from harness.scenario.triggers import Firing

_ONE_OF: Final = ("answer", "delay", "throttle", "reset", "credentials")


class Registry(Disturbance):
    """Have requests to the run's registry meet a fault; `when.lasting` says for how long."""

    lasts = True

    answer: Annotated[int, Field(ge=400, le=599)] | None = None
    """Requests get this HTTP status, such as 413, 429 or 503, and never come to the registry."""
    delay: Duration | None = None
    """So long waits each piece of up to 64 KiB, either way."""
    throttle: Size | None = None
    """So many bytes a second pass, of each request."""
    reset: Size | None = None
    """A connection is reset in the middle, once so many bytes of it have passed."""
    credentials: Literal["never"] | None = None
    """The registry wants a token, and nobody who asks for one gets an answer."""
    requests: Pattern = ""
    """Only those in whose method and path this regular expression is found: `PATCH .*/blobs/`."""

    @property
    def needs_registry(self) -> bool:
        """There is none without builds that push or pull, and yet there is one to disturb."""
        return True

    @property
    def disturbs_registry(self) -> bool:
        """It does nothing else."""
        return True

    @property
    def disturbs(self) -> bool:
        """The registry is the run's own."""
        return False

    def faults(self, setting: Setting) -> Iterator[Violation]:
        """Yield what cannot work although every value is well-formed."""
        yield from super().faults(setting)
        yield from one_of(self, _ONE_OF, "answer")

    def doubts(self, scenario: Scenario) -> Iterator[Violation]:
        """Yield what can be run, and yet will hardly ever, or never, have an effect."""
        yield from super().doubts(scenario)
        if not any(getattr(actor, "needs_registry", False) for actor in scenario.actors if actor.builds):
            yield Violation((), "disturbs nobody: no build pushes (`export: push`) or keeps its cache in the registry")

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        what = {
            "answer": f"answers {self.answer}",
            "delay": f"is slow, {format_duration(self.delay or 0)} a piece",
            "throttle": f"passes {format_size(self.throttle or 0)} a second",
            "reset": f"resets connections after {format_size(self.reset or 0)}",
            "credentials": "wants a token that never comes",
        }
        said = next((words for key, words in what.items() if getattr(self, key) is not None), "")
        return f"has a registry that {said}{f' (requests: {self.requests})' if self.requests else ''}"

    @asynccontextmanager
    async def act(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:  # noqa: ARG002 — every moment alike
        """Have the fault, and lift it; the effect is how many requests met it.

        Raises:
            CouldNot: there is no relay, or another fault is there.
        """
        relay = stage.registry.relay if stage.registry else None
        if relay is None:
            raise CouldNot("no relay stands in front of the registry")
        fault = RegistryFault(
            delay=self.delay or 0.0,
            rate=self.throttle,
            reset_after=self.reset,
            answer=self.answer,
            asks_for_a_token=self.credentials is not None,
            matching=self.requests,
        )
        async with meeting(relay, fault, "requests") as effect:
            yield effect
