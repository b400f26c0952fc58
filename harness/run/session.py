"""One daemon of a run, with the builds that are on it: the `Coordinator` of its actors' stage."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import TaskGroup

from harness.actors.base import Actor, ActorEnv, Unanswered
from harness.buildkit.abilities import is_refusal
from harness.buildkit.progress import News
from harness.client.activity import Activity, Work, look_at
from harness.client.detectors.base import Detection
from harness.client.detectors.cache_miss import CacheMisses
from harness.client.detectors.table import detectors, success_detectors
from harness.client.watched_build import Watch, daemon_is_gone
from harness.core.errors import DaemonDied, SubjectError
from harness.core.outcome import Ending, Outcome, Phase, Symptom
from harness.core.records import Action, Begun, Birth, Iteration
from harness.daemons.base import Daemon
from harness.host.interrupt import first_of
from harness.host.log_rotation import rotate
from harness.host.partition import Allocation
from harness.run.audit import Auditor
from harness.run.conductor import Conductor
from harness.run.finding_recorder import FindingRecorder
from harness.run.fitness import advice_for
from harness.run.growth_watch import GrowthWatch
from harness.run.orphans import Orphan, Orphans
from harness.run.sampler import Sampler, family
from harness.run.servers import NO_SERVERS, RunServers
from harness.run.signal_bus import SignalBus
from harness.run.suspicion import Suspicions

SAMPLE_SECONDS: Final = 5.0
_DRAIN_SECONDS: Final = 60.0
"""How long an audit waits for builds in flight, and others with it; a hang or a stall may take longer to be seen."""
_DRAIN_POLL_SECONDS: Final = 0.05
_HOPELESS_FAILURES: Final = 10
"""Failures in a row, with no build that ever succeeded, after which going on would only count failures."""
_INFRA_IN_A_ROW: Final = 5
_REFUSALS: Final = 3
"""So many builds of an actor that never succeeded are refused for good by the daemon, or by its client."""
_DEAD_STALLS: Final = 3
"""Stalls in a row, with no build that got through between them, after which the daemon builds nothing any more."""


class Session:
    """The life of one daemon in a run.

    Args:
        conductor: the run's.
        daemon: the one under test.
        share: which of the daemons side by side it is, and what of the host it has.
        since: monotonic time up to which the moments of triggers have come on the daemon before it.
    """

    def __init__(self, conductor: Conductor, daemon: Daemon, share: Allocation, since: float) -> None:
        self.daemon, self.share = daemon, share
        self.exhausted = anyio.Event()
        """Set once no more iterations begin on it."""
        self.generation = conductor.enter(self)
        self._conductor, self._scenario = conductor, conductor.scenario
        self._detectors = detectors(conductor.scenario.detect)
        self._misses = CacheMisses() if conductor.scenario.looks_at_misses else None
        self._of_success = (
            *((self._misses,) if self._misses else ()),
            *success_detectors(conductor.scenario, conductor.tails.median),
        )
        self._activity = Activity(lambda: look_at(daemon.facts, anyio.current_time()))
        self._scope = anyio.CancelScope()
        self._inflight: dict[int, Watch] = {}
        self.recorder = FindingRecorder(conductor, daemon, self.generation, self._inflight)
        self._signals = SignalBus(conductor.began, since)
        self._suspicions = (
            Suspicions(daemon, conductor.tails, conductor.folder.path, conductor.observer.doing)
            if conductor.scenario.detect.suspect == "auto"
            else None
        )
        self._looking, self._examination = anyio.Lock(), anyio.CancelScope()
        self._beside: TaskGroup | None = None
        """What goes on beside the actors, while they act."""
        self._up = anyio.Event()
        self._up.set()
        self._begun = self._over = self._audited = 0
        """How many iterations have begun on it, how many are over, and how many had begun at the last audit."""
        self._auditor = Auditor(conductor.next_series, conductor.scenario.audit)
        self._growth = GrowthWatch()
        self._turn = anyio.Lock()
        self._auditing = anyio.CancelScope()
        threshold, attention = conductor.scenario.detect.orphan, conductor.attention
        self._orphans = Orphans(daemon, threshold, attention, self._left_running, self._released)
        self._streak: tuple[Outcome, int] = (Outcome.OK, 0)
        self._meddling, self._meddled = 0, -math.inf
        """How many actors make the registry a bad one now, and when in the run the last of them was done with it."""
        self._refused = Counter[str]()
        """Builds that were refused, by the actor; of one that built once, none count."""
        self._able: set[str] = set()
        self._sever: Callable[[Watch], None] = _leave
        """Tells a build that the network is made to fail now."""

    async def perform(
        self, actors: Sequence[Actor], staging: Path, seed: int, servers: RunServers = NO_SERVERS
    ) -> None:
        """Let every actor act on the daemon, until the run ends or the daemon is to be renewed.

        Args:
            actors: the scenario's, prepared.
            staging: the folder that they were prepared in.
            seed: the source of all chance.
            servers: the run's own.
        """
        facts, conductor = self.daemon.facts, self._conductor
        birth = Birth(self.generation, self.share.shard, self._now(), facts.pid, self.share.cores)
        conductor.database.add(birth)
        stage = ActorEnv(
            daemon=self.daemon,
            generation=self.generation,
            folder=staging,
            seed=seed,
            began=conductor.began,
            attention=conductor.attention,
            signals=self._signals,
            board=self,
            inflight=self._inflight,
            registry=servers.registry,
            caches=servers.caches,
            collector=servers.collector,
            cores=self.share.cores,
            exhausted=self.exhausted,
            patience=conductor.scenario.detect.act,
        )
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    self._beside = tasks
                    tasks.start_soon(self._sample)
                    tasks.start_soon(self._watch_daemon)
                    tasks.start_soon(self._orphans.keep)
                    for actor in actors:
                        if not actor.builds:
                            tasks.start_soon(actor.perform, stage)
                    async with anyio.create_task_group() as builds:
                        for actor in actors:
                            if actor.builds:
                                builds.start_soon(actor.perform, stage)
                    await self._orphans.drain(lambda: conductor.ending is not None, conductor.observer.doing)
                    await self._weigh_growth()
                    async with conductor.capturing:  # of what was found without a client
                        pass
                    tasks.cancel_scope.cancel()
        except* SubjectError as group:
            error = first_of(group)
            if not await self._died(error.brief if isinstance(error, SubjectError) else str(error)):
                raise
        finally:
            conductor.leave(self)

    def look(self) -> None:
        """Let every detector check every build in flight."""
        for watch in self._inflight.values():
            watch.look(self._detectors, partial(self._work_for, watch))
            if self._beside and self._suspicions and self._suspicions.is_due(watch):
                self._beside.start_soon(self._examine, self._suspicions, watch)

    async def _examine(self, suspicions: Suspicions, watch: Watch) -> None:
        """Report a hang early, where the daemon's goroutines show it."""
        async with self._looking:  # at one build at a time; of a daemon that hung, one shows enough
            known = self.recorder.hung or any(each.found for each in self._inflight.values())
            if known or watch.since_export is None:
                return
            with anyio.CancelScope() as self._examination:
                shown = await suspicions.confirmed(watch)
                if shown and (waited := watch.since_export) is not None:
                    watch.find(Detection(Outcome.HANG, waited, dumps=shown))

    def _work_for(self, watch: Watch) -> Work:
        """Return what the daemon is seen to do for a build."""
        beside = [name for other in self._inflight.values() if other is not watch for name in other.progress.running]
        return self._activity.of(watch.progress.running, beside)

    def end(self, ending: Ending) -> None:
        """Come to an end. After the last iteration, builds in flight are waited for, and those of them that we timed
        out until the daemon is done with them; at the end of its time, only those whose export has completed;
        otherwise none are.
        """
        self.exhausted.set()
        self._auditing.cancel()
        if ending is Ending.TIME:
            for watch in self._inflight.values():
                watch.cut_off()
        elif ending is not Ending.ITERATIONS:
            self._scope.cancel()

    # Coordinator

    async def next_iteration(self) -> int | None:
        """Return the number of the next iteration once the daemon is up and no audit is in progress; None at the end.

        Who comes when an audit is due makes it, and the others queue behind: also after the last iteration.
        """
        renew, audit = self._scenario.daemon.renew, self._scenario.audit
        async with self._turn:
            if audit and self._begun >= self._audited + audit.every:
                await self._audit()
            await self._up.wait()
            if renew and self._begun >= renew.every:
                return None
            number = self._conductor.next_iteration()
            self._begun += number is not None
            if renew and self._begun >= renew.every:
                self.exhausted.set()
            return number

    async def _audit(self) -> None:
        """Look at the daemon once every build has ended; not at all where one takes too long, or the run ends.

        Detectors go on, so a build that hangs is found while it is waited for. So do other actors: their plan is not to
        depend on audits, and what is frozen or full must be healed in its time. What they add is noise.
        """
        daemon, since = self.daemon, anyio.current_time()
        self._audited = self._begun
        with anyio.move_on_after(_DRAIN_SECONDS) as self._auditing:
            while self._over < self._begun:
                await anyio.sleep(_DRAIN_POLL_SECONDS)
            await self._up.wait()
            self._auditing.deadline = math.inf
            pids, count = daemon.facts.pids, self._conductor.begun
            prunes = self._scenario.audit is not None and self._scenario.audit.disk
            with self._misses.disturbed() if self._misses and prunes else nullcontext():
                audit = await self._auditor.audit(
                    daemon, pids, family(pids), iteration=count, began=self._conductor.began, since=since
                )
            if daemon.facts.pids == pids:  # else it was restarted meanwhile, and the figures are of neither
                audit = self._growth.audited(replace(audit, generation=self.generation))
                self._conductor.database.add(audit)
                if audit.graph_faults:
                    await self.recorder.inconsistency()
                    self._end_if_hung()
        if self._growth.comes_due():
            await self._weigh_growth()

    async def _weigh_growth(self) -> None:
        """Record what grows without bound by the audits so far, where the scenario hunts growth."""
        if Symptom.GROWTH not in self._scenario.stop.hunted or self.recorder.hung:
            return
        for what, line in self._growth.growing():
            await self.recorder.growth(what, line)
        self._end_if_hung()

    @contextmanager
    def watching(self, watch: Watch) -> Iterator[None]:
        """Let every detector check a running build, and signal its phases to the triggers."""
        started = watch.progress.reached[Phase.STARTED] - self._conductor.began
        begun = Begun(watch.iteration, watch.actor, watch.request.args, started, self.generation)
        self._conductor.database.add(begun)
        self._inflight[watch.iteration] = watch
        self._sever(watch)
        watch.on_news, watch.failure_kind = self._signals.progressed, self._scenario.failure_kind
        watch.of_success = self._of_success
        self._signals.progressed(watch, News((Phase.STARTED,)))
        try:
            yield
        finally:
            del self._inflight[watch.iteration]
            self.recorder.ended(watch)

    @contextmanager
    def outage(self, why: str) -> Iterator[None]:
        """Begin no build while the daemon is down on purpose; builds in flight count as cut off, not as failed."""
        self._up = anyio.Event()
        for watch in self._inflight.values():
            watch.excuse = why
        self._orphans.forget()
        try:
            yield
        finally:
            self._up.set()

    @contextmanager
    def severing(self, why: str, host: str | None = None) -> Iterator[None]:
        """Have builds whose connection breaks, of those that run meanwhile, be cut off by that, not failed.

        Args:
            why: what makes it break.
            host: the client host whose builds are meant; None for all.
        """

        def sever(watch: Watch) -> None:
            if host is None or watch.request.host == host:
                watch.severed = why

        self._sever = sever
        for watch in self._inflight.values():
            sever(watch)
        try:
            yield
        finally:
            self._sever = _leave

    @contextmanager
    def acting(self, actor: Actor) -> Iterator[None]:
        """Hold nothing against the cache that an actor may have removed from it meanwhile; nor against builds whose
        exports fail that nothing succeeds, while an actor makes their registry a bad one.
        """
        self._meddling += actor.disturbs_registry
        try:
            with self._misses.disturbed() if self._misses and actor.disturbs else nullcontext():
                yield
        finally:
            if actor.disturbs_registry:
                self._meddling, self._meddled = self._meddling - 1, self._now()

    def _is_provoked(self, build: Iteration) -> bool:
        """Whether a build's export met a registry that the scenario itself made a bad one."""
        return build.exporting is not None and (self._meddling > 0 or self._meddled >= build.exporting)

    def record(self, record: Iteration | Action) -> None:
        """Take the record of what was done, and end the run where an iteration's outcome says so."""
        conductor = self._conductor
        conductor.database.add(record)
        if isinstance(record, Action):
            conductor.observer.acted(record)
        else:
            self._over += 1
            if self._scenario.audit:
                self._growth.built(record)
            conductor.iterated(record)
            if record.outcome is Outcome.TIMED_OUT:
                self._orphans.expect(record)
            conductor.observer.iterated(record)
            self._weigh(record)

    def _weigh(self, iteration: Iteration) -> None:
        outcome, conductor = iteration.outcome, self._conductor
        count = self._streak[1] + 1 if outcome is self._streak[0] else 1
        if outcome is Outcome.FAILED and self._is_provoked(iteration):
            count = 0
        else:
            self._streak = (outcome, count)
        if outcome is Outcome.OK:
            self._able.add(iteration.actor)
        elif iteration.actor not in self._able:
            self._refused[iteration.actor] += is_refusal(iteration.error)
        if self.recorder.hung:
            self._go_on_or_end()
        elif self._refused[iteration.actor] >= _REFUSALS and iteration.actor not in self._able:
            why = f"what {iteration.actor} asks of {self.daemon.facts.kind} {self.daemon.facts.version} is refused"
            conductor.end(Ending.UNABLE, f"{why}: {iteration.error}\n{advice_for(self.daemon.facts)}")
        elif outcome is Outcome.STALL and count >= _DEAD_STALLS:
            conductor.end(Ending.STALLED)
        elif outcome is Outcome.FAILED and count >= _HOPELESS_FAILURES and not conductor.succeeded:
            conductor.end(Ending.FAILING, iteration.error)
        elif outcome is Outcome.INFRA and count >= _INFRA_IN_A_ROW:
            if daemon_is_gone(iteration.error):
                conductor.end(Ending.DAEMON_DIED, iteration.error)
            else:
                conductor.end(Ending.INFRA, f"{count} clients in a row ended before they built: {iteration.error}")

    def _go_on_or_end(self) -> None:
        """After a hunted finding: end the run, or cut off all builds in flight and let the next daemon take over."""
        if not self._conductor.end_if_enough():
            self._scope.cancel()

    async def found(self, what: Watch | Unanswered) -> None:
        """Record a finding at once, then capture its evidence while the actor that found it still waits."""
        self._examination.cancel()  # the evidence is more than a suspicion, and may not wait for it
        if isinstance(what, Watch):  # whose iteration is still to end, and to be weighed
            await self.recorder.build(what)
        else:
            await self.recorder.unanswered(what)
            self._end_if_hung()

    async def _left_running(self, orphan: Orphan) -> None:
        self._examination.cancel()
        await self.recorder.orphan(orphan)
        self._end_if_hung()

    def _end_if_hung(self) -> None:
        if self.recorder.hung:
            self._go_on_or_end()

    async def _died(self, how: str) -> bool:
        """Record that the daemon is gone, and return whether the scenario hunts that."""
        hunted = await self.recorder.death(how)
        if hunted:
            self._conductor.end_if_enough()
        return hunted

    def _released(self, number: int) -> None:
        """Note that the daemon has let go of a build that we timed out."""
        self._conductor.database.amend(number, released=self._now())

    # What goes on beside the actors

    def _now(self) -> float:
        return anyio.current_time() - self._conductor.began

    async def _watch_daemon(self) -> None:
        status = await self.daemon.ended()
        facts, capturing = self.daemon.facts, self._conductor.capturing
        meanwhile = "the evidence of a finding was captured" if capturing.locked() else ""
        with self.outage(f"{facts.kind} has ended"):
            async with capturing:  # what its processes are not asked for is had still
                raise DaemonDied(facts.kind, status, facts.log, meanwhile)

    async def _sample(self) -> None:
        """Measure every few seconds, and keep the daemon's log from growing for ever."""
        conductor = self._conductor
        sampler = Sampler(self.daemon, conductor.attention, conductor.folder.path)
        while True:
            await anyio.sleep(SAMPLE_SECONDS)
            sample = await sampler.sample(conductor.began, len(self._inflight))
            sample = replace(sample, generation=self.generation)
            conductor.database.add(sample)
            conductor.observer.sampled(sample)
            facts = self.daemon.facts
            if facts.private and facts.log:
                rotate(facts.log)


def _leave(watch: Watch) -> None:
    """Let a build be, as nothing makes the network fail."""
