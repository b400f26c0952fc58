"""``freeze``: stops processes for a while (SIGSTOP), and lets them go on (SIGCONT)."""

import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from typing import Literal

import psutil

from harness.actors.base import ActorEnv, CouldNot, Disturbance, Effect
from harness.client.watched_build import Watch
from harness.core.manifest import DaemonFacts
from harness.host.ledger import Ledger
from harness.host.proc import Identity
from harness.scenario.triggers import Firing

_PARTS = {"daemon": "the daemon", "containerd": "containerd", "client": "clients of builds", "runc": "steps that run"}
RUNTIMES = frozenset({"runc", "buildkit-runc"})


class Freeze(Disturbance):
    """Freeze the daemon or a part of it; `when.lasting` says for how long.

    What is frozen can be killed all the same: its own children die with the harness, and `repro clean` ends the rest.
    """

    lasts = True

    target: Literal["daemon", "containerd", "client", "runc"] = "daemon"
    """The daemon's process; dockerd's containerd; the client of the build that `when` follows, or of every build; the
    steps that run now, with their runtime.
    """

    @property
    def disturbs(self) -> bool:
        """A client is our own."""
        return self.target != "client"

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        return f"freezes {_PARTS[self.target]}"

    @asynccontextmanager
    async def act(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:
        """Freeze, and heal.

        Raises:
            CouldNot: there is no such process now, or it is not ours.
        """
        with ExitStack() as healing:
            if self.target == "client":
                note = healing.enter_context(_noting(f"{stage.folder.name}-frozen-{self.name}"))
                clients = _clients(stage, moment)
                note([watch.client.pid for watch in clients])
                for watch in clients:
                    healing.enter_context(watch.held())
                frozen = [*self._freeze([watch.client.pid for watch in clients], healing, group=True)]
                note(frozen)  # again, with what they started meanwhile
            else:
                frozen = [*self._freeze(_processes(self.target, stage.daemon.facts), healing, group=False)]
            if not frozen:
                raise CouldNot(f"no {self.target} runs now")
            yield Effect(f"froze {self.target} {', '.join(str(pid) for pid in frozen)}")

    def _freeze(self, pids: list[int], healing: ExitStack, *, group: bool) -> Iterator[int]:
        """Stop processes or their groups, and have each go on when `healing` is left; yield those that were there."""
        for pid in pids:
            with suppress(ProcessLookupError):
                process = Identity.of(pid)
                healing.callback(_thaw, process, group=group)
                _send(pid, signal.SIGSTOP, group=group)
                yield pid


@contextmanager
def _noting(name: str) -> Iterator[Callable[[list[int]], None]]:
    """Have a ledger for clients, with what they started, as long as they are frozen: docker's plug-in outlives it then,
    for the kernel ends only the one that is our child, and what is stopped does not see that its parent is gone.
    """
    ledger = Ledger.open(f"{name}-{secrets.token_hex(2)}")  # on each shard of a run there may be one

    def note(clients: list[int]) -> None:
        ledger.own_process(*clients, *(below.pid for below in _below(clients)))

    try:
        yield note
    finally:
        ledger.discard()


def _thaw(process: Identity, *, group: bool) -> None:
    with suppress(ProcessLookupError):
        if process.alive():
            _send(process.pid, signal.SIGCONT, group=group)


def _send(pid: int, number: signal.Signals, *, group: bool) -> None:
    if group:
        os.killpg(pid, number)
    else:
        os.kill(pid, number)


def _clients(stage: ActorEnv, moment: Firing) -> list[Watch]:
    """Return the client that the moment speaks of, else all."""
    if moment.build is None:
        return [*stage.inflight.values()]
    watch = stage.inflight.get(moment.build.iteration)
    return [watch] if watch else []


def _processes(target: str, facts: DaemonFacts) -> list[int]:
    """Return the daemon's processes, or those of a part of it.

    Raises:
        CouldNot: they are not ours to stop.
    """
    if facts.pid is None:
        raise CouldNot("the daemon is not ours, or is down, so its processes are not known")
    if target == "daemon":
        return [*facts.pids]
    found: dict[int, None] = {}
    for process in _below(facts.pids):
        with suppress(psutil.NoSuchProcess):
            name = process.name()
            if target == "containerd" and name == "containerd":
                found[process.pid] = None
            elif target == "runc" and name in RUNTIMES:
                found |= dict.fromkeys((process.pid, *(step.pid for step in _below([process.pid]))))
    return [*found]


def _below(pids: Iterable[int]) -> Iterator[psutil.Process]:
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            yield from psutil.Process(pid).children(recursive=True)
