"""A map has a cell for each place and delay at which something acted; the deadly one stands out."""

import math
from random import Random

from harness.analysis.hazard import SLOTS_A_SECOND, ActSlot, hazard_maps


def test_a_window_is_seen() -> None:
    """Of acts at any time up to eight seconds, those from two to four hang: those cells alone have hangs."""
    chance = Random(1)
    slots = []
    for _ in range(400):
        since = chance.uniform(0, 8)
        deadly = 2 <= since < 4
        slots.append(ActSlot("loop", "prune", "COPY, merged", int(since * SLOTS_A_SECOND), 1, int(deadly)))
    slots += [ActSlot("loop", "prune", "RUN", 3, 5, 0), ActSlot("other", "kill", "RUN", 3, 5, 0)]
    worst, other = hazard_maps(slots)
    assert (worst.actor, worst.kind, worst.acts, worst.left_out) == ("loop", "prune", 405, 0)
    assert worst.edges == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert [cell.hangs > 0 if cell else None for cell in worst.rows[0].cells] == [
        *[False] * 2, *[True] * 2, *[False] * 4
    ]  # fmt: skip
    assert [cell.trials if cell else 0 for cell in worst.rows[1].cells] == [5, *[0] * 7]
    assert worst.deadliest
    point, since, until, cell = worst.deadliest
    assert (point, cell.hangs) == ("COPY, merged", cell.trials)
    assert (since, until) in {(2, 3), (3, 4)}
    assert other.deadliest is None


def test_what_comes_late_is_in_the_last_column() -> None:
    """A few acts long after all others do not make the columns of those wide."""
    slots = [ActSlot("loop", "prune", "RUN", each, 10, 0) for each in range(20)] + [
        ActSlot("loop", "prune", "RUN", 9999, 1, 1)
    ]
    [found] = hazard_maps(slots)
    assert found.edges[:3] == [0, 0.1, 0.2]
    assert found.edges[-2:] == [1, math.inf]
    assert found.acts == 201
    last = found.rows[0].cells[-1]
    assert last
    assert (last.hangs, last.trials) == (1, 1)


def test_of_many_places_the_busiest_are_shown() -> None:
    """Of more places than fit, those with the fewest acts are only counted."""
    slots = [ActSlot("loop", "prune", f"RUN {each}", 1, each, 0) for each in range(1, 31)]
    [found] = hazard_maps(slots)
    assert len(found.rows) == 12
    assert found.acts + found.left_out == sum(range(1, 31))
    assert found.left_out == sum(range(1, 19))


def test_it_begins_where_something_acted() -> None:
    """An act that always comes two seconds late has no empty columns before that."""
    [found] = hazard_maps([ActSlot("away", "kill", "RUN", 40 + each % 2, 1, 0) for each in range(30)])
    assert (found.edges[0], len(found.edges)) == (2, 2)
    assert [cell.trials for cell in found.rows[0].cells if cell] == [30]
