"""What grows beside goroutines: series of audits of each quantity, and what is said of them."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from harness.analysis.growths import QUANTITIES, growths_of
from harness.core.records import Audit
from harness.report.words import growing_line

FIELDS = {
    "heap": "heap",
    "memory": "rss",
    "disk not given back": "disk",
    "cache records not given back": "kept_records",
    "open files": "open_files",
    "running records": "running",
    "build time": "build_seconds",
    "idle CPU": "idle_cores",
}
NOTHING = Audit(0, 1, 0.0, 1.0, True, None, None, (), None, None, None)


def audits(what: str, level: float, slope: float, noise: float, count: int = 40) -> list[Audit]:
    """Return audits, one every ten builds, of a quantity that grows by `slope` a build."""
    chance = Random(what)
    values = [level + 10 * n * slope + chance.gauss(0, noise) for n in range(count)]
    changed: list[dict[str, Any]] = [{FIELDS[what]: value} for value in values]
    return [replace(NOTHING, iteration=10 * (n + 1), at=float(n), **each) for n, each in enumerate(changed)]


@pytest.mark.parametrize("quantity", QUANTITIES, ids=lambda quantity: quantity.name)
def test_what_grows(quantity: Any) -> None:
    """Ten times what pools may hold, come steadily, is growth; the same noise about a level is none; both are told."""
    slope = 10 * quantity.pools / 400
    noise = quantity.pools / 50
    (grown,) = growths_of(audits(quantity.name, quantity.pools, slope, noise))
    assert (grown.what, grown.verdict) == (quantity.name, "yes")
    assert 0 < grown.low95 <= slope <= grown.high95
    assert growing_line(grown).startswith("yes: grows by ")
    assert growing_line(replace(grown, per_iteration=-slope)).startswith("yes: changes by -")
    (level,) = growths_of(audits(quantity.name, quantity.pools, 0.0, quantity.matters / 10))
    assert level.verdict == "no"


def test_what_pools_may_bring() -> None:
    """What grows by no more than a pool may hold is never called growth, however straight its line."""
    for quantity in QUANTITIES:
        found = growths_of(audits(quantity.name, quantity.pools, 0.9 * quantity.pools / 400, 0.0))
        assert [each.verdict for each in found] != ["yes"], quantity.name


def test_what_outlives_a_process() -> None:
    """What lies on the disk is of the root, also where each process is audited once; memory is of a process."""
    for quantity in QUANTITIES:
        grown = audits(quantity.name, quantity.pools, 10 * quantity.pools / 400, 0.0)
        restarted = [replace(audit, series=number) for number, audit in enumerate(grown, 1)]
        verdicts = [each.verdict for each in growths_of(restarted)]
        assert verdicts == (["yes"] if "not given back" in quantity.name else []), quantity.name
        renewed = [replace(audit, generation=audit.series) for audit in restarted]
        assert growths_of(renewed) == (), quantity.name


def test_what_was_not_counted() -> None:
    """A quantity that audits did not count, or a few times only, has no verdict."""
    assert growths_of([]) == ()
    assert growths_of(audits("heap", 1e6, 0.0, 1.0, count=4)) == ()
