"""When an actor acts: one file per kind of trigger, named by the key that selects it."""

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Discriminator, Tag

from harness.scenario.triggers.at import AtTrigger
from harness.scenario.triggers.base import Firing, Signals, Trigger
from harness.scenario.triggers.every import EveryTrigger
from harness.scenario.triggers.follows import FollowsTrigger
from harness.scenario.triggers.interval import IntervalTrigger
from harness.scenario.triggers.phase import PhaseTrigger
from harness.scenario.triggers.step import StepTrigger

__all__ = [
    "AtTrigger",
    "EveryTrigger",
    "Firing",
    "FollowsTrigger",
    "IntervalTrigger",
    "PhaseTrigger",
    "Signals",
    "StepTrigger",
    "Trigger",
    "When",
]

_KEYS: Final[Mapping[str, type[Trigger]]] = {
    "phase": PhaseTrigger,
    "step": StepTrigger,
    "every": EveryTrigger,
    "at": AtTrigger,
    "follows": FollowsTrigger,
    "interval": IntervalTrigger,
}
"""The key that tells a trigger from the others; without any, what `interval` lacks is told."""


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return next((kind.__name__ for key, kind in _KEYS.items() if key in value), IntervalTrigger.__name__)
    return type(value).__name__


When = Annotated[
    Annotated[IntervalTrigger, Tag("IntervalTrigger")]
    | Annotated[PhaseTrigger, Tag("PhaseTrigger")]
    | Annotated[StepTrigger, Tag("StepTrigger")]
    | Annotated[EveryTrigger, Tag("EveryTrigger")]
    | Annotated[AtTrigger, Tag("AtTrigger")]
    | Annotated[FollowsTrigger, Tag("FollowsTrigger")],
    Discriminator(_kind),
]
"""Any of the triggers, as a scenario writes them under ``when``."""
