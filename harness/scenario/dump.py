"""`Scenario` → YAML, with every default spelled out: what a run's folder keeps, and what can be run again."""

from collections.abc import Mapping
from typing import Any

import yaml

from harness.scenario.model import Detect, Scenario


def dump(scenario: Scenario) -> str:
    """Return the scenario as YAML that `load` reads back to an equal one."""
    written = scenario.model_dump(mode="json", exclude_none=True)
    written["actors"] = [
        {actor.key(): fields.pop("name")} | fields
        for actor, fields in zip(scenario.actors, written["actors"], strict=True)
    ]
    del written["daemon" if scenario.daemons else "daemons"]
    return yaml.safe_dump(written, sort_keys=False, allow_unicode=True, width=120)


def export_hang_of(written: Mapping[str, Any]) -> float:
    """Return the seconds after which a hang is told, of a scenario as a run's folder keeps it."""
    return Detect.model_validate(written.get("detect") or {}).export_hang


def hunts_of(written: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the kinds of finding that a scenario looks for, as a run's folder keeps it."""
    return tuple(written.get("stop", {}).get("on") or ("hang",))
