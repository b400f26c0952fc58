"""What else grows than goroutines: memory, files, records, disk, the time of builds, the work of an idle daemon.

Each is judged as the leak is (`leak.judged`): growth is told only beyond what pools, caches and steps may bring.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from harness.analysis.leak import judged
from harness.core.records import Audit, Growing

_KIB: Final = 2**10
_MIB: Final = 2**20


@dataclass(frozen=True)
class Quantity:
    """Something that an audit counts."""

    name: str
    unit: str
    """`B`, `s`, `cores`, or nothing for what is merely counted."""
    matters: float
    """Growth an iteration that is worth a word."""
    pools: float
    """As much may come to be held for good: pools, caches that fill, databases that never shrink."""
    of: Callable[[Audit], float | None]
    outlives: bool = False
    """Whether it lies on the daemon's disk: what a crash leaves there is growth of the root, over all its processes."""


QUANTITIES: Final = (
    Quantity("heap", "B", 4 * _KIB, 32 * _MIB, lambda audit: audit.heap),
    Quantity("memory", "B", 32 * _KIB, 128 * _MIB, lambda audit: audit.rss),
    Quantity("disk not given back", "B", 4 * _KIB, 64 * _MIB, lambda audit: audit.disk, outlives=True),
    Quantity("cache records not given back", "", 0.02, 50, lambda audit: audit.kept_records, outlives=True),
    Quantity("open files", "", 0.02, 50, lambda audit: audit.open_files),
    Quantity("running records", "", 0.02, 5, lambda audit: audit.running),
    Quantity("build time", "s", 0.005, 1.0, lambda audit: audit.build_seconds),
    Quantity("idle CPU", "cores", 0.001, 0.2, lambda audit: audit.idle_cores),
)


def growths_of(audits: Iterable[Audit]) -> tuple[Growing, ...]:
    """Return what each quantity comes to, of those that were counted often enough."""
    by_process: dict[int, list[Audit]] = {}
    by_root: dict[int, list[Audit]] = {}
    for audit in audits:
        by_process.setdefault(audit.series, []).append(audit)
        by_root.setdefault(audit.generation, []).append(audit)
    found = []
    for quantity in QUANTITIES:
        counts = [
            [(float(audit.iteration), value) for audit in of_one if (value := quantity.of(audit)) is not None]
            for of_one in (by_root if quantity.outlives else by_process).values()
        ]
        points = [of_one for of_one in counts if len(of_one) > 1]
        leak = judged(points, matters=quantity.matters, pools=quantity.pools) if points else None
        if leak:
            slope, low, high = leak.per_iteration, leak.low95, leak.high95
            found.append(
                Growing(
                    what=quantity.name,
                    unit=quantity.unit,
                    verdict=leak.verdict,
                    per_iteration=slope,
                    low95=low,
                    high95=high,
                    more=leak.more,
                )
            )
    return tuple(found)
