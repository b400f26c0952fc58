"""Step 1 of a run: obtain the toolchain, choose the kind of daemon, and protect the host's own daemon."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.actors.base import Actor
from harness.core.errors import UsageError
from harness.core.manifest import Binary
from harness.daemons.base import OpenDaemon
from harness.daemons.host import open_host
from harness.daemons.table import DAEMONS, DRIVERS
from harness.host.cache import cache_folder
from harness.host.hostinfo import ResourceDemand, require_private_daemons
from harness.scenario import Scenario
from harness.toolchain import BAKE, COMPOSE, NEEDS, Toolchain, equip, is_before, number_of, resolve, with_program

_STUB: Final = "stub"
_HOST: Final = "host"
_RAWJSON: Final = (0, 13)
"""The first buildx with ``--progress=rawjson``."""
_COMPOSE: Final = (2, 33)
"""The first compose that takes ``BUILDKIT_PROGRESS``."""


class HostInDanger(UsageError):
    """A scenario that would delete or disturb what is the user's own."""

    def __init__(self, actors: Sequence[str]) -> None:
        super().__init__(
            f"{', '.join(actors)} would delete or disturb what belongs to the host's own Docker daemon: leave out "
            "`--daemon host` for a private daemon, or say --allow-host-damage"
        )


class NeedsBuildx(UsageError):
    """Several targets at once, of a client that builds one."""

    def __init__(self, actors: Sequence[str]) -> None:
        super().__init__(
            f"the `targets` of {', '.join(actors)} need buildx, for buildctl builds one at a time: "
            "say --set daemon.driver=remote, or leave `targets` out"
        )


class NoApi(UsageError):
    """Builds without a client, where the daemon is not reached by a socket of its own, or not only."""

    def __init__(self, actors: Sequence[str], why: str) -> None:
        super().__init__(f"the builds of {', '.join(actors)} cannot go without a client (`via: api`): {why}")


class NoSuchCache(UsageError):
    """A type of cache that dockerd's own builder was built without."""

    def __init__(self, actors: Sequence[str]) -> None:
        super().__init__(
            f"the `s3` cache of {', '.join(actors)} needs BuildKit, for dockerd's own builder has none: give --daemon "
            "a buildkitd, or say --set daemon.driver=docker-container"
        )


class NoCompose(UsageError):
    """Builds by compose, on what it cannot be pointed at."""

    def __init__(self, actors: Sequence[str]) -> None:
        super().__init__(
            f"the builds of {', '.join(actors)} by compose (`via: compose`) go to a private dockerd's own builder: "
            "give --daemon such a one, and leave out `daemon.driver`"
        )


class OldCompose(UsageError):
    """A compose too old to print progress that a program can read, or that does not find the buildx that it wants."""

    def __init__(self, compose: Binary) -> None:
        super().__init__(
            f"{compose.version} is too old: progress that a program reads (BUILDKIT_PROGRESS=rawjson) came with "
            f"v2.33.0; put a later docker-compose into the toolchain's folder, or in the place of {compose.path}"
        )


class NoBake(UsageError):
    """A buildx that compose does not take."""

    def __init__(self, actors: Sequence[str], buildx: Binary) -> None:
        super().__init__(
            f"compose builds by `bake` of buildx v0.17 or later, and {buildx.path} is {buildx.version}: put a later "
            f"one in its place, or leave COMPOSE_BAKE out of the `env` of {', '.join(actors)}"
        )


class OldBuildx(UsageError):
    """A buildx too old to print progress that a program can read."""

    def __init__(self, buildx: Binary) -> None:
        super().__init__(
            f"buildx {number_of(buildx)} is too old: progress that a program reads (--progress=rawjson) "
            "came with v0.13.0; put a later docker-buildx into the toolchain's folder, or in the place of "
            f"{buildx.path}"
        )


class DriverNotOnHost(UsageError):
    """A driver that would put a container of ours into the user's own daemon."""

    def __init__(self, driver: str) -> None:
        super().__init__(f"driver {driver!r} runs in a private daemon only: leave out `--daemon host`, or the driver")


class ShardsOnHost(UsageError):
    """Several daemons where there is one."""

    def __init__(self) -> None:
        super().__init__("--shards starts private daemons: leave out `--daemon host`, of which there is one")


class NothingToRun(UsageError):
    """A toolchain that runs no daemon at all."""

    def __init__(self, toolchain: Toolchain) -> None:
        lacking = "; ".join(f"for {kind}: {', '.join(toolchain.missing(kind))}" for kind in NEEDS)
        super().__init__(f"toolchain {toolchain.spec!r} runs no daemon, for it lacks some programs ({lacking})")


@dataclass(frozen=True)
class RunOptions:
    """What the command line adds to a scenario."""

    results: Path
    toolchain: str | None = None
    seed: int | None = None
    keep: bool = False
    allow_host_damage: bool = False
    shards: int = 1
    """How many daemons side by side."""
    anyway: bool = False
    """Begin also where the disk will not do to the end."""
    argv: tuple[str, ...] = ()
    part_of: str = ""
    """The folder of the shards that it is one of, by its name."""


@dataclass(frozen=True)
class Plan:
    """A run that can begin."""

    name: str
    """The daemon's, of several."""
    scenario: Scenario
    toolchain: Toolchain
    open_daemon: OpenDaemon

    @property
    def actors(self) -> list[Actor]:
        """The scenario's, as what they are."""
        return _actors(self.scenario)

    @property
    def disturbing(self) -> list[str]:
        """The names of actors, and of others, that delete or disturb."""
        audit = self.scenario.audit
        return [
            *(actor.name for actor in self.actors if actor.disturbs),
            *(["audit.disk"] if audit and audit.disk else []),
        ]

    def burdens(self, shards: int = 1) -> Iterator[ResourceDemand]:
        """Yield what the run would take of this host, with so many daemons side by side."""
        daemon = self.scenario.daemon
        for _ in range(shards):
            if daemon.limits.disk is not None:
                yield ResourceDemand("daemon.limits.disk", disk=daemon.limits.disk)
            for actor in self.actors:
                yield from actor.burdens(daemon)


async def plan_run(name: str, scenario: Scenario, options: RunOptions, doing: Callable[[str], None]) -> Plan:
    """Return a run that can begin.

    Args:
        name: the daemon's, of several.
        scenario: with this one daemon.
        options: what the command line adds.
        doing: is told what may take a while.

    Raises:
        UsageError: it cannot be obtained as asked, or would harm the host's own daemon.
        InfraError: it cannot be obtained here and now.
    """
    wanted, driver = scenario.daemon.wanted_kind, scenario.daemon.driver
    if wanted == _STUB:
        _require_api(scenario, "the stub is a client")
        _require_compose(scenario, wanted)
        return Plan(name, scenario, Toolchain(_STUB, {}), DAEMONS[_STUB])
    spec = options.toolchain or scenario.daemon.toolchain
    if spec == "auto" and wanted:
        spec = f"auto:{wanted}"
    if spec == _HOST and options.shards > 1:
        raise ShardsOnHost
    if spec != _HOST:
        require_private_daemons(cache_folder("daemons"))
    doing(f"preparing toolchain {spec}")
    toolchain = await resolve(spec)
    if wanted:
        toolchain.require(wanted)
    elif not toolchain.kinds:
        raise NothingToRun(toolchain)
    kind = wanted or toolchain.kinds[0]
    _require_caches(scenario, kind, driver)
    elsewhere = toolchain.endpoint or driver in DRIVERS
    _require_api(scenario, "a private dockerd's own builder, or a buildkitd, would take them" if elsewhere else "")
    _require_compose(scenario, "" if elsewhere else kind)
    if toolchain.endpoint:
        plan = Plan(name, scenario, toolchain, open_host)
        if driver in DRIVERS:
            raise DriverNotOnHost(str(driver))
        if plan.disturbing and not options.allow_host_damage:
            raise HostInDanger(plan.disturbing)
        _require_rawjson(toolchain)
        return plan
    baking = [actor.name for actor in _actors(scenario) if actor.needs_buildx]
    if baking and driver == "buildctl":
        raise NeedsBuildx(baking)
    if baking and kind == "buildkitd":
        driver = "remote"
    toolchain = await equip(toolchain, driver)
    toolchain = await _with_compose(scenario, toolchain, doing)
    if kind == "dockerd" or driver in DRIVERS:
        _require_rawjson(toolchain)
    return Plan(name, scenario, toolchain, DRIVERS.get(driver or "", DAEMONS[kind]))


def _require_caches(scenario: Scenario, kind: str, driver: str | None) -> None:
    """Make sure that the builder knows the types of caches that builds want."""
    in_s3 = [actor.name for actor in _actors(scenario) if "s3" in actor.needs_caches]
    if in_s3 and kind == "dockerd" and driver not in DRIVERS:
        raise NoSuchCache(in_s3)


def _require_api(scenario: Scenario, why: str = "") -> None:
    """Make sure that builds without a client can go the way that the scenario means.

    Args:
        scenario: with this one daemon.
        why: they cannot; nothing where this daemon takes them.

    Raises:
        NoApi: they cannot.
    """
    asking = [actor.name for actor in _actors(scenario) if actor.needs_api]
    severing = [actor.name for actor in _actors(scenario) if actor.disturbs_network]
    if severing and not why:
        why = f"they would go past the network that {', '.join(severing)} disturbs"
    if asking and why:
        raise NoApi(asking, why)


def _require_rawjson(toolchain: Toolchain) -> None:
    """Make sure that its buildx, where it has one, prints progress that we read; of an unknown version it may.

    Raises:
        OldBuildx: it does not.
    """
    buildx = toolchain.binaries.get("docker-buildx")
    if buildx and is_before(buildx, _RAWJSON):
        raise OldBuildx(buildx)


def _require_compose(scenario: Scenario, own: str) -> None:
    """Make sure that compose can be pointed at the builder, where builds go by it.

    Args:
        scenario: with this one daemon.
        own: the kind of the private daemon whose own builder it is; nothing where it is another.

    Raises:
        NoCompose: it cannot.
    """
    composing = [actor.name for actor in _actors(scenario) if actor.needs_compose]
    if composing and own != "dockerd":
        raise NoCompose(composing)


async def _with_compose(scenario: Scenario, toolchain: Toolchain, doing: Callable[[str], None]) -> Toolchain:
    """Return the toolchain, with compose where builds go by it, that prints progress that we read.

    Raises:
        OldCompose, NoBake: it does not, or is told to build by a buildx that is too old; of an unknown version it may.
        ProgramUnavailable, InfraError: there is none to be had.
    """
    composing = [actor for actor in _actors(scenario) if actor.needs_compose]
    if not composing:
        return toolchain
    toolchain = await with_program(toolchain, COMPOSE)
    compose, buildx = toolchain.binaries[COMPOSE], toolchain.binaries["docker-buildx"]
    if is_before(compose, _COMPOSE):
        raise OldCompose(compose)
    if is_before(buildx, BAKE):
        if baking := [actor.name for actor in composing if actor.client_env.get("COMPOSE_BAKE", "false") != "false"]:
            raise NoBake(baking, buildx)
        doing("compose builds by itself (COMPOSE_BAKE=false), for buildx is older than the v0.17 that its bake takes")
    return toolchain


def _actors(scenario: Scenario) -> list[Actor]:
    return [actor for actor in scenario.actors if isinstance(actor, Actor)]
