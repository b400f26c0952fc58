"""Steps 2 to 6 of a run: its folder, its daemons one after the other, its verdict."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

import anyio

from harness.actors.build import Build
from harness.actors.generate import Generate
from harness.aftermath import Probes, examine
from harness.cache import cache_folder
from harness.conductor import Conductor, Observer
from harness.daemons.base import Daemon, Site
from harness.diagnosis import diagnose_finding
from harness.errors import InfraError, SubjectError
from harness.interrupt import Interrupt, first_of
from harness.judge import judge
from harness.ledger import Ledger
from harness.outcome import Ending
from harness.past import NOTHING_YET, Past
from harness.plan import Plan
from harness.records import Answer, Audit, Finding, Iteration, Summary
from harness.registry import open_registry
from harness.scenario import Scenario, dump
from harness.store import RunFolder

_OTHER: Final = Generate.model_validate({"stages": 2, "steps": 1, "layer": "5003B", "step": "copy"})
"""The aftermath's other build: files of a size that no scenario has, so that it shares no step with what hung."""


class Audience(Observer, Protocol):
    """An observer that also hears of the run's beginning."""

    def preparing(self, what: str) -> None:
        """Something that may take a while has begun."""
        ...

    def started(self, scenario: Scenario, folder: RunFolder, daemon: Daemon, seed: int, past: Past) -> None:
        """The daemon is up, and the run begins, or goes on after its past."""
        ...


@dataclass
class Run:
    """One run on its way; what came before, where it is gone on with, is its past."""

    plan: Plan
    folder: RunFolder
    story: dict[str, Any]
    """What `run.json` says."""
    audience: Audience
    past: Past = NOTHING_YET
    conductor: Conductor | None = None
    started: bool = False
    """Whether a daemon of it has come up."""
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
        self.folder.reserve()
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
            seconds = anyio.current_time() - began + self.past.seconds
        return self._conclude(ending, detail, seconds)

    @property
    def _keeps(self) -> bool:
        """Whether the daemon of now is left to the user, in a run that came to its own end: asked for, or held hung."""
        ending = self.conductor.ending if self.conductor else None
        held = self.scenario.on_hang.then == "hold" and ending is Ending.FINDINGS
        return ending is not None and (self.story["keep"] or held)

    async def _perform(self) -> None:
        """Let the actors act, on one daemon after the other where the scenario renews it."""
        with self.folder.database() as database:
            async with self._ledger(f"{self.folder.name}-staging") as ledger:
                staging = ledger.own_folder(cache_folder("staging") / self.folder.name)
                for actor in self.plan.actors:
                    await actor.prepare(staging)
                async with self._registry(ledger) as self.story["registry"]:
                    self.conductor = Conductor(self.scenario, self.folder, database, self.audience, self.past)
                    while self.conductor.ending is None:
                        await self._on_a_daemon(self.conductor, staging)

    async def _on_a_daemon(self, conductor: Conductor, staging: Path) -> None:
        name = f"{self.folder.name}-{secrets.token_hex(2)}" if self.started else self.folder.name
        async with self._ledger(name) as ledger:
            may_stay = self.story["keep"] or self.scenario.on_hang.then == "hold"
            site = Site(name, self.folder.path.absolute() / "daemon", ledger, may_stay)
            async with self.plan.open_daemon(self.plan.toolchain, self.scenario.daemon, site) as daemon:
                if not self.started:
                    self.started = True
                    self.story["daemon"] = asdict(daemon.facts)
                    self.folder.write_json("run.json", self.story)
                    self.audience.started(self.scenario, self.folder, daemon, self.story["seed"], self.past)
                    conductor.begin()
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
        self.folder.release()
        daemon = {"name": self.plan.name, **(self.story["daemon"] or {})}
        summary = judge(
            self.folder.each(Iteration),
            self.folder.each(Finding),
            audits=self.folder.each(Audit),
            scenario=self.scenario.name,
            daemon={key: daemon.get(key) for key in ("name", "kind", "version")}
            | {"toolchain": self.story["toolchain"]["spec"]},
            seed=self.story["seed"],
            ending=ending,
            detail=detail,
            seconds=seconds,
            unattended=self.conductor.attention.unattended if self.conductor else self.past.unattended,
            aftermath=self.aftermath,
            left_behind=tuple(self.left_behind),
        )
        first = summary.first_hang or summary.first_stall
        if first:
            evidence = self.folder.path / "findings" / str(first.iteration)
            summary = replace(summary, diagnosis=diagnose_finding(evidence, daemon))
        self.folder.write_json("summary.json", asdict(summary))
        return summary
