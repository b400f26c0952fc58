"""Makes runs on the hosts of a Dask cluster, as many at once as these have places for.

1. Each worker with the resource `repro` is greeted as it comes: one with another version of the harness is not asked.
2. A run takes a free place. Programs that its host lacks are sent to it, once, and checked there.
3. The task is bound to that worker: who makes a run, and who makes it anew, is decided here. What it says of itself is
   told to the run's observer as it comes.
4. What comes back is laid out below `results/`, under a name with its host's in it, and is the run.

A run that its worker did not make counts as never made, and goes to another, twice at most. Which workers are asked at
all is kept by `Hosts`.
"""

import secrets
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any, Final

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus
from distributed import Client, Future
from distributed.client import FutureCancelledError

from harness import __version__
from harness.core.errors import Interrupted
from harness.core.records import Summary
from harness.experiments.fleet.arrivals import ArrivedRuns, place_of
from harness.experiments.fleet.errors import CutOff, NeverMade, NotMade, NoWorkers, Refused, SchedulerGone
from harness.experiments.fleet.host import Greeting, greet, keep_part, keep_whole, lacking, make
from harness.experiments.fleet.hosts import Hosts, Worker
from harness.experiments.fleet.job import Cases, Delivery, Job, StaysHere, Unpackable
from harness.experiments.fleet.replay import replay
from harness.host.interrupt import Interrupt, interruptible, unheard
from harness.run.observer import Reporter
from harness.run.plan import RunOptions
from harness.scenario import Scenario
from harness.store.folder import RunFolder
from harness.toolchain import Toolchain, resolve

RESOURCE: Final = "repro"
"""Of a worker: how many runs it makes at once."""
MOST_MOVES: Final = 2
"""So often a run that was not made goes to another worker."""
_PART_BYTES: Final = 2**23
_BY_NAME: Final = ("buildkit", "docker", "debian", "image")
"""Kinds of toolchain that each host fetches, and checks, by itself."""
_LOG: Final = 200
"""Letters of a reason that are told."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class FleetTimeouts:
    """How long is waited, in seconds."""

    silent: float = 60.0
    """For a word of a run: they come every second."""
    workers: float = 60.0
    """For the first worker, and for any where there is none left."""
    answer: float = 60.0
    """For an answer of a worker or of the scheduler."""
    ending: float = 90.0
    """For remote daemons to end, after Ctrl-C."""
    poll: float = 1.0
    """Between two looks at who is there."""


USUAL: Final = FleetTimeouts()


@dataclass
class _Attempt:
    """A run on its way."""

    worker: Worker
    deliver: Callable[[Mapping[str, Any]], None]
    heard: float = field(default_factory=monotonic)
    lost: anyio.Event = field(default_factory=anyio.Event)
    why: str = ""
    ended: bool = False
    cut_off: bool = False
    """Whether this host lost the scheduler, which lets go of what was asked for."""

    def lose(self, why: str) -> None:
        """Give it up."""
        self.why = self.why or why
        self.lost.set()


@dataclass
class FleetRunner:
    """Makes runs on a cluster; to be had from `fleet_runner`."""

    client: Client
    address: str
    say: Say
    interrupt: Interrupt
    patience: FleetTimeouts = USUAL
    known: Hosts = field(default_factory=Hosts)
    topic: str = field(default_factory=lambda: f"repro-{secrets.token_hex(8)}")
    _attempts: dict[str, _Attempt] = field(default_factory=dict)
    _changed: anyio.Event = field(default_factory=anyio.Event)
    _queue: anyio.Lock = field(default_factory=anyio.Lock)
    """Who has it waits for the next place that is free."""
    _refused: dict[str, str] = field(default_factory=dict)
    """Workers that are not asked, and why, by address."""
    _greeted: set[str] = field(default_factory=set)
    _here: dict[str, anyio.Lock] = field(default_factory=dict)
    _toolchains: dict[str, Toolchain] = field(default_factory=dict)
    _cases: Cases = field(default_factory=Cases)
    _arrivals: ArrivedRuns = field(default_factory=ArrivedRuns)
    _heartbeats: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Of each worker: the last one that the scheduler has, and when that was first seen here."""
    _answered: float = field(default_factory=monotonic)
    """When the scheduler last answered."""
    _gone: bool = False

    @property
    def slots(self) -> int:
        """How many runs it can make at once, now."""
        return max(self.known.slots, 1)

    @property
    def hosts(self) -> Collection[str]:
        """Those that are there, and are not left out."""
        return self.known.hosts

    @property
    def _connected(self) -> bool:
        """Whether this host has its scheduler; without it no worker can be asked, and none has failed."""
        return bool(self.client.status == "running")

    async def make(self, scenario: Scenario, options: RunOptions, reporter: Reporter) -> tuple[Summary, RunFolder]:
        """Make one run; see `Runner`."""
        if options.keep or scenario.on_hang.then == "hold":
            raise StaysHere("a daemon that is kept or held is of no use on another host: leave that out")
        with self.interrupt.cancellable():
            return await self._make(scenario, options, reporter)
        raise Interrupted

    async def obtain(self, scenario: Scenario, options: RunOptions, reporter: Reporter) -> dict[str, str]:
        """See that a toolchain can be had; see `Runner`. What each host fetches by itself is seen to as it comes."""
        toolchain = await self._toolchain(options.toolchain or scenario.daemon.toolchain, scenario, reporter)
        return {name: binary.sha256 for name, binary in toolchain.binaries.items()}

    async def _make(self, scenario: Scenario, options: RunOptions, reporter: Reporter) -> tuple[Summary, RunFolder]:
        toolchain = await self._toolchain(options.toolchain or scenario.daemon.toolchain, scenario, reporter)
        case = self._cases.known(scenario)
        if case is None:
            case = await anyio.to_thread.run_sync(self._cases.of, scenario)
        job = case.job(options, toolchain)
        whys: dict[str, str] = {}
        moves = 0
        while moves <= MOST_MOVES:
            worker = await self._free(whys)
            folder = RunFolder(place_of(options.results / scenario.name, worker.host))
            deliver = partial(replay, reporter=reporter, scenario=scenario, folder=folder, host=worker.name)
            try:
                try:
                    delivery = await self._on(worker, job, toolchain, deliver)
                finally:  # the next run begins while this one is laid out
                    self.known.give_back(worker)
                    self._news()
                made = await anyio.to_thread.run_sync(self._arrivals.keep, delivery, folder, case, options, toolchain)
            except CutOff:
                continue  # it says nothing of the host; whether there is a scheduler is seen as one waits for a place
            except (NotMade, Unpackable) as error:
                if self._gone:
                    raise SchedulerGone(self.address) from error
                moves += 1
                whys[worker.name] = _brief(str(error))
                self._failed(worker.name, whys[worker.name])
            else:
                self.known.made(worker.name)
                return made
        raise NeverMade(whys)

    def _failed(self, name: str, why: str) -> None:
        self.say(f"{name} did not make its run, which counts as never made: {why}")
        if self.known.failed(name, why):
            self.say(f"{name} is left out from now on: it has failed {len(self.known.failures[name])} times in a row")

    # Where

    async def _free(self, avoided: Mapping[str, str]) -> Worker:
        """Wait for a free place, first come, first served; who avoids hosts holds up nobody who does not.

        Raises:
            NoWorkers, SchedulerGone: see `_first_free`.
        """
        if avoided:
            return await self._first_free(avoided)
        async with self._queue:  # a thousand that all look again at each news would take longer than the runs
            return await self._first_free(avoided)

    async def _first_free(self, avoided: Mapping[str, str]) -> Worker:
        """Wait for a place that is free.

        Raises:
            NoWorkers: there is no worker at all, for too long.
            SchedulerGone: nobody knows.
        """
        alone = monotonic()
        while True:
            if self._gone:
                raise SchedulerGone(self.address)
            if self._connected and (worker := self.known.take(avoided)):
                return worker
            if self.known.slots:
                alone = monotonic()
            if monotonic() - alone > self.patience.workers:
                raise NoWorkers(self.address, self.patience.workers, self._refused | dict(self.known.left_out))
            changed = self._changed
            with anyio.move_on_after(self.patience.poll):
                await changed.wait()

    def _news(self) -> None:
        """Have all that wait for a place look again."""
        self._changed.set()
        self._changed = anyio.Event()

    async def watch(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """See who comes and goes, and which runs have fallen silent; until cancelled. It is begun once all are greeted.

        Raises:
            SchedulerGone: it has never answered.
        """
        async with anyio.create_task_group() as greetings:
            await self._look(greetings.start_soon)
        if self._gone:
            raise SchedulerGone(self.address)
        task_status.started()
        async with anyio.create_task_group() as tasks:
            while True:
                await anyio.sleep(self.patience.poll)
                await self._look(tasks.start_soon)

    async def _look(self, soon: Callable[..., object]) -> None:
        try:
            with anyio.fail_after(self.patience.answer):
                known = await self.client.scheduler.identity(n_workers=-1)
        except (OSError, TimeoutError, AttributeError, RuntimeError):  # the last two of a client that has closed
            if self.client.status == "closed" or monotonic() - self._answered > self.patience.answer:
                self._gone = True
                for attempt in self._attempts.values():
                    attempt.lose("the scheduler is gone")
            return
        self._answered = monotonic()
        there = {
            address: int(each["resources"].get(RESOURCE, 0))
            for address, each in known["workers"].items()
            if each["status"] == "running"
        }
        self._greeted &= there.keys()
        for address in self.known.workers.keys() - there.keys():
            self.say(f"{self.known.workers.pop(address).name} has left")
            for attempt in self._attempts.values():
                if attempt.worker.address == address:
                    attempt.lose("its worker has left, or was killed")
        for address, slots in there.items():
            if slots and address not in self._greeted:
                self._greeted.add(address)
                soon(self._greet, address, slots)
            beat = known["workers"][address]["last_seen"]
            if self._heartbeats.get(address, (0.0, 0.0))[0] != beat:
                self._heartbeats[address] = (beat, monotonic())
            if worker := self.known.workers.get(address):
                worker.silent = monotonic() - self._heartbeats[address][1] > self.patience.silent
        for attempt in self._attempts.values():
            if monotonic() - attempt.heard > self.patience.silent:
                attempt.lose(f"it has said nothing for {self.patience.silent:g} s")

    async def _greet(self, address: str, slots: int) -> None:
        try:
            greeting: Greeting = await self._ask(address, greet)
        except (NotMade, CutOff) as error:
            self._refused[address] = _brief(str(error))
            self._greeted.discard(address)  # it may answer yet
            return
        if greeting.version != __version__:
            self._refused[greeting.name] = f"it has repro-harness {greeting.version}, and this host {__version__}"
            self.say(f"{greeting.name} is left out: {self._refused[greeting.name]}")
            return
        if self.known.is_taken(greeting.host, greeting.boot):
            why = f"another machine is called {greeting.host} too: set REPRO_HOST for its workers"
            if self._refused.get(greeting.name) != why:
                self.say(f"{greeting.name} is left out: {why}")
            self._refused[greeting.name] = why
            self._greeted.discard(address)  # the other one may leave
            return
        self._refused.pop(address, None)
        self._refused.pop(greeting.name, None)
        worker = Worker(address, greeting.name, greeting.host, slots, place=greeting.place, boot=greeting.boot)
        self.known.workers[address] = worker
        self.say(f"{greeting.name} has come ({slots} at once)")
        self._news()

    async def _ask(self, address: str, question: Callable[..., Any], *words: Any) -> Any:
        """Ask a worker.

        Raises:
            NotMade: there is no answer.
            CutOff: this host has lost the scheduler, and could not ask.
        """
        try:
            with anyio.fail_after(self.patience.answer):
                answers = await self.client.run(question, *words, workers=[address])
            return answers[address]
        except TimeoutError as error:
            raise NotMade(f"its worker does not answer within {self.patience.answer:g} s") from error
        except Exception as error:  # whatever a worker raises comes as it is: also that it has no harness
            if not self._connected:
                raise CutOff("this host has lost the scheduler") from error
            raise NotMade(f"{type(error).__name__}: {error}") from error

    # What

    async def _toolchain(self, spec: str, scenario: Scenario, reporter: Reporter) -> Toolchain:
        """Return the toolchain as it is here, or as its name says where each host fetches it."""
        if scenario.daemon.wanted_kind == "stub":
            return Toolchain("stub", {})
        if spec.partition(":")[0] == "host":
            raise StaysHere("the host's own daemon is this host's: name a toolchain")
        if spec.partition(":")[0] in _BY_NAME:
            return Toolchain(spec, {})
        if spec == "auto" and scenario.daemon.wanted_kind:
            spec = f"auto:{scenario.daemon.wanted_kind}"
        if spec not in self._toolchains:
            reporter.doing(f"preparing toolchain {spec}")
            self._toolchains[spec] = await resolve(spec)
        return self._toolchains[spec]

    async def _supply(self, worker: Worker, toolchain: Toolchain) -> None:
        """Send a host the programs that it lacks; one at a time, for two that lack the same would send it twice."""
        programs = {binary.sha256: binary.path for binary in toolchain.binaries.values()}
        if not programs or toolchain.spec.partition(":")[0] in _BY_NAME:
            return
        async with self._here.setdefault(worker.place, anyio.Lock()):
            for sha256 in await self._ask(worker.address, lacking, [*programs]):
                path = programs[sha256]
                self.say(f"{worker.name} gets {path.name} ({path.stat().st_size / 2**20:.0f} MiB)")
                with path.open("rb") as file:
                    while part := await anyio.to_thread.run_sync(file.read, _PART_BYTES):
                        await self._ask(worker.address, keep_part, sha256, self.topic, file.tell() - len(part), part)
                if not await self._ask(worker.address, keep_whole, sha256, self.topic):
                    raise NotMade(f"{path.name} came with another SHA-256 than it left with")

    async def _on(
        self, worker: Worker, job: Job, toolchain: Toolchain, deliver: Callable[[Mapping[str, Any]], None]
    ) -> Delivery:
        """Have a worker make a run.

        Raises:
            NotMade: it did not.
            Refused: nobody will.
            CutOff: this host has lost the scheduler.
        """
        await self._supply(worker, toolchain)
        if not self._connected:
            raise CutOff
        key = f"{self.topic}-{secrets.token_hex(8)}"
        attempt = self._attempts[key] = _Attempt(worker, deliver)
        future: Future | None = None
        try:
            future = self.client.submit(
                make,
                job,
                key,
                self.topic,
                key=key,
                workers=[worker.address],
                resources={RESOURCE: 1},
                retries=0,
                pure=False,
            )
            delivery = await self._until_there(future, attempt)
        except BaseException:
            if future is not None:
                with anyio.CancelScope(shield=True):
                    await self._call_off(future, attempt)
            raise
        finally:
            del self._attempts[key]
        if delivery.refusal == "usage":
            raise Refused(worker.name, delivery.because)
        if delivery.refusal:
            raise NotMade(delivery.because)
        return delivery

    async def _until_there(self, future: Future, attempt: _Attempt) -> Delivery:
        delivery: Delivery | None = None

        async def arrive() -> None:
            nonlocal delivery
            try:
                delivery = await future.result()
            except FutureCancelledError:  # nobody of ours has cancelled it
                attempt.cut_off = True
                attempt.lose("this host has lost the scheduler")
            except Exception as error:  # of Dask, or of the task: it is not made
                attempt.lose(f"{type(error).__name__}: {error}")
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(arrive)
            await attempt.lost.wait()
            tasks.cancel_scope.cancel()
        if attempt.cut_off:
            raise CutOff
        if delivery is None:
            raise NotMade(attempt.why)
        return delivery

    async def _call_off(self, future: Future, attempt: _Attempt) -> None:
        """Have a run end that nobody waits for any more; where its host can still be reached, wait until it has."""
        with anyio.move_on_after(self.patience.ending), suppress(Exception):
            await self.client.cancel([future], force=True)
            while not attempt.ended and not attempt.why and not self._gone:
                await anyio.sleep(0.1)

    async def hear(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """Take what a host tells."""
        _, message = event
        attempt = self._attempts.get(str(message.get("key")))
        if attempt:
            attempt.heard = monotonic()
            attempt.ended = attempt.ended or bool(message.get("ended"))
            for line in message.get("lines", ()):
                attempt.deliver(line)


@asynccontextmanager
async def fleet_runner(
    client: Client,
    address: str,
    say: Say,
    interrupted: Callable[[int], None] = unheard,
    patience: FleetTimeouts = USUAL,
) -> AsyncIterator[FleetRunner]:
    """Have the workers of a cluster make runs, until left; SIGINT and SIGTERM end what they make.

    Args:
        client: is connected.
        address: of the scheduler, as a person says it.
        say: is told who comes, fails and is left out.
        interrupted: hears of each signal that is to end it, and which one it is, from 1.
        patience: how long is waited.
    """
    async with interruptible(interrupted) as interrupt:
        runner = FleetRunner(client, address, say, interrupt, patience)
        client.subscribe_topic(runner.topic, runner.hear)
        async with anyio.create_task_group() as tasks:
            with interrupt.cancellable():
                await tasks.start(runner.watch)
            if interrupt.came:
                raise Interrupted
            try:
                yield runner
            finally:
                tasks.cancel_scope.cancel()


def _brief(why: str) -> str:
    line = " ".join(why.split())
    return line if len(line) <= _LOG else f"{line[:_LOG]}…"
