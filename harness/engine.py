"""A run from its start to its verdict.

1. The host is checked, the toolchain is had, and the kind of daemon is chosen.
2. The run folder is made; `scenario.yaml` and `run.json` are written.
3. The actors set up what they need on disk.
4. The daemon is started, and awaited; the actors act on it, until the scenario's end, a finding or an interrupt
   (`Conductor`); one that hung is asked what it still does (`aftermath`); it is ended, and everything in its ledger is
   given back. A scenario that renews its daemon does this again and again.
5. What was set up on disk is removed.
6. The verdict is computed from the records (`judge`), and `summary.json` is written last.
"""

import os
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

import anyio

from harness import __version__
from harness.actors.base import Actor
from harness.actors.build import Build
from harness.actors.context import OFFLINE, stage_context
from harness.aftermath import Probes, examine
from harness.cache import cache_folder
from harness.conductor import Conductor, Observer
from harness.daemons.base import Daemon, OpenDaemon, Site
from harness.daemons.host import open_host
from harness.daemons.table import DAEMONS
from harness.errors import HarnessError, InfraError, SubjectError, UsageError
from harness.hostinfo import Burden, describe, require_bearable, require_private_daemons
from harness.interrupt import Interrupt, first_of, interruptible
from harness.judge import judge
from harness.ledger import Ledger
from harness.outcome import Ending
from harness.records import FORMAT, Answer, Finding, Iteration, Summary
from harness.scenario import Scenario, dump
from harness.scenario.load import PROJECT
from harness.store import RunFolder
from harness.toolchain import NEEDS, Toolchain, resolve

_SEED_BITS: Final = 32
_STUB: Final = "stub"
_HOST: Final = "host"
_OTHER: Final = "copies"
"""The Dockerfile of the aftermath's other build: it copies two files, and has no base."""


class HostInDanger(UsageError):
    """A scenario that would delete or disturb what is the user's own."""

    def __init__(self, actors: Sequence[str]) -> None:
        super().__init__(
            f"{', '.join(actors)} would delete or disturb what belongs to the host's own Docker daemon: leave out "
            "`--daemon host` for a private daemon, or say --allow-host-damage"
        )


class NothingToRun(UsageError):
    """A toolchain that runs no daemon at all."""

    def __init__(self, toolchain: Toolchain) -> None:
        lacking = "; ".join(f"for {kind}: {', '.join(toolchain.missing(kind))}" for kind in NEEDS)
        super().__init__(f"toolchain {toolchain.spec!r} runs no daemon, for it lacks some programs ({lacking})")


class Interrupted(HarnessError):
    """The user ended it before there was anything to record."""

    def __init__(self) -> None:
        super().__init__("interrupted before the run began")


@dataclass(frozen=True)
class RunOptions:
    """What the command line adds to a scenario."""

    results: Path
    toolchain: str | None = None
    seed: int | None = None
    keep: bool = False
    allow_host_damage: bool = False
    argv: tuple[str, ...] = ()


class Audience(Observer, Protocol):
    """An observer that also hears of the run's beginning."""

    def preparing(self, what: str) -> None:
        """Something that may take a while has begun."""
        ...

    def started(self, scenario: Scenario, folder: RunFolder, daemon: Daemon, seed: int) -> None:
        """The daemon is up."""
        ...


async def run_scenario(scenario: Scenario, options: RunOptions, audience: Audience) -> tuple[Summary, RunFolder]:
    """Run a scenario against a real daemon; see the steps above. SIGINT and SIGTERM end it at once, and cleanly.

    Raises:
        UsageError, InfraError: before the run folder was made. After that, what goes wrong is in the summary.
        Interrupted: before the run folder was made.
    """
    async with interruptible() as interrupt:
        with interrupt.heeded():
            toolchain, open_daemon = await _choose(scenario, options, audience)
        if interrupt.came:
            raise Interrupted
        actors = [actor for actor in scenario.actors if isinstance(actor, Actor)]
        endangering = [actor.name for actor in actors if actor.disturbs]
        if toolchain.endpoint and endangering and not options.allow_host_damage:
            raise HostInDanger(endangering)
        if not toolchain.endpoint:
            require_bearable([*_burdens(scenario, actors)], cache_folder("daemons"))
        given = (options.seed, scenario.seed, secrets.randbits(_SEED_BITS))
        seed = next(seed for seed in given if seed is not None)
        folder = RunFolder.create(options.results, scenario.name)
        run = _Run(scenario, actors, folder, _story(options, toolchain, seed), options.keep, audience)
        audience.preparing(f"a daemon of {toolchain.spec}")
        summary = await run.through(interrupt, open_daemon, toolchain)
    return summary, folder


async def _choose(scenario: Scenario, options: RunOptions, audience: Audience) -> tuple[Toolchain, OpenDaemon]:
    """Return the toolchain, and how the daemon is had of it."""
    wanted = scenario.daemon.kind
    if wanted == _STUB:
        return Toolchain(_STUB, {}), DAEMONS[_STUB]
    spec = options.toolchain or scenario.daemon.toolchain
    if spec == "auto" and wanted:
        spec = f"auto:{wanted}"
    if spec != _HOST:
        require_private_daemons(cache_folder("daemons"))
    audience.preparing(f"toolchain {spec}")
    toolchain = await resolve(spec)
    if toolchain.endpoint:
        return toolchain, open_host
    if wanted:
        toolchain.require(wanted)
    elif not toolchain.kinds:
        raise NothingToRun(toolchain)
    return toolchain, DAEMONS[wanted or toolchain.kinds[0]]


def _burdens(scenario: Scenario, actors: Sequence[Actor]) -> Iterator[Burden]:
    """Yield what a scenario would take of this host."""
    if scenario.daemon.limits.disk is not None:
        yield Burden("daemon.limits.disk", disk=scenario.daemon.limits.disk)
    for actor in actors:
        yield from actor.burdens(scenario.daemon)


def _story(options: RunOptions, toolchain: Toolchain, seed: int) -> dict[str, Any]:
    """Return what `run.json` says from the start; the daemon's own facts come once it runs."""
    return {
        "format": FORMAT,
        "harness": __version__,
        "argv": options.argv,
        "pid": os.getpid(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "toolchain": {"spec": toolchain.spec, "binaries": {k: asdict(v) for k, v in toolchain.binaries.items()}},
        "daemon": None,
        "host": describe(cache_folder("daemons")),
    }


@dataclass
class _Run:
    """Steps 2 to 6, with the daemon as a parameter."""

    scenario: Scenario
    actors: Sequence[Actor]
    folder: RunFolder
    story: dict[str, Any]
    keep: bool
    audience: Audience
    conductor: Conductor | None = None
    aftermath: Mapping[str, Answer] = field(default_factory=dict)
    left_behind: list[str] = field(default_factory=list)

    async def through(self, interrupt: Interrupt, open_daemon: OpenDaemon, toolchain: Toolchain) -> Summary:
        """Run it from the folder's first file to the summary."""
        (self.folder.path / "scenario.yaml").write_text(dump(self.scenario))
        self.folder.write_json("run.json", self.story)
        began = anyio.current_time()
        ending, detail = Ending.INTERRUPTED, ""
        try:
            with interrupt.heeded():
                await self._perform(open_daemon, toolchain)
            if self.conductor and self.conductor.ending:
                ending, detail = self.conductor.ending, self.conductor.detail
        except* SubjectError as group:
            ending, detail = Ending.DAEMON_DIED, str(first_of(group))
        except* InfraError as group:
            ending, detail = Ending.INFRA, str(first_of(group))
        if self.conductor:
            seconds = (self.conductor.ended or anyio.current_time()) - self.conductor.began
        else:
            seconds = anyio.current_time() - began
        return self._conclude(ending, detail, seconds)

    @property
    def _keeps(self) -> bool:
        """Whether the daemon that runs now is left to the user: the last one of a run that came to its own end."""
        return self.keep and self.conductor is not None and self.conductor.ending is not None

    async def _perform(self, open_daemon: OpenDaemon, toolchain: Toolchain) -> None:
        """Let the actors act, on one daemon after the other where the scenario renews it."""
        with self.folder.database() as database:
            async with self._ledger(f"{self.folder.name}-staging") as ledger:
                staging = ledger.own_folder(cache_folder("staging") / self.folder.name)
                for actor in self.actors:
                    await actor.prepare(staging)
                self.conductor = Conductor(self.scenario, self.folder, database, self.audience)
                while self.conductor.ending is None:
                    await self._on_a_daemon(self.conductor, open_daemon, toolchain, staging)

    async def _on_a_daemon(
        self, conductor: Conductor, open_daemon: OpenDaemon, toolchain: Toolchain, staging: Path
    ) -> None:
        first = self.story["daemon"] is None
        name = self.folder.name if first else f"{self.folder.name}-{secrets.token_hex(2)}"
        async with self._ledger(name) as ledger:
            site = Site(name, self.folder.path.absolute() / "daemon", ledger, self.keep)
            async with open_daemon(toolchain, self.scenario.daemon, site) as daemon:
                if first:
                    self.story["daemon"] = asdict(daemon.facts)
                    self.folder.write_json("run.json", self.story)
                    self.audience.started(self.scenario, self.folder, daemon, self.story["seed"])
                    conductor.began = anyio.current_time()
                await conductor.conduct(daemon, self.actors, staging, self.story["seed"])
                await self._probe(conductor, daemon, staging)
                site.keep = self._keeps

    async def _probe(self, conductor: Conductor, daemon: Daemon, staging: Path) -> None:
        """Ask a daemon that hung what it still does, unless the scenario wants it left as it is."""
        hang = conductor.first_hang
        if hang is None or conductor.ending is not Ending.FINDINGS or self.keep or not self.scenario.on_hang.probe:
            return
        build = next(actor for actor in self.actors if isinstance(actor, Build) and actor.name == hang.actor)
        other = staging / "aftermath"
        stage_context(PROJECT / "dockerfiles" / _OTHER, other, OFFLINE, None)
        self.audience.preparing("the aftermath: what the daemon still does")
        probes = Probes(build.request(staging, hang.iteration), other)
        self.aftermath = await examine(daemon, probes, self.scenario.detect)

    @asynccontextmanager
    async def _ledger(self, name: str) -> AsyncIterator[Ledger]:
        """Open a ledger, and give back what is in it on leaving, unless the daemon is kept."""
        ledger = Ledger.open(name)
        try:
            yield ledger
        finally:
            if not self._keeps:
                with anyio.CancelScope(shield=True):
                    self.left_behind += await ledger.settle()

    def _conclude(self, ending: Ending, detail: str, seconds: float) -> Summary:
        """Judge what was recorded, and write the last file."""
        daemon = self.story["daemon"] or {}
        summary = judge(
            self.folder.read(Iteration),
            self.folder.read(Finding),
            scenario=self.scenario.name,
            daemon={key: daemon.get(key) for key in ("kind", "version")}
            | {"toolchain": self.story["toolchain"]["spec"]},
            seed=self.story["seed"],
            ending=ending,
            detail=detail,
            seconds=seconds,
            unattended=self.conductor.attention.unattended if self.conductor else 0.0,
            aftermath=self.aftermath,
            left_behind=tuple(self.left_behind),
        )
        self.folder.write_json("summary.json", asdict(summary))
        return summary
