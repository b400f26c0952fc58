"""Steps 2 to 6 of a run: its folder, its daemons one after the other, its verdict."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

import anyio

from harness.actors.build import Build
from harness.actors.generate import Generate
from harness.analysis.judge import decisive, judge
from harness.core.errors import HostGaveOut, InfraError, StoreError, SubjectError
from harness.core.files import write_whole
from harness.core.manifest import RunManifest
from harness.core.outcome import Ending
from harness.core.records import Action, AftermathAnswer, Audit, Diagnosis, Finding, Iteration, Summary
from harness.daemons.base import Slot
from harness.host.cache import cache_folder
from harness.host.interrupt import Interrupt, first_of
from harness.host.ledger import STAGING, Ledger
from harness.host.partition import ALL, Allocation, allocations
from harness.host.priority import waking_at_once
from harness.run.aftermath import Probes, examine
from harness.run.conductor import Conductor
from harness.run.fitness import DaemonCannot, require_able
from harness.run.graph_state import state_of
from harness.run.observer import Reporter
from harness.run.plan import Plan
from harness.run.servers import NO_SERVERS, RunServers, open_servers
from harness.run.session import Session
from harness.scenario import Scenario, dump
from harness.store.dockerfiles import keep_dockerfiles
from harness.store.folder import RunFolder
from harness.store.resume_point import NOTHING_YET, ResumePoint

_HUNG_GRACE_SECONDS: Final = 1.0
"""For a daemon that hung, which does not stop by itself."""
_OTHER: Final = Generate.model_validate({"stages": 2, "steps": 1, "layer": "5003B", "step": "copy"})
"""The aftermath's other build: files of a size that no scenario has, so that it shares no step with what hung."""


@dataclass
class Run:
    """One run on its way; what came before, where it is gone on with, is its past."""

    plan: Plan
    folder: RunFolder
    manifest: RunManifest
    audience: Reporter
    past: ResumePoint = NOTHING_YET
    conductor: Conductor | None = None
    _kept: set[str] = field(default_factory=set)
    """The daemons that are left to the user."""
    _daemons: int = 0
    """How many it has had."""
    _servers: RunServers = NO_SERVERS
    started: bool = False
    """Whether a daemon of it has come up."""
    aftermath: Mapping[str, AftermathAnswer] = field(default_factory=dict)
    left_behind: list[str] = field(default_factory=list)

    @property
    def scenario(self) -> Scenario:
        """What is run."""
        return self.plan.scenario

    async def through(self, interrupt: Interrupt) -> Summary:
        """Run it from the folder's first file to the summary."""
        self.audience.doing(f"starting a daemon of {self.plan.toolchain.spec}")
        write_whole(self.folder.path / "scenario.yaml", dump(self.scenario))
        builds = (actor for actor in self.scenario.actors if isinstance(actor, Build))
        folders = [each for build in builds for each in (*build.folders, *build.context_folders.values())]
        keep_dockerfiles(self.folder.path, folders)
        self.folder.write_manifest(self.manifest)
        self.folder.reserve()
        began = anyio.current_time()
        ending, detail = Ending.INTERRUPTED, ""
        try:
            with interrupt.cancellable():
                await self._perform()
            if self.conductor and self.conductor.ending:
                ending, detail = self.conductor.ending, self.conductor.detail
        except* DaemonCannot as group:
            ending, detail = Ending.UNABLE, str(first_of(group))
        except* SubjectError as group:
            ending, detail = Ending.DAEMON_DIED, str(first_of(group))
        except* InfraError as group:
            ending, detail = Ending.INFRA, str(first_of(group))
        except* OSError as group:
            first = first_of(group)
            if not isinstance(first, OSError) or not HostGaveOut.matches(first):
                raise
            ending, detail = Ending.INFRA, str(HostGaveOut(first))
        if self.conductor:
            seconds = (self.conductor.ended or anyio.current_time()) - self.conductor.began
        else:
            seconds = anyio.current_time() - began + self.past.seconds
        return self._conclude(ending, detail, seconds)

    def _keeps(self, session: Session) -> bool:
        """Whether a daemon is left to the user, in a run that came to its own end: asked for, or held as it hung."""
        held = self.scenario.on_hang.then == "hold" and session.recorder.hung
        return bool(self._ending and (self.manifest.keep or held))

    @property
    def _ending(self) -> Ending | None:
        return self.conductor.ending if self.conductor else None

    async def _perform(self) -> None:
        """Let the actors act, on one daemon after the other where the scenario renews it."""
        with self.folder.database() as database:
            async with self._ledger(self.folder.name + STAGING) as ledger:
                staging = ledger.own_folder(cache_folder("staging") / self.folder.name)
                records = self.folder.path
                async with open_servers(self.plan.actors, ledger, records, self.audience.doing) as self._servers:
                    self.manifest = replace(self.manifest, registry=self._servers.registry_address)
                    self.conductor = Conductor(self.scenario, self.folder, database, self.audience, self.past)
                    with waking_at_once():
                        async with anyio.create_task_group() as beside:
                            beside.start_soon(self.conductor.watch_over)
                            async with anyio.create_task_group() as shards:
                                for share in allocations(self.manifest.shards):
                                    shards.start_soon(self._shard, self.conductor, share, staging)
                            beside.cancel_scope.cancel()
                    if self.conductor.exhausted:  # also where all had begun already when the run was gone on with
                        self.conductor.end(Ending.ITERATIONS)

    async def _shard(self, conductor: Conductor, share: Allocation, staging: Path) -> None:
        """Run one daemon after another until no iterations are left."""
        since = conductor.since
        if share is not ALL:
            staging /= f"{staging.name}-{share.shard}"  # a cache that builds keep there is its own
            staging.mkdir()
        for actor in self.plan.actors:
            await actor.prepare(staging)
        while not conductor.exhausted:
            await self._on_a_daemon(conductor, share, staging, since)
            since = anyio.current_time()

    async def _on_a_daemon(self, conductor: Conductor, share: Allocation, staging: Path, since: float) -> None:
        first = not self._daemons
        self._daemons += 1
        name = self.folder.name if first else f"{self.folder.name}-{secrets.token_hex(2)}"
        records = self.folder.path.absolute() / "daemon"
        spec = self._servers.known_to(self.scenario.daemon_as_opened)
        if share is not ALL:
            records /= str(share.shard)
            records.mkdir(exist_ok=True)
            memory = spec.limits.memory or share.memory
            spec = spec.model_copy(update={"limits": spec.limits.model_copy(update={"memory": memory})})
        async with self._ledger(name) as ledger:
            may_stay = self.manifest.keep or self.scenario.on_hang.then == "hold"
            relayed_way = any(actor.disturbs_network for actor in self.plan.actors)
            hosts = tuple(sorted(frozenset[str]().union(*(actor.needs_hosts for actor in self.plan.actors))))
            site = Slot(
                name, records, ledger, share.cores, may_stay, relayed=relayed_way, hosts=hosts, left=self.left_behind
            )
            async with self.plan.open_daemon(self.plan.toolchain, spec, site) as daemon:
                if not self.started:
                    self.started = True
                    self._record(replace(self.manifest, daemon=daemon.facts))
                    self.audience.started(self.scenario, self.folder, daemon.facts, self.manifest.seed, self.past)
                    require_able(daemon.facts, self.plan.actors)
                    conductor.begin()
                    since = conductor.since
                session = Session(conductor, daemon, share, since)
                await session.perform(self.plan.actors, staging, self.manifest.seed, self._servers)
                await self._probe(session, staging)
                if self._ending:
                    self.audience.doing("ending the daemon")
                site.stays = self._keeps(session)
                if session.recorder.hung:
                    site.grace = _HUNG_GRACE_SECONDS
                if site.stays:
                    self._kept.add(name)
                    self._record(replace(self.manifest, kept=daemon.facts))

    def _record(self, manifest: RunManifest) -> None:
        """Write what is now known of the run."""
        self.manifest = manifest
        self.folder.write_manifest(manifest)

    async def _probe(self, session: Session, staging: Path) -> None:
        """Ask a daemon that hung what it still does, unless the scenario wants it left as it is."""
        hang, wanted = session.recorder.hang, self.scenario.on_hang.probe and self._ending is Ending.FINDINGS
        if hang is None or not wanted or self._keeps(session):
            return
        build = next(actor for actor in self.plan.actors if isinstance(actor, Build) and actor.name == hang.actor)
        other = staging / "aftermath"
        _OTHER.write(other)
        self.audience.doing("asking the daemon that hung what it still does")
        seed, registry, caches = self.manifest.seed, self._servers.registry_address, self._servers.caches
        same = build.request(hang.iteration, folder=staging, seed=seed, registry=registry, caches=caches)
        probes = Probes(same, other)
        self.aftermath = await examine(session.daemon, probes, self.scenario.detect)

    @asynccontextmanager
    async def _ledger(self, name: str) -> AsyncIterator[Ledger]:
        """Open a ledger, and give back what is in it on leaving, unless its daemon is kept."""
        ledger = Ledger.open(name)
        try:
            yield ledger
        finally:
            if self._kept if name.endswith(STAGING) else name in self._kept:
                ledger.detach()
            else:
                with anyio.CancelScope(shield=True):
                    self.left_behind += await ledger.reclaim()

    def _conclude(self, ending: Ending, detail: str, seconds: float) -> Summary:
        """Judge what was recorded, and write the last file."""
        self.folder.release()
        self.audience.doing("computing the verdict")
        summary = judge(
            self.folder.each(Iteration),
            self.folder.each(Finding),
            audits=self.folder.each(Audit),
            actions=self.folder.each(Action),
            expected={each.name: each.key() for each in self.plan.actors if each.must_act},
            threshold=self.scenario.detect.export_hang,
            hunts=self.scenario.stop.on,
            scenario=self.scenario.name,
            daemon=self.manifest.subject,
            seed=self.manifest.seed,
            ending=ending,
            detail=detail,
            seconds=seconds,
            unattended=self.conductor.attention.unattended if self.conductor else self.past.unattended,
            aftermath=self.aftermath,
            left_behind=tuple(self.left_behind),
        )
        summary = replace(summary, graph=state_of(self.folder.each(Audit), self.folder.path / "findings"))
        if first := decisive([*self.folder.each(Finding)]):
            summary = replace(summary, diagnosis=self._diagnosis(first))
        self.folder.write_json("summary.json", asdict(summary))
        return summary

    def _diagnosis(self, finding: Finding) -> Diagnosis | None:
        """Return what the evidence of a finding comes to; where that cannot be read, the verdict stands without it."""
        with suppress(StoreError):
            return self.folder.evidence(finding).diagnosis(self.manifest.subject, finding)
        return None
