"""When an actor acts: one file per kind of trigger, named by the key that selects it."""

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BeforeValidator, Discriminator, Tag

from harness.scenario.triggers.at import AtTrigger
from harness.scenario.triggers.base import Firing, Signals, Trigger
from harness.scenario.triggers.every import EveryTrigger
from harness.scenario.triggers.follows import FollowsTrigger
from harness.scenario.triggers.interval import IntervalTrigger
from harness.scenario.triggers.phase import PhaseTrigger
from harness.scenario.triggers.rate import RateTrigger
from harness.scenario.triggers.step import StepTrigger

__all__ = [
    "AtTrigger",
    "EveryTrigger",
    "Firing",
    "FollowsTrigger",
    "IntervalTrigger",
    "PhaseTrigger",
    "RateTrigger",
    "Signals",
    "StepTrigger",
    "Trigger",
    "When",
]

_KEYS: Final[Mapping[str, type[Trigger]]] = {
    "phase": PhaseTrigger,
    "step": StepTrigger,
    "every": EveryTrigger,  # of a time, and not of a number: `RateTrigger`
    "at": AtTrigger,
    "follows": FollowsTrigger,
    "interval": IntervalTrigger,
}
"""The key that tells a trigger from the others; without any, what `interval` lacks is told."""


def _kind(value: object) -> str:
    if not isinstance(value, dict):
        return type(value).__name__
    if isinstance(value.get("every"), str):
        return RateTrigger.__name__
    return next((kind.__name__ for key, kind in _KEYS.items() if key in value), IntervalTrigger.__name__)


def _single(value: object) -> object:
    """Refuse two triggers in one: of two keys, only one would be told to be unknown."""
    keys = [key for key in value if key in _KEYS] if isinstance(value, dict) else []
    if len(keys) > 1:
        raise ValueError(f"is {len(keys)} triggers in one, {' and '.join(keys)}: keep one of them")
    return value


When = Annotated[
    Annotated[IntervalTrigger, Tag("IntervalTrigger")]
    | Annotated[PhaseTrigger, Tag("PhaseTrigger")]
    | Annotated[StepTrigger, Tag("StepTrigger")]
    | Annotated[EveryTrigger, Tag("EveryTrigger")]
    | Annotated[RateTrigger, Tag("RateTrigger")]
    | Annotated[AtTrigger, Tag("AtTrigger")]
    | Annotated[FollowsTrigger, Tag("FollowsTrigger")],
    Discriminator(_kind),
    BeforeValidator(_single),
]
"""Any of the triggers, as a scenario writes them under ``when``."""
