"""When an actor acts: one file per kind of trigger, named by the key that selects it."""

from typing import Annotated

from pydantic import Discriminator, Tag

from harness.triggers.base import Moment, Signals, Trigger
from harness.triggers.interval import IntervalTrigger
from harness.triggers.phase import PhaseTrigger

__all__ = ["IntervalTrigger", "Moment", "PhaseTrigger", "Signals", "Trigger", "When"]


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return "PhaseTrigger" if "phase" in value else "IntervalTrigger"
    return type(value).__name__


When = Annotated[
    Annotated[IntervalTrigger, Tag("IntervalTrigger")] | Annotated[PhaseTrigger, Tag("PhaseTrigger")],
    Discriminator(_kind),
]
"""Any of the triggers, as a scenario writes them under ``when``."""
