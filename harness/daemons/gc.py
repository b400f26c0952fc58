"""Policies of garbage collection, by the name that ``daemon.gc`` gives, in the terms of both configurations.

A build's end starts GC at most once a minute, and the release of unreferenced results at most once in five minutes
(BuildKit, control/control.go: ``throttle.After``), however small the policy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Rule:
    """One rule: what it is about, how old it may get, and how many bytes of it are kept."""

    keep: int
    everything: bool = False
    hours: int = 0
    filters: tuple[str, ...] = ()


NEVER: Final = "never"
"""Nothing is collected."""
POLICIES: Final[Mapping[str, tuple[Rule, ...]]] = {
    # the report's `docker buildx inspect`: sources and mounts for 48 h, the rest up to 953.7 MiB
    "report": (
        Rule(
            1_105_000_000,
            hours=48,
            filters=("type==source.local", "type==exec.cachemount", "type==source.git.checkout"),
        ),
        Rule(1_000_000_000, hours=1440),
        Rule(1_000_000_000),
        Rule(1_000_000_000, everything=True),
    ),
    "tiny": (Rule(1_000_000, everything=True),),
}


def for_buildkitd(name: str) -> dict[str, Any]:
    """Return a policy as ``worker.oci`` of buildkitd.toml has it."""
    if name == NEVER:
        return {"gc": False}
    rules = [
        {"keepBytes": rule.keep, "all": rule.everything}
        | ({"keepDuration": rule.hours * 3600} if rule.hours else {})
        | ({"filters": [",".join(rule.filters)]} if rule.filters else {})
        for rule in POLICIES[name]
    ]
    return {"gc": True, "gcpolicy": rules}


def for_dockerd(name: str) -> dict[str, Any]:
    """Return a policy as ``builder.gc`` of daemon.json has it."""
    if name == NEVER:
        return {"enabled": False}
    rules = [
        {"keepStorage": f"{rule.keep}B"}
        | ({"all": True} if rule.everything else {})
        | ({"filter": [f"unused-for={rule.hours}h"]} if rule.hours else {})
        for rule in POLICIES[name]
    ]
    return {"enabled": True, "policy": rules}
