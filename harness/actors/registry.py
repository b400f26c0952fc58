"""``registry``: makes the run's registry a bad one for a while: slow, out of order, or silent."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from harness.actors.base import ActorEnv, CouldNot
from harness.actors.relayed import HttpDisturbance
from harness.core.model import Pattern
from harness.core.quantities import Size
from harness.core.units import format_size
from harness.daemons.http_relay import HttpFault, HttpRelay
from harness.scenario import Scenario, Violation


class Registry(HttpDisturbance):
    """Have requests to the run's registry meet a fault; `when.lasting` says for how long."""

    one_of = ("answer", "delay", "throttle", "reset", "credentials")

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

    def doubts(self, scenario: Scenario) -> Iterator[Violation]:
        """Yield what can be run, and yet will hardly ever, or never, have an effect."""
        yield from super().doubts(scenario)
        if not any(getattr(actor, "needs_registry", False) for actor in scenario.actors if actor.builds):
            yield Violation((), "disturbs nobody: no build pushes (`export: push`) or keeps its cache in the registry")

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        if self.throttle is not None:
            said = f"passes {format_size(self.throttle)} a second"
        elif self.reset is not None:
            said = f"resets connections after {format_size(self.reset)}"
        else:
            said = "wants a token that never comes" if self.credentials else self.trouble
        return f"has a registry that {said}{f' (requests: {self.requests})' if self.requests else ''}"

    @property
    def fault(self) -> HttpFault:
        """What becomes of requests."""
        return replace(
            super().fault,
            rate=self.throttle,
            reset_after=self.reset,
            asks_for_a_token=self.credentials is not None,
            matching=self.requests,
        )

    def relay(self, stage: ActorEnv) -> HttpRelay:
        """Return what stands before the registry.

        Raises:
            CouldNot: nothing does.
        """
        if stage.registry is None or stage.registry.relay is None:
            raise CouldNot("no relay stands in front of the registry")
        return stage.registry.relay
