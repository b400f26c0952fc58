"""Scenarios: YAML to a frozen model, with every problem and its place."""

from harness.scenario.dump import dump
from harness.scenario.load import load
from harness.scenario.model import (
    ActorSpec,
    DaemonSpec,
    Detect,
    Limits,
    Name,
    Scenario,
    Setting,
    Stop,
    Violation,
    Vocabulary,
)
from harness.scenario.schema import json_schema

__all__ = [
    "ActorSpec",
    "DaemonSpec",
    "Detect",
    "Limits",
    "Name",
    "Scenario",
    "Setting",
    "Stop",
    "Violation",
    "Vocabulary",
    "dump",
    "json_schema",
    "load",
]
