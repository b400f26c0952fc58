"""When an actor acts: one file per kind of trigger, named by the key that selects it."""

from typing import Annotated

from pydantic import Discriminator, Tag

from harness.triggers.base import Moment, Signals, Trigger
from harness.triggers.interval import IntervalTrigger
from harness.triggers.phase import PhaseTrigger

__all__ = ["IntervalTrigger", "Moment", "PhaseTrigger", "Signals", "Trigger", "When"]


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return "phase" if "phase" in value else "interval"
    return "phase" if isinstance(value, PhaseTrigger) else "interval"


When = Annotated[
    Annotated[IntervalTrigger, Tag("interval")] | Annotated[PhaseTrigger, Tag("phase")],
    Discriminator(_kind),
]
"""Any of the triggers, as a scenario writes them under ``when``."""
