"""``freeze``: stops processes for a while (SIGSTOP), and lets them go on (SIGCONT)."""

import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from typing import Literal

import psutil

from harness.actors.base import ActorEnv, CouldNot, Disturbance, Effect, NothingOfTheKind
from harness.client.watched_build import Watch
from harness.core.manifest import DaemonFacts
from harness.host.guard import guarded_groups
from harness.host.ledger import Ledger
from harness.host.proc import Identity
from harness.scenario.triggers import Firing

_PARTS = {
    "daemon": "the daemon",
    "builder": "the builder in its container",
    "containerd": "containerd",
    "client": "clients of builds",
    "runc": "steps that run",
    "registry": "the run's registry",
    "everything": "the daemon, all that it started, clients and the registry, as a host is that is suspended",
}
RUNTIMES = frozenset({"runc", "buildkit-runc"})


class Freeze(Disturbance):
    """Freeze the daemon or a part of it; `when.lasting` says for how long.

    What is frozen can be killed all the same: it dies with the harness, and clients with all that they started.
    """

    lasts = True

    target: Literal["daemon", "builder", "containerd", "client", "runc", "registry", "everything"] = "daemon"
    """The daemon's process; the BuildKit in a container of it; dockerd's containerd; the client of the build that
    `when` follows, or of every build; the steps that run now, with their runtime; the run's registry; or all of that.
    """

    @property
    def needs_registry(self) -> bool:
        """Whether there has to be one to freeze."""
        return self.target == "registry"

    @property
    def disturbs(self) -> bool:
        """A client is our own."""
        return self.target not in {"client", "registry"}

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
            frozen: list[int] = []
            if self.target in {"client", "everything"}:
                note = healing.enter_context(_noting(f"{stage.folder.name}-frozen-{self.name}"))
                clients = _clients(stage, moment if self.target == "client" else None)
                pids = [pid for watch in clients if (pid := watch.client.pid) is not None]
                note(pids)
                for watch in clients:
                    healing.enter_context(watch.held())
                frozen += self._freeze(pids, healing, group=True)
                healing.enter_context(guarded_groups(*frozen))
                note(frozen)  # again, with what they started meanwhile
            if self.target in {"registry", "everything"} and stage.registry:
                frozen += self._freeze([stage.registry.pid], healing, group=False)
            if self.target not in {"client", "registry"}:
                frozen += self._freeze(_processes(self.target, stage.daemon.facts), healing, group=False)
            if not frozen:
                raise CouldNot(f"no {self.target} runs now")
            yield Effect(f"froze {self.target} {', '.join(str(pid) for pid in frozen)}", effect=len(frozen))

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
    """Have a ledger for clients, with what they started, as long as they are frozen: where a harness and its guard are
    killed, docker's plug-in lives on, for the kernel ends only our child, and what is stopped sees no parent go.
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


def _clients(stage: ActorEnv, moment: Firing | None) -> list[Watch]:
    """Return the client that the moment speaks of, else all."""
    if moment is None or moment.build is None:
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
    if target == "everything":
        return [*facts.pids, *(process.pid for process in _below(facts.pids))]
    if target == "builder":
        if facts.builder is None:
            raise NothingOfTheKind("this daemon has no builder in a container: see `daemon.driver: docker-container`")
        return [facts.builder]
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
