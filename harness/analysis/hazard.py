"""Which moment is deadly: how often a build hung after an act, by where a build stood then, and for how long."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from harness.analysis.rates import rate
from harness.core.records import Rate

SLOTS_A_SECOND: Final = 20
"""Acts are counted by slots of so long; those of one column are added up."""
_WIDTHS: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3600.0)
"""Seconds that a column may be wide."""
_FEWEST_COLUMNS, _COLUMNS = 3, 12
_ACTS_A_COLUMN: Final = 5
"""At least so many are wanted in a column, on average, in the row with most."""
_ROWS: Final = 12
_WITHIN: Final = 0.95
"""The share of acts for which there are columns of their own; what comes later is in one."""


@dataclass(frozen=True)
class ActSlot:
    """Acts of one actor at about the same moment."""

    actor: str
    kind: str
    point: str
    """What a build had come to last."""
    slot: int
    """How long before, in slots."""
    acts: int
    hangs: int
    """How many of them a hang followed, of a build that was in flight."""


@dataclass(frozen=True)
class Row:
    """Acts while a build stood at one place."""

    point: str
    cells: Sequence[Rate | None]
    """Hangs an act, by how long it had stood there; None where nothing acted."""


@dataclass(frozen=True)
class HazardMap:
    """When one actor acted, and what came of it."""

    actor: str
    kind: str
    edges: Sequence[float]
    """Seconds between the columns, one more than there are; the last one is infinite where some acts came far later."""
    rows: Sequence[Row]
    """In the order in which builds come to them."""
    left_out: int
    """Acts at places where the fewest were."""

    @property
    def acts(self) -> int:
        """How many there were in all that is shown."""
        return sum(cell.trials for row in self.rows for cell in row.cells if cell)

    @property
    def hangs(self) -> int:
        """How many of them a hang followed."""
        return sum(cell.hangs for row in self.rows for cell in row.cells if cell)

    @property
    def deadliest(self) -> tuple[str, float, float, Rate] | None:
        """The cell that is surely the worst: where, from and until how many seconds, how often; None without a hang."""
        found = [
            (cell.low95, row.point, place, cell)
            for row in self.rows
            for place, cell in enumerate(row.cells)
            if cell and cell.hangs
        ]
        if not found:
            return None
        _, point, place, cell = max(found, key=lambda each: each[0])
        return point, self.edges[place], self.edges[place + 1], cell


def hazard_maps(slots: Iterable[ActSlot]) -> list[HazardMap]:
    """Return a map for each actor, of one or more runs; those that acted most first."""
    of: dict[tuple[str, str], list[ActSlot]] = defaultdict(list)
    for each in slots:
        of[each.actor, each.kind].append(each)
    made = [_map(actor, kind, each) for (actor, kind), each in of.items()]
    return sorted(made, key=lambda found: (-found.hangs, -found.acts, found.actor))


def _map(actor: str, kind: str, slots: Sequence[ActSlot]) -> HazardMap:
    acts: Counter[str] = Counter()
    for each in slots:
        acts[each.point] += each.acts
    shown = [point for point, _ in acts.most_common(_ROWS)]
    kept = [each for each in slots if each.point in shown]
    columns, width, far = _columns(kept)
    first = min(each.slot for each in kept) // width
    cells: dict[str, list[list[int]]] = {each.point: [[0, 0] for _ in range(columns)] for each in kept}
    for each in kept:
        cell = cells[each.point][min(each.slot // width, columns - 1)]
        cell[0] += each.hangs
        cell[1] += each.acts
    return HazardMap(
        actor,
        kind,
        [*(place * width / SLOTS_A_SECOND for place in range(first, columns)), far],
        [Row(point, [rate(*cell) if cell[1] else None for cell in row[first:]]) for point, row in cells.items()],
        acts.total() - sum(acts[point] for point in shown),
    )


def _columns(slots: Sequence[ActSlot]) -> tuple[int, int, float]:
    """Return how many columns there are, how many slots are in each, and where the last one ends, in seconds."""
    counts: Counter[int] = Counter()
    for each in slots:
        counts[each.slot] += each.acts
    far, seen = 0, 0
    for far in sorted(counts):
        seen += counts[far]
        if seen >= _WITHIN * counts.total():
            break
    rows: Counter[str] = Counter()
    for each in slots:
        rows[each.point] += each.acts
    wanted = min(max(max(rows.values()) // _ACTS_A_COLUMN, _FEWEST_COLUMNS), _COLUMNS)
    widths = [round(width * SLOTS_A_SECOND) for width in _WIDTHS]
    width = next((each for each in widths if (far + 1) / each <= wanted), widths[-1])
    last = far // width
    if max(counts) // width > last:
        return last + 2, width, math.inf
    return last + 1, width, (last + 1) * width / SLOTS_A_SECOND


def together(maps: Iterable[Sequence[ActSlot]]) -> list[ActSlot]:
    """Return the acts of several runs as those of one."""
    acts: Mapping[tuple[str, str, str, int], list[int]] = defaultdict(lambda: [0, 0])
    for slots in maps:
        for each in slots:
            sums = acts[each.actor, each.kind, each.point, each.slot]
            sums[0] += each.acts
            sums[1] += each.hangs
    return [ActSlot(*key, *sums) for key, sums in acts.items()]
