"""The hosts of a fleet as its client sees them: present, free, or left out after failures. Asks no host."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

MOST_FAILURES: Final = 3
"""So many runs in a row that a host did not make, and it is left out."""


@dataclass
class Worker:
    """One worker process of a host."""

    address: str
    host: str
    slots: int
    busy: int = 0
    silent: bool = False
    """Whether its scheduler has not heard of it for long."""
    place: str = ""
    """The machine and the cache on it, which several workers may share."""
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
    """By host, why its runs were not made, since it made one."""
    _taken: int = 0

    @property
    def left_out(self) -> Mapping[str, str]:
        """The hosts that are not asked any more, and why the last run was not made."""
        return {host: whys[-1] for host, whys in self.failures.items() if len(whys) >= MOST_FAILURES}

    @property
    def slots(self) -> int:
        """How many runs all together make at once."""
        return sum(worker.slots for worker in self._usable)

    @property
    def names(self) -> list[str]:
        """The hosts that can be asked."""
        return sorted({worker.host for worker in self._usable})

    @property
    def _usable(self) -> list[Worker]:
        left_out = self.left_out
        return [worker for worker in self.workers.values() if worker.host not in left_out]

    def take(self, avoided: Collection[str] = ()) -> Worker | None:
        """Take a place on the worker that has most of them free, of several the one not taken for longest; else None.

        So all hosts have their share also where there is but one run at a time.

        Args:
            avoided: hosts that are taken only where there is no other, be it busy or free.
        """
        others = [worker for worker in self._usable if worker.host not in avoided]
        free = [worker for worker in others or self._usable if worker.free > 0]
        if not free:
            return None
        taken = max(free, key=lambda worker: (worker.free, -worker.taken))
        taken.busy += 1
        taken.taken = self._taken = self._taken + 1
        return taken

    def give_back(self, worker: Worker) -> None:
        """Have a place free again."""
        worker.busy -= 1

    def made(self, host: str) -> None:
        """Note a run that a host made: what was in its way before is over."""
        self.failures.pop(host, None)

    def failed(self, host: str, why: str) -> bool:
        """Note a run that a host did not make; return whether it is left out from now on."""
        whys = self.failures.setdefault(host, [])
        whys.append(why)
        return len(whys) == MOST_FAILURES
