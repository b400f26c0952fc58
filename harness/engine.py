"""A run from its start to its verdict.

1. The host is checked, the toolchain is had, and the kind of daemon is chosen. Of a scenario with several daemons,
   this is done for each; then the other steps are gone through side by side.
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
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

import anyio

from harness import __version__
from harness.actors.build import Build
from harness.actors.generate import Generate
from harness.aftermath import Probes, examine
from harness.cache import cache_folder
from harness.conductor import Conductor, Observer
from harness.daemons.base import Daemon, Site
from harness.diagnosis import diagnose_finding
from harness.errors import HarnessError, InfraError, SubjectError, UsageError
from harness.hostinfo import describe, require_bearable
from harness.interrupt import Interrupt, first_of, interruptible
from harness.judge import judge
from harness.ledger import Ledger
from harness.outcome import Ending
from harness.plan import Plan, RunOptions, plan_run
from harness.records import FORMAT, Answer, Audit, Finding, Iteration, Summary
from harness.registry import open_registry
from harness.scenario import Scenario, dump
from harness.store import RunFolder
from harness.toolchain import Toolchain

_SEED_BITS: Final = 32
_OTHER: Final = Generate.model_validate({"stages": 2, "steps": 1, "layer": "5003B", "step": "copy"})
"""The aftermath's other build: files of a size that no scenario has, so that it shares no step with what hung."""


class WhichDaemon(UsageError):
    """One toolchain for a scenario that names several."""

    def __init__(self, daemons: Iterable[str]) -> None:
        super().__init__(
            f"--daemon says one toolchain, and the scenario has {', '.join(daemons)}: "
            f"say --set daemons.{next(iter(daemons))}.toolchain=SPEC"
        )


class Interrupted(HarnessError):
    """The user ended it before there was anything to record."""

    def __init__(self) -> None:
        super().__init__("interrupted before the run began")


class Audience(Observer, Protocol):
    """An observer that also hears of the run's beginning."""

    def preparing(self, what: str) -> None:
        """Something that may take a while has begun."""
        ...

    def started(self, scenario: Scenario, folder: RunFolder, daemon: Daemon, seed: int) -> None:
        """The daemon is up."""
        ...


async def run_scenario(
    scenario: Scenario, options: RunOptions, audience_of: Callable[[str], Audience]
) -> list[tuple[Summary, RunFolder]]:
    """Run a scenario against each of its daemons, side by side; see the steps above.

    SIGINT and SIGTERM end it at once, and cleanly.

    Args:
        scenario: with one daemon, or with several by name.
        options: what the command line adds.
        audience_of: who looks on, by the daemon's name; a single one has none.

    Returns:
        What each run came to, and its folder, in the order of the daemons.

    Raises:
        UsageError, InfraError: before the run folders were made. After that, what goes wrong is in the summaries.
        Interrupted: before the run folders were made.
    """
    if scenario.daemons and options.toolchain:
        raise WhichDaemon(scenario.daemons)
    async with interruptible() as interrupt:
        plans = []
        with interrupt.heeded():
            for name, each in scenario.by_daemon().items():
                plans.append(await plan_run(name, each, options, audience_of(name).preparing))
        if interrupt.came:
            raise Interrupted
        require_bearable([burden for plan in plans for burden in plan.burdens()], cache_folder("daemons"))
        given = (options.seed, scenario.seed, secrets.randbits(_SEED_BITS))
        seed = next(seed for seed in given if seed is not None)
        folders = [RunFolder.create(options.results, scenario.name) for _ in plans]
        summaries: dict[Path, Summary] = {}

        async def go(plan: Plan, folder: RunFolder) -> None:
            story = _story(options, plan.toolchain, seed)
            run = _Run(plan, folder, story, options.keep, audience_of(plan.name))
            summaries[folder.path] = await run.through(interrupt)

        async with anyio.create_task_group() as tasks:
            for plan, folder in zip(plans, folders, strict=True):
                tasks.start_soon(go, plan, folder)
    return [(summaries[folder.path], folder) for folder in folders]


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
        "registry": "",
        "host": describe(cache_folder("daemons")),
    }


@dataclass
class _Run:
    """Steps 2 to 6."""

    plan: Plan
    folder: RunFolder
    story: dict[str, Any]
    keep: bool
    audience: Audience
    conductor: Conductor | None = None
    aftermath: Mapping[str, Answer] = field(default_factory=dict)
    left_behind: list[str] = field(default_factory=list)

    @property
    def scenario(self) -> Scenario:
        """What is run."""
        return self.plan.scenario

    async def through(self, interrupt: Interrupt) -> Summary:
        """Run it from the folder's first file to the summary."""
        self.audience.preparing(f"a daemon of {self.plan.toolchain.spec}")
        (self.folder.path / "scenario.yaml").write_text(dump(self.scenario))
        self.folder.write_json("run.json", self.story)
        began = anyio.current_time()
        ending, detail = Ending.INTERRUPTED, ""
        try:
            with interrupt.heeded():
                await self._perform()
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
        """Whether the daemon of now is left to the user, in a run that came to its own end: asked for, or held hung."""
        ending = self.conductor.ending if self.conductor else None
        held = self.scenario.on_hang.then == "hold" and ending is Ending.FINDINGS
        return ending is not None and (self.keep or held)

    async def _perform(self) -> None:
        """Let the actors act, on one daemon after the other where the scenario renews it."""
        with self.folder.database() as database:
            async with self._ledger(f"{self.folder.name}-staging") as ledger:
                staging = ledger.own_folder(cache_folder("staging") / self.folder.name)
                for actor in self.plan.actors:
                    await actor.prepare(staging)
                async with self._registry(ledger) as self.story["registry"]:
                    self.conductor = Conductor(self.scenario, self.folder, database, self.audience)
                    while self.conductor.ending is None:
                        await self._on_a_daemon(self.conductor, staging)

    async def _on_a_daemon(self, conductor: Conductor, staging: Path) -> None:
        first = self.story["daemon"] is None
        name = self.folder.name if first else f"{self.folder.name}-{secrets.token_hex(2)}"
        async with self._ledger(name) as ledger:
            may_stay = self.keep or self.scenario.on_hang.then == "hold"
            site = Site(name, self.folder.path.absolute() / "daemon", ledger, may_stay)
            async with self.plan.open_daemon(self.plan.toolchain, self.scenario.daemon, site) as daemon:
                if first:
                    self.story["daemon"] = asdict(daemon.facts)
                    self.folder.write_json("run.json", self.story)
                    self.audience.started(self.scenario, self.folder, daemon, self.story["seed"])
                    conductor.began = anyio.current_time()
                seed, registry = self.story["seed"], self.story["registry"]
                await conductor.conduct(daemon, self.plan.actors, staging, seed, registry)
                await self._probe(conductor, daemon, staging)
                site.keep = self._keeps
                if self._keeps:
                    self.story["kept"] = asdict(daemon.facts)
                    self.folder.write_json("run.json", self.story)

    async def _probe(self, conductor: Conductor, daemon: Daemon, staging: Path) -> None:
        """Ask a daemon that hung what it still does, unless the scenario wants it left as it is."""
        hang = conductor.hang
        if hang is None or conductor.ending is not Ending.FINDINGS or self._keeps or not self.scenario.on_hang.probe:
            return
        build = next(actor for actor in self.plan.actors if isinstance(actor, Build) and actor.name == hang.actor)
        other = staging / "aftermath"
        _OTHER.write(other)
        self.audience.preparing("the aftermath: what the daemon still does")
        seed, registry = self.story["seed"], self.story["registry"]
        probes = Probes(build.request(hang.iteration, folder=staging, seed=seed, registry=registry), other)
        self.aftermath = await examine(daemon, probes, self.scenario.detect)

    @asynccontextmanager
    async def _registry(self, ledger: Ledger) -> AsyncIterator[str]:
        """Have a registry for the whole run, and yield its address; nothing where no actor needs one."""
        if any(actor.needs_registry for actor in self.plan.actors):
            self.audience.preparing("a registry")
            async with open_registry(ledger, self.folder.path) as address:
                yield address
        else:
            yield ""

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
        daemon = {"name": self.plan.name, **(self.story["daemon"] or {})}
        summary = judge(
            self.folder.read(Iteration),
            self.folder.read(Finding),
            audits=self.folder.read(Audit),
            scenario=self.scenario.name,
            daemon={key: daemon.get(key) for key in ("name", "kind", "version")}
            | {"toolchain": self.story["toolchain"]["spec"]},
            seed=self.story["seed"],
            ending=ending,
            detail=detail,
            seconds=seconds,
            unattended=self.conductor.attention.unattended if self.conductor else 0.0,
            aftermath=self.aftermath,
            left_behind=tuple(self.left_behind),
        )
        first = summary.first_hang or summary.first_stall
        if first:
            evidence = self.folder.path / "findings" / str(first.iteration)
            summary = replace(summary, diagnosis=diagnose_finding(evidence, daemon))
        self.folder.write_json("summary.json", asdict(summary))
        return summary
