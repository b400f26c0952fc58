"""A fleet of many hosts is kept busy: what this host does for each run takes little beside the run."""

from pathlib import Path

import pytest

from tests.benchmarks.fleet import efficiency, prepared

pytestmark = pytest.mark.usefixtures("cache")


def test_many_hosts_are_kept_busy(tmp_path: Path) -> None:
    """Runs of five seconds, three on each host, take little longer than fifteen seconds, in simulated time."""
    scenario, delivery = prepared(tmp_path)
    assert efficiency(tmp_path, scenario, delivery, workers=16, rounds=3) > 0.9
