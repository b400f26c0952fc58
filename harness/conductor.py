"""One run in progress: hands out iterations, hears what actors report, has builds watched, and ends when it should.

It is the `Board` and the `Signals` of the actors' stage. Nothing here judges: it records, and stops.
"""

import math
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

import anyio
import anyio.to_thread
from anyio.abc import ObjectReceiveStream
from anyio.streams.memory import MemoryObjectSendStream

from harness.actors.base import Actor, Stage
from harness.actors.watch import Watch
from harness.attention import Attention
from harness.audit import Auditor
from harness.cache import cache_folder
from harness.daemons.base import Daemon
from harness.detectors.table import detectors
from harness.errors import DaemonDied
from harness.evidence.table import Stages, capture_all, of_build, of_orphan
from harness.hostinfo import require_room_to_go_on
from harness.logs import rotate
from harness.notify import notify
from harness.orphans import Orphan, Orphans
from harness.outcome import Ending, Outcome, Phase
from harness.past import NOTHING_YET, Past
from harness.progress import News, Step
from harness.records import Action, Begun, Finding, Iteration, Sample
from harness.sampler import Sampler, family
from harness.scenario import Scenario
from harness.store import Database, RunFolder
from harness.triggers.base import Reached

SAMPLE_SECONDS: Final = 5.0
TEND_SECONDS: Final = 1.0
"""What a power cut may cost of the records; a disk that fills by more than its reserve in that time fills up."""
_DRAIN_SECONDS: Final = 60.0
"""How long an audit waits for builds in flight, and others with it; a hang or a stall may take longer to be seen."""
_DRAIN_POLL_SECONDS: Final = 0.05
_FULL_EVIDENCE: Final = 3
"""Findings whose evidence is captured, each in full: megabytes. Of later ones there is the progress."""
_HOPELESS_FAILURES: Final = 10
"""Failures in a row, with no build that ever succeeded, after which going on would only count failures."""
_INFRA_IN_A_ROW: Final = 5
_DEAD_STALLS: Final = 3
"""Stalls in a row, with no build that got through between them, after which the daemon builds nothing any more."""


class Observer(Protocol):
    """Who looks on: a screen, a log, nobody."""

    def iterated(self, iteration: Iteration) -> None:
        """An iteration came to its outcome."""
        ...

    def acted(self, action: Action) -> None:
        """Another actor has acted."""
        ...

    def found(self, finding: Finding) -> None:
        """A hang or a stall was seen, just now."""
        ...

    def sampled(self, sample: Sample) -> None:
        """Daemon, host and harness were measured."""
        ...


class Conductor:
    """The state of a run between its start and its verdict."""

    def __init__(
        self, scenario: Scenario, folder: RunFolder, database: Database, observer: Observer, past: Past = NOTHING_YET
    ) -> None:
        self.scenario, self.folder = scenario, folder
        self.ending: Ending | None = None
        self.detail = ""
        self.attention = Attention(unattended=past.unattended)
        self._past = past
        self.began = self.since = anyio.current_time()
        self.ended: float | None = None
        """Monotonic time at which the run was over; what follows is cleaning up."""
        self._database, self._observer = database, observer
        self._detectors = detectors(scenario.detect)
        self.hang: Finding | None = None
        """The first of the daemon of now."""
        self._daemon: Daemon | None = None
        self._scope = anyio.CancelScope()
        self._inflight: dict[int, Watch] = {}
        self._listeners: list[tuple[Callable[[Reached], bool], MemoryObjectSendStream[Reached]]] = []
        self._up = anyio.Event()
        self._up.set()
        self._generation = past.generation
        self._begun = self._over = self._born = past.begun
        """How many iterations have begun, how many are over, and how many had begun before the daemon of now."""
        self._audited = 0
        """How many iterations had begun at the last audit."""
        self._auditor = Auditor(past.series)
        self._turn = anyio.Lock()
        self._auditing = anyio.CancelScope()
        self._orphans: Orphans | None = None
        self._hunted, self._captured = past.hunted, past.captured
        self._hung = False
        """Whether the daemon of now has shown what the scenario hunts, and all that follows from it."""
        self._capturing = anyio.Lock()
        self._succeeded = Outcome.OK in past.outcomes
        self._streak: tuple[Outcome, int] = (Outcome.OK, 0)
        self.begin()

    def begin(self) -> None:
        """Have the run's clock start now, or go on from where it stood."""
        self.since = anyio.current_time()
        self.began = self.since - self._past.seconds
        if self._enough:
            self.end(Ending.FINDINGS)

    async def conduct(
        self, daemon: Daemon, actors: Sequence[Actor], staging: Path, seed: int, registry: str = ""
    ) -> None:
        """Let every actor act on one daemon, until the run ends or the daemon is to be renewed.

        Args:
            daemon: the one under test.
            actors: the scenario's, prepared.
            staging: the folder that they were prepared in.
            seed: the source of all chance.
            registry: the address of the run's own, where an actor needs one.
        """
        self._daemon, self._scope = daemon, anyio.CancelScope()
        self._generation += 1
        self._audited = self._born = self._begun
        self._hung, self.hang = False, None
        orphans = Orphans(daemon, self.scenario.detect.orphan, self.attention, self._left_running, self._released)
        self._orphans = orphans
        stage = Stage(
            *(daemon, self._generation, staging, seed, self.began, self.attention, self, self, self._inflight, registry)
        )
        with self._scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.attention.keep, self._look)
                tasks.start_soon(self._sample, daemon)
                tasks.start_soon(self._tend, daemon)
                tasks.start_soon(self._watch_daemon, daemon)
                tasks.start_soon(self._watch_clock)
                tasks.start_soon(orphans.keep)
                for actor in actors:
                    if not actor.builds:
                        tasks.start_soon(actor.perform, stage)
                async with anyio.create_task_group() as builds:
                    for actor in actors:
                        if actor.builds:
                            builds.start_soon(actor.perform, stage)
                await orphans.settle(lambda: self.ending is not None)
                async with self._capturing:  # of what was found without a client
                    pass
                if self._begun == self.scenario.stop.iterations:
                    self.end(Ending.ITERATIONS)
                tasks.cancel_scope.cancel()
        self.since = anyio.current_time()

    def end(self, ending: Ending, detail: str = "") -> None:
        """End the run. After the last iteration, builds in flight are waited for, and those of them that we timed out
        until the daemon is done with them; at the end of its time, only those whose export has completed; otherwise
        none are.
        """
        if self.ending is not None:
            return
        self.ending, self.detail, self.ended = ending, detail, anyio.current_time()
        self._auditing.cancel()
        if ending is Ending.TIME:
            for watch in self._inflight.values():
                watch.cut_off()
        elif ending is not Ending.ITERATIONS:
            self._scope.cancel()

    # Board

    async def next_iteration(self) -> int | None:
        """Return the next iteration's number, once the daemon is up and no audit goes on; None if it gets no more.

        Who comes when an audit is due makes it, and the others queue behind: also after the last iteration.
        """
        limit, renew = self.scenario.stop.iterations, self.scenario.daemon.renew
        async with self._turn:
            if self.scenario.audit and self._begun >= self._audited + self.scenario.audit.every:
                await self._audit()
            await self._up.wait()
            if self.ending is not None or (limit is not None and self._begun >= limit):
                return None
            if renew and self._begun >= self._born + renew.every:
                return None
            self._begun += 1
            return self._begun

    async def _audit(self) -> None:
        """Look at the daemon once every build has ended; not at all where one takes too long, or the run ends.

        Detectors go on, so a build that hangs is found while it is waited for. So do other actors: their plan is not to
        depend on audits, and what is frozen or full must be healed in its time. What they add is noise.
        """
        assert self._daemon is not None  # noqa: S101 — whose iterations were given out
        daemon, since = self._daemon, anyio.current_time()
        self._audited = self._begun
        with anyio.move_on_after(_DRAIN_SECONDS) as self._auditing:
            while self._over < self._begun:
                await anyio.sleep(_DRAIN_POLL_SECONDS)
            await self._up.wait()
            self._auditing.deadline = math.inf
            pids = daemon.facts.pids
            audit = await self._auditor.audit(
                *(daemon, pids, family(pids)), iteration=self._begun, began=self.began, since=since
            )
            if daemon.facts.pids == pids:  # else it was restarted meanwhile, and the figures are of neither
                self._database.add(audit)

    @contextmanager
    def watching(self, watch: Watch) -> Iterator[None]:
        """Have a running build looked at by every detector, and its phases signalled."""
        started = watch.progress.reached[Phase.STARTED] - self.began
        self._database.add(Begun(watch.iteration, watch.actor, watch.request.args, started, self._generation))
        self._inflight[watch.iteration] = watch
        watch.on_news = self._signal
        self._signal(watch, News((Phase.STARTED,)))
        try:
            yield
        finally:
            del self._inflight[watch.iteration]

    @contextmanager
    def outage(self, why: str) -> Iterator[None]:
        """Have no build begin while the daemon is down on purpose; those in flight are cut off by it, not failed."""
        self._up = anyio.Event()
        for watch in self._inflight.values():
            watch.excuse = why
        if self._orphans:
            self._orphans.forget()
        try:
            yield
        finally:
            self._up.set()

    def record(self, record: Iteration | Action) -> None:
        """Take the record of what was done, and end the run where an iteration's outcome says so."""
        self._database.add(record)
        if isinstance(record, Action):
            self._observer.acted(record)
        else:
            self._over += 1
            if record.outcome is Outcome.TIMED_OUT and self._orphans:
                self._orphans.expect(record)
            self._observer.iterated(record)
            self._weigh(record)

    def _weigh(self, iteration: Iteration) -> None:
        outcome = iteration.outcome
        count = self._streak[1] + 1 if outcome is self._streak[0] else 1
        self._streak = (outcome, count)
        self._succeeded = self._succeeded or outcome is Outcome.OK
        if self._enough or self._hung:
            self._go_on_or_end()
        elif outcome is Outcome.STALL and count >= _DEAD_STALLS:
            self.end(Ending.STALLED)
        elif outcome is Outcome.FAILED and count >= _HOPELESS_FAILURES and not self._succeeded:
            self.end(Ending.FAILING, iteration.error)
        elif outcome is Outcome.INFRA and count >= _INFRA_IN_A_ROW:
            self.end(Ending.INFRA, iteration.error)

    def _go_on_or_end(self) -> None:
        """After a finding: end the run, or let the next daemon take over; then what is in flight is cut off."""
        if self._enough:
            self.end(Ending.FINDINGS)
        elif self._hung:
            self._scope.cancel()

    @property
    def _enough(self) -> bool:
        """Whether as many findings have come as the scenario wants."""
        wanted = self.scenario.findings_wanted
        return wanted is not None and self._hunted >= wanted

    async def found(self, watch: Watch) -> None:
        """Record a finding at once, then capture its evidence while the client still waits."""
        assert watch.found is not None  # noqa: S101 — what brings a watch here
        finding = Finding(
            iteration=watch.iteration,
            kind=watch.found.outcome,
            at=anyio.current_time() - self.began,
            actor=watch.actor,
            args=watch.request.args,
            phase=watch.progress.phase,
            waited=watch.found.waited,
            completed_steps=watch.progress.completed_vertexes,
            last_progress=tuple(watch.progress.last),
            hunted=watch.found.outcome in self.scenario.stop.hunted,
            generation=self._generation,
        )
        said = "\n".join([*watch.progress.last, *watch.progress.messages]) + "\n"

        def evidence() -> Stages:
            return of_build(watch, [other for other in self._inflight.values() if other is not watch])

        await self._keep(finding, said.encode(), evidence)

    async def _left_running(self, orphan: Orphan) -> None:
        """Record a finding whose client is gone, capture its evidence, and end the run where it says so."""
        build = orphan.iteration
        finding = Finding(
            iteration=build.number,
            kind=orphan.outcome,
            at=anyio.current_time() - self.began,
            actor=build.actor,
            args=build.args,
            phase=orphan.progress.phase,
            waited=orphan.waited,
            completed_steps=orphan.progress.completed_vertexes,
            last_progress=tuple(orphan.progress.last),
            hunted=orphan.outcome in self.scenario.stop.hunted,
            generation=build.generation,
            seen_by="history",
        )
        self._database.amend(build.number, outcome=finding.kind, seen_by=finding.seen_by)
        await self._keep(finding, orphan.log, lambda: of_orphan([*self._inflight.values()]))

    def _released(self, number: int) -> None:
        """Note that the daemon has let go of a build that we timed out."""
        self._database.amend(number, released=anyio.current_time() - self.began)

    async def _keep(self, finding: Finding, said: bytes, evidence: Callable[[], Stages]) -> None:
        """Record a finding, then capture what there is to see of it."""
        assert self._daemon is not None  # noqa: S101 — whose build it is
        self._database.add(finding)
        self._observer.found(finding)
        if finding.kind is Outcome.HANG and self.hang is None:
            self.hang = finding
        folder = self.folder.path / "findings" / str(finding.iteration)
        folder.mkdir(exist_ok=True)
        (folder / "progress.jsonl").write_bytes(said)
        async with self._capturing:  # one at a time; who comes second may find that the run has what it needs
            if self._captured < _FULL_EVIDENCE and not self._hung:
                self._captured += 1
                captured = await capture_all(self._daemon, folder, evidence())
                if self.scenario.on_finding:
                    captured["on_finding"] = await notify(
                        self.scenario.on_finding, self.folder, self.scenario.name, finding, self._daemon.facts
                    )
                self.folder.write_json(f"findings/{finding.iteration}/captured.json", captured)
            self._hunted += finding.hunted and not self._hung
            self._hung = self._hung or finding.hunted
            if finding.seen_by == "history":  # no client is to come to its end first
                self._go_on_or_end()

    # Signals

    @asynccontextmanager
    async def listening(self, wanted: Callable[[Reached], bool]) -> AsyncIterator[ObjectReceiveStream[Reached]]:
        """Listen to what builds reach; who is not waiting when something wanted comes misses it."""
        send, receive = anyio.create_memory_object_stream[Reached](0)
        listener = (wanted, send)
        self._listeners.append(listener)
        try:
            with send, receive:
                yield receive
        finally:
            self._listeners.remove(listener)

    def _signal(self, watch: Watch, news: News) -> None:
        reached_now: tuple[Phase | Step, ...] = (*news.steps, *news.phases)
        for what in reached_now:
            at = watch.progress.reached[what] if isinstance(what, Phase) else watch.progress.moved
            reached = Reached(watch.actor, watch.iteration, watch.request.images, what, at)
            for wanted, send in self._listeners:
                if wanted(reached):
                    with suppress(anyio.WouldBlock):
                        send.send_nowait(reached)

    # What goes on beside the actors

    def _look(self) -> None:
        for watch in self._inflight.values():
            watch.look(self._detectors)

    async def _watch_daemon(self, daemon: Daemon) -> None:
        status = await daemon.ended()
        raise DaemonDied(daemon.facts.kind, status, daemon.facts.log)

    async def _watch_clock(self) -> None:
        if self.scenario.stop.time is not None:
            await anyio.sleep_until(self.began + self.scenario.stop.time)
            self.end(Ending.TIME)

    async def _tend(self, daemon: Daemon) -> None:
        """Have what is recorded outlive a power cut, the daemon's log not grow for ever, and no disk be filled up."""
        while True:
            await anyio.sleep(TEND_SECONDS)
            require_room_to_go_on([self.folder.path, cache_folder("daemons")])
            if daemon.facts.private and daemon.facts.log:
                rotate(daemon.facts.log)
            await anyio.to_thread.run_sync(self.folder.harden)

    async def _sample(self, daemon: Daemon) -> None:
        sampler = Sampler(daemon, self.attention, self.folder.path)
        while True:
            await anyio.sleep(SAMPLE_SECONDS)
            sample = await sampler.sample(self.began, len(self._inflight))
            self._database.add(sample)
            self._observer.sampled(sample)
