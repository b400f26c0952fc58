"""What every trigger shares: the moments it names, and the signals it may listen to."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from anyio.abc import ObjectReceiveStream

from harness.buildkit.progress import Step
from harness.core.model import StrictModel
from harness.core.outcome import Phase
from harness.core.quantities import Duration
from harness.core.rng import Dice


class Acted(Enum):
    """That an actor has acted."""

    ACTED = "acted"


@dataclass(frozen=True)
class Reached:
    """A build of a named actor has entered a phase, or one of its steps a state; or an actor that is no build acted."""

    actor: str
    iteration: int
    """Which build; of another actor, which act."""
    images: tuple[str, ...]
    """The names of what it makes."""
    what: Phase | Step | Acted
    at: float
    """Monotonic time in seconds."""


@dataclass(frozen=True)
class Firing:
    """A time to act: the actor's `count`-th, the monotonic time of what called for it, and the build that did."""

    count: int
    due: float
    build: Reached | None = None


class Signals(Protocol):
    """The signals of a run. A listener that is busy when a signal comes misses it."""

    @property
    def began(self) -> float:
        """Monotonic time of the run's start."""
        ...

    @property
    def since(self) -> float:
        """Monotonic time up to which all moments have come: of the daemon before, or of a run that is gone on with."""
        ...

    def announce(self, reached: Reached) -> None:
        """Tell every listener that an actor has acted."""
        ...

    def listening(self, wanted: Callable[[Reached], bool]) -> AbstractAsyncContextManager[ObjectReceiveStream[Reached]]:
        """Listen to what builds reach, as far as it is wanted."""
        ...


class Trigger(StrictModel):
    """What every ``when`` may say."""

    lasting: Duration | None = None
    """How long a disturbance stays before it is healed; for actors whose act has a duration."""

    @property
    def listens_to(self) -> str | None:
        """The build actor without which it never fires, or None."""
        return None

    @property
    def follows_act(self) -> str | None:
        """The actor (no build) whose acts this trigger needs to fire, or None."""
        return None

    @property
    def always_comes(self) -> bool:
        """Whether it follows what builds or other actors do, each time: a run in which it never fires is another."""
        return False

    @property
    def earliest(self) -> float:
        """Seconds into the run before which it cannot fire."""
        return 0.0

    @property
    def least_iterations(self) -> int:
        """Iterations that a run must reach for it to fire."""
        return 1

    def most(self, iterations: float, seconds: float) -> float:
        """Return how often it fires on average in a run that ends after so many of both, at most."""
        raise NotImplementedError

    @property
    def in_words(self) -> str:
        """When that is, for a sentence."""
        raise NotImplementedError

    def moments(self, dice: Dice, signals: Signals) -> AsyncGenerator[Firing, None]:
        """Yield each moment when it comes; while the receiver acts on one, the trigger waits."""
        raise NotImplementedError
