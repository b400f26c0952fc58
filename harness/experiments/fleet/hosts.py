"""The workers of a fleet as its client sees them: present, free, or left out after failures. Asks none of them.

Several workers may be of one host: it is the host that looks are held apart by, and the worker that fails.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

MOST_FAILURES: Final = 3
"""So many runs in a row that a worker did not make, and it is left out."""


@dataclass
class Worker:
    """One worker process of a host."""

    address: str
    name: str
    """Its own, by which it is told of."""
    host: str
    """The machine that it is on, as it stands in the names of its runs."""
    slots: int
    busy: int = 0
    silent: bool = False
    """Whether its scheduler has not heard of it for long."""
    place: str = ""
    """The machine and the cache on it, which several workers may share."""
    boot: str = ""
    """Of the machine that has the host's name; empty where several may have it."""
    taken: int = 0
    """When it was last taken: the number of places that were before."""

    @property
    def free(self) -> int:
        """How many more runs it takes now."""
        return 0 if self.silent else self.slots - self.busy


@dataclass
class Hosts:
    """All of them."""

    workers: dict[str, Worker] = field(default_factory=dict)
    """Those that can be asked, by their address."""
    failures: dict[str, list[str]] = field(default_factory=dict)
    """By a worker's name, why its runs were not made, since it made one."""
    _taken: int = 0

    @property
    def left_out(self) -> Mapping[str, str]:
        """The workers that are not asked any more, and why the last run was not made."""
        return {name: whys[-1] for name, whys in self.failures.items() if len(whys) >= MOST_FAILURES}

    @property
    def slots(self) -> int:
        """How many runs all together make at once."""
        return sum(worker.slots for worker in self._usable)

    @property
    def hosts(self) -> list[str]:
        """The hosts that can be asked."""
        return sorted({worker.host for worker in self._usable})

    @property
    def _usable(self) -> list[Worker]:
        left_out = self.left_out
        return [worker for worker in self.workers.values() if worker.name not in left_out]

    def take(self, avoided: Collection[str] = ()) -> Worker | None:
        """Take a place on the worker that has most of them free, of several the one not taken for longest; else None.

        So all hosts have their share also where there is but one run at a time.

        Args:
            avoided: names of workers. Others of their hosts are taken only where there is no other host, be it busy
                or free, and they themselves only where there is no other worker.
        """
        usable = self._usable
        hosts = {worker.host for worker in usable if worker.name in avoided}
        others = [worker for worker in usable if worker.host not in hosts]
        others = others or [worker for worker in usable if worker.name not in avoided] or usable
        free = [worker for worker in others if worker.free > 0]
        if not free:
            return None
        taken = max(free, key=lambda worker: (worker.free, -worker.taken))
        taken.busy += 1
        taken.taken = self._taken = self._taken + 1
        return taken

    def give_back(self, worker: Worker) -> None:
        """Have a place free again."""
        worker.busy -= 1

    def is_taken(self, host: str, boot: str) -> bool:
        """Whether another machine that is there has a host's name; one that is silent may have been this one."""
        named = {worker.boot for worker in self.workers.values() if worker.host == host and not worker.silent}
        return bool(boot) and bool(named - {boot, ""})

    def made(self, name: str) -> None:
        """Note a run that a worker made: what was in its way before is over."""
        self.failures.pop(name, None)

    def failed(self, name: str, why: str) -> bool:
        """Note a run that a worker did not make; return whether it is left out from now on."""
        whys = self.failures.setdefault(name, [])
        whys.append(why)
        return len(whys) == MOST_FAILURES
