"""How the daemon, the host and the harness fare: one sample after the other."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import anyio
import psutil

from harness.core.records import Sample
from harness.daemons.base import Daemon, Profiled
from harness.host.attended_clock import AttendedClock
from harness.host.hostinfo import free_bytes


class Sampler:
    """Measures one daemon, its host and ourselves, each time since it last did.

    Args:
        daemon: where it is not ours, only its goroutines are known.
        attention: what the samples' lag is taken from.
        records: the run's folder, on a disk of its own perhaps.
    """

    def __init__(self, daemon: Daemon, attention: AttendedClock, records: Path) -> None:
        self._daemon, self._attention = daemon, attention
        self._folders = (records, *filter(None, [daemon.facts.disk]))
        self._us, self._pids = _Meter([psutil.Process()]), daemon.facts.pids
        self._meter = _Meter(family(self._pids))

    async def sample(self, began: float, running: int) -> Sample:
        """Measure.

        Args:
            began: monotonic time of the run's start.
            running: builds in flight.
        """
        daemon = self._daemon
        count = await daemon.goroutine_count() if isinstance(daemon, Profiled) else None
        own_cpu, own_rss = self._us.read()
        cpu, rss = None, None
        if daemon.facts.pids != self._pids:  # restarted since, so that there is nothing to compare with
            self._pids = daemon.facts.pids
            self._meter = _Meter(family(self._pids))
        elif self._meter.processes:
            cpu, rss = self._meter.read()
        lag, self._attention.worst_lag = self._attention.worst_lag, 0.0
        return Sample(
            at=anyio.current_time() - began,
            cpu=cpu,
            rss=rss,
            goroutines=count,
            running=running,
            lag=lag,
            unattended=self._attention.unattended,
            own_cpu=own_cpu,
            own_rss=own_rss,
            disk_free=free_bytes(self._folders),
        )


class _Meter:
    """The CPU and memory of some processes, since it was last read."""

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self.processes = processes
        self._last = (anyio.current_time(), self._seconds())

    def read(self) -> tuple[float, int]:
        """Return the cores used since the last reading, and the resident bytes now."""
        now, seconds = anyio.current_time(), self._seconds()
        cores = max(0.0, seconds - self._last[1]) / max(now - self._last[0], 1e-6)
        self._last = (now, seconds)
        rss = 0
        for process in self.processes:
            with suppress(psutil.Error):
                rss += process.memory_info().rss
        return cores, rss

    def _seconds(self) -> float:
        total = 0.0
        for process in self.processes:
            with suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total


def family(pids: Sequence[int]) -> list[psutil.Process]:
    """Return a daemon's processes and all that run below them, such as dockerd's containerd."""
    found = []
    for pid in pids:
        with suppress(psutil.Error):
            daemon = psutil.Process(pid)
            found += [daemon, *daemon.children(recursive=True)]
    return found
