"""Scenarios: YAML to a frozen model, with every problem and its place."""

from harness.scenario.load import load
from harness.scenario.model import ActorSpec, DaemonSpec, Detect, Fault, Scenario, Setting, Stop, Vocabulary
from harness.scenario.schema import json_schema

__all__ = [
    "ActorSpec",
    "DaemonSpec",
    "Detect",
    "Fault",
    "Scenario",
    "Setting",
    "Stop",
    "Vocabulary",
    "json_schema",
    "load",
]
