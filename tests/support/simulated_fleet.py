"""A cluster in simulated time: hosts that only wait, and a clock that runs while we compute and skips while we do not.

What the harness itself does for each run takes the CPU time that it takes here: to pack a job, to choose a place, to
hear of a run, to lay out what comes back; what it does in threads comes after what its loop does. Dask's own part, and
the hosts', which are other processes, take none.
"""

import asyncio
import selectors
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio.to_thread
import pytest

from harness import __version__
from harness.experiments.fleet.host import TELL_SECONDS, Greeting, greet
from harness.experiments.fleet.job import Delivery
from harness.experiments.fleet.runner import RESOURCE, FleetRunner
from harness.host.interrupt import Interrupt

T = TypeVar("T")


class _Skipping(selectors.DefaultSelector):
    """Waits for nothing: whenever the loop is idle a thread's work is done, and else the clock is put forward."""

    skipped = 0.0
    threads: deque[Callable[[], None]]

    def select(self, timeout: float | None = None) -> Any:
        """Return what is there already."""
        there = super().select(0)
        if there or timeout == 0:
            return there
        if self.threads:
            self.threads.popleft()()
        elif timeout is not None:
            self.skipped += timeout
        return there


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock is the CPU time of this process, and what was waited for."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        self.threads = self._skipping.threads = deque()
        super().__init__(self._skipping)

    def time(self) -> float:
        """Return seconds since some time."""
        return self._skipping.skipped + time.process_time()


@dataclass
class _Future:
    task: "asyncio.Task[Delivery]"

    async def result(self) -> Delivery:
        return await asyncio.shield(self.task)


@dataclass
class SimulatedCluster:
    """What `FleetRunner` asks of Dask's client, with hosts that take so long for each run, and give back the same."""

    hosts: int
    seconds: float
    delivery: Delivery
    status: str = "running"
    made: int = 0
    _hear: Callable[[Any], Awaitable[None]] | None = None
    _tasks: set["asyncio.Task[Delivery]"] = field(default_factory=set)

    @property
    def scheduler(self) -> "SimulatedCluster":
        """Itself: it answers for the scheduler too."""
        return self

    async def identity(self, n_workers: int) -> dict[str, Any]:  # noqa: ARG002 — as it is asked
        """Return who is there."""
        now = time.monotonic()
        worker = {"resources": {RESOURCE: 1}, "status": "running", "last_seen": now}
        return {"workers": {f"sim://{number}": worker for number in range(self.hosts)}}

    async def run(self, question: Callable[..., Any], *_: Any, workers: list[str]) -> dict[str, Any]:
        """Ask a host who it is."""
        assert question is greet
        names = {address: address.removeprefix("sim://") for address in workers}
        return {address: Greeting(name, __version__, address, name, boot="") for address, name in names.items()}

    def submit(self, *_: object, key: str, **__: object) -> _Future:
        """Have a host make a run."""
        task = asyncio.get_running_loop().create_task(self._make(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return _Future(task)

    async def _make(self, key: str) -> Delivery:
        loop = asyncio.get_running_loop()
        end = loop.time() + self.seconds  # a host's run takes no longer because this host is slow to hear of it
        while (left := end - loop.time()) > 0:
            await self._tell(key, ended=False)
            await asyncio.sleep(min(TELL_SECONDS, left))
        await self._tell(key, ended=True)
        self.made += 1
        return self.delivery

    async def _tell(self, key: str, *, ended: bool) -> None:
        assert self._hear
        await self._hear((0.0, {"key": key, "host": "", "lines": [], "ended": ended}))

    async def cancel(self, futures: list[_Future], force: bool) -> None:  # noqa: ARG002 — as it is asked
        """Have a run end."""
        for each in futures:
            each.task.cancel()

    def listen(self, runner: FleetRunner) -> None:
        """Tell a runner what hosts tell."""
        self._hear = runner.hear


def simulated(work: Callable[[FleetRunner], Coroutine[Any, Any, T]], cluster: SimulatedCluster) -> tuple[T, float]:
    """Do something with a runner on a simulated cluster; return what came of it, and the simulated seconds."""

    async def in_turn(function: Callable[..., Any], *words: Any, **_: Any) -> Any:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        done: asyncio.Future[Any] = loop.create_future()

        def work() -> None:
            try:
                done.set_result(function(*words))
            except Exception as error:
                done.set_exception(error)

        loop.threads.append(work)
        return await done

    async def through() -> tuple[T, float]:
        runner = FleetRunner(cluster, "sim://", lambda _: None, Interrupt(lambda _: None))
        cluster.listen(runner)
        async with anyio.create_task_group() as tasks:
            await tasks.start(runner.watch)
            began = asyncio.get_running_loop().time()
            done = await work(runner)
            took = asyncio.get_running_loop().time() - began
            tasks.cancel_scope.cancel()
        return done, took

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anyio.to_thread, "run_sync", in_turn)
        with asyncio.Runner(loop_factory=SimulatedLoop) as loop:
            return loop.run(through())
