"""A stage for one act: what an actor that presses asks of a run, and no more of it."""

import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from harness.actors.base import ActorEnv, Disturbance, Effect
from harness.core.manifest import DaemonFacts
from harness.daemons.dockerd import DockerClient
from harness.daemons.host import HostDaemon
from harness.host.attended_clock import AttendedClock
from harness.host.cgroup import ROOT, Cgroup, CgroupUnavailable
from harness.scenario import Limits, Setting, Stop
from harness.scenario.triggers import Firing

NOBODYS: Any = None
"""A board, or signals, that no act asks for."""


def stage(cgroup: str | None = None, disk: Path | None = None) -> ActorEnv:
    """Return a stage with a daemon that lives in a cgroup and on a disk, or in none of ours."""
    facts = DaemonFacts("dockerd", "", "host", "", private=cgroup is not None, cgroup=cgroup, disk=disk)
    daemon = HostDaemon(facts, DockerClient("docker", "", {}), lambda _: None)
    return ActorEnv(daemon, 1, Path(), 0, 0.0, AttendedClock(), NOBODYS, NOBODYS, {})


def faults(kind: type[Disturbance], limits: Sequence[Mapping[str, object]], **options: object) -> list[str]:
    """Return where an actor cannot work beside daemons with these limits."""
    setting = Setting(Stop(iterations=5), frozenset({"ci"}), (), tuple(Limits.model_validate(each) for each in limits))
    return [".".join(map(str, fault.path)) for fault in actor(kind, **options).faults(setting)]


def actor(kind: type[Disturbance], **options: object) -> Disturbance:
    """Return an actor as a scenario writes it."""
    return kind.model_validate({"name": "press", "when": {"at": "1s", "lasting": "1s"}, **options})


@asynccontextmanager
async def acting(kind: type[Disturbance], on: ActorEnv, **options: object) -> AsyncIterator[Effect]:
    """Have an actor act once, as long as the block lasts."""
    async with actor(kind, **options).act(on, Firing(1, 0.0)) as deed:
        yield deed


@contextmanager
def daemons_cgroup(*, memory: int | None = None, cpus: float | None = None) -> Iterator[Cgroup]:
    """Make a cgroup as a private daemon has one, where this host lets us; it goes on leaving."""
    group = Cgroup(f"repro-test-{os.getpid()}")
    try:
        group.limit(memory=memory, cpus=cpus)
        group.leaf("daemon")
    except CgroupUnavailable as error:
        pytest.skip(f"this host does not let us make cgroups: {error}")
    try:
        yield group
    finally:
        give_up = time.monotonic() + 20
        while left := [top for top in (ROOT / group.name, *ROOT.glob(f"*/{group.name}")) if top.exists()]:
            assert time.monotonic() < give_up, left
            for path in (path for top in left for path in (*sorted(top.rglob("*/"), reverse=True), top)):
                with suppress(OSError):  # what was killed a moment ago is in it yet
                    path.rmdir()
