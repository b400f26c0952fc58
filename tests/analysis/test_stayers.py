"""Which goroutines stayed, from what audits saw come and go."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.analysis.leak import leak_of
from harness.analysis.stayers import stayers
from harness.buildkit.goroutines.parse import goroutines
from harness.core.records import Arrivals, Audit

BUSY = Path(__file__).parents[1] / "data" / "reports" / "busy-fifty-builds"
NOTHING = Audit(0, 1, 0.0, 1.0, True, None, None, (), None, None, None)


def audits(*held: Sequence[int], every: int = 10) -> list[Audit]:
    """Return audits of one process that held these ids, made by `even` or `odd`; the first tells nothing."""
    found = [replace(NOTHING, iteration=every)]
    before: set[int] = set()
    for number, ids in enumerate(map(set, held), start=2):
        new = sorted(ids - before)
        came = tuple(
            Arrivals(name, tuple(each for each in new if each % 2 == odd)) for odd, name in enumerate(["even", "odd"])
        )
        gone = tuple(sorted(before - ids))
        found.append(replace(NOTHING, iteration=every * number, lasting=len(ids), came=came, gone=gone))
        before = ids
    return found


def test_what_stays_and_what_passes() -> None:
    """What came after the first audit and is there at the last one stayed; what goes was passing, the most at once."""
    found = stayers(audits([1, 2, 3], [1, 2, 4, 5], [1, 5, 6, 8], [1, 5, 8, 9]))
    assert found is not None
    assert (found.iterations, found.came) == ((20, 30, 40, 50), (1, 1, 1))
    assert (found.count, found.span, found.passing) == (3, 30, 2)
    assert found.makers == Counter(odd=2, even=1)
    assert (found.later.iterations, found.later.came) == ((30, 40, 50), (1, 1))


def test_what_lives_for_a_while_is_not_expected_to_stay() -> None:
    """Where each lives for two audits, none of the last ones is for good; where all have stayed so far, all are."""
    passing = stayers(audits(*([n, n + 1] for n in range(12))))
    assert passing is not None
    assert passing.count == 2
    assert sum(passing.for_good) == 0
    staying = stayers(audits(*(range(n + 1) for n in range(12))))
    assert staying is not None
    assert staying.for_good == tuple(map(float, staying.came)) == (1.0,) * 11


def test_half_of_what_comes_stays() -> None:
    """Of what came last half is expected to stay, if half of what came before did so at that age."""
    found = stayers(audits(*([*range(0, 2 * n, 2), 2 * n, 2 * n + 1] for n in range(9))))
    assert found is not None
    assert found.came == (1,) * 7 + (2,)
    assert found.for_good[-1] == pytest.approx(2 * 7 / 14, rel=0.2)


@pytest.mark.parametrize("held", [[], [[1, 2]]], ids=["none", "one"])
def test_too_few(held: Sequence[Sequence[int]]) -> None:
    """One audit that can tell what lasts is none to compare it with."""
    assert stayers(audits(*held)) is None


def test_audits_of_an_earlier_version_have_no_ids() -> None:
    """Counts without ids say nothing of who stays; a daemon that holds nothing at all says that none does."""
    assert stayers(replace(each, came=(), gone=()) for each in audits([1, 2], [1, 2], [1, 2])) is None
    nothing = stayers(audits([], [], []))
    assert nothing is not None
    assert nothing.count == 0


def test_a_busy_daemon_does_not_leak() -> None:
    """Fifty streams that are others in each dump, ever more of them, are none that stay, however much they grow."""
    dumps = [(BUSY / f"leak-busy-{number}.txt").read_bytes() for number in (0, 2)]
    held = [[each.id for each in goroutines(dump.splitlines())] for dump in dumps]
    found = stayers(audits([1], *([1, *ids] for ids in held), [1]))
    assert found is not None
    assert (len(held[0]), found.count, found.passing) == (100, 0, 100)
    more = [[*(each + 10**6 * n for each in held[n % 2]), *range(10**7 * n, 10**7 * n + 15 * n)] for n in range(1, 21)]
    leak = leak_of(audits(*more))
    assert leak is not None
    assert leak.verdict != "yes"
