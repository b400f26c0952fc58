"""Hosts on which daemons hang at other rates: sides are held against each other within each, by simulation."""

import numpy as np
import pytest

from harness.analysis.exposure import Exposure
from harness.analysis.strata import Stratum, conditional_p, log_rank_p, ratio_interval, strata_of
from harness.analysis.two_sample import contrast, rate_of, ratio_of
from harness.store.folders import host_in

HOSTS = {"fast": 0.005, "slow": 0.2}
"""How often a build hangs on each."""


def looks(chance: np.random.Generator, times: float, **counts: int) -> list[Exposure]:
    """Return looks of at most 50 builds on each host, where a build hangs so many times as often."""
    return [
        Exposure(int(min(trials, 50)), bool(trials <= 50), host)
        for host, count in counts.items()
        for trials in chance.geometric(HOSTS[host] * times, count)
    ]


def told(times: float, runs: int = 20) -> list[str]:
    """Return what comparisons come to whose A was mostly looked at on the one host, and B on the other."""
    chance = np.random.default_rng(5)
    found = [contrast(looks(chance, 1, slow=12, fast=4), looks(chance, times, slow=4, fast=12)) for _ in range(runs)]
    assert {each.hosts for each in found} == {2}
    return [f"{each.verdict} {each.worse or ''}".strip() for each in found]


def test_a_host_is_no_side() -> None:
    """The same daemon is called different in at most 5 % though most of A's looks are of a host that hangs more."""
    chance = np.random.default_rng(5)
    assert sum(each.startswith("different") for each in told(1.0)) <= 1 + 1
    pooled = [
        contrast(
            *[
                [Exposure(each.builds, each.hung) for each in looks(chance, 1, **counts)]
                for counts in ({"slow": 12, "fast": 4}, {"slow": 4, "fast": 12})
            ]
        )
        for _ in range(20)
    ]
    assert sum(each.verdict == "different" for each in pooled) > 13, "which all looks as of one host do not see"


def test_the_worse_side_is_named_all_the_same() -> None:
    """A B that hangs four times as often on each host is found, though it hangs no more often in all."""
    found = told(4.0)
    assert found.count("different b") > len(found) / 4
    assert "different a" not in found


@pytest.mark.parametrize(("hung_a", "hung_b"), [(3, 9), (0, 5), (5, 0)])
def test_of_one_host_it_is_what_it_was(hung_a: int, hung_b: int) -> None:
    """Ratio and interval are Clopper and Pearson's; a host with one side alone changes nothing of them."""
    a = [Exposure(40, each < hung_a) for each in range(12)]
    b = [Exposure(30, each < hung_b) for each in range(12)]
    expected = ratio_of(rate_of(a), rate_of(b))
    for strata in ([Stratum(a, b)], [Stratum(a, b), Stratum([Exposure(9, hung=True, host="other")], [])]):
        value, low, high = ratio_interval(strata)
        assert value == pytest.approx(expected.value)
        assert low == pytest.approx(expected.low95)
        assert high == pytest.approx(expected.high95)
        assert conditional_p(strata) == pytest.approx(contrast(a, b).p_rates)
    assert log_rank_p([Stratum(a, b)]) == pytest.approx(contrast(a, b).p_log_rank, abs=0.02)


def test_hosts_with_too_few_looks_are_one() -> None:
    """Where each host made a look or two, nothing could be told within them: they are taken as one."""

    def one_each(count: int) -> list[Exposure]:
        return [Exposure(10, hung=True, host=str(number)) for number in range(count)]

    assert len(strata_of(one_each(3), one_each(3), 0.05)) == 1
    assert len(strata_of(one_each(3) * 3, one_each(3) * 3, 0.05)) == 3


@pytest.mark.parametrize(
    ("name", "host"), [("20261128T150000Z-0a1b", ""), ("20261128T150000Z-build-7-0a1b", "build-7"), ("elsewhere", "")]
)
def test_the_host_of_a_run(name: str, host: str) -> None:
    """It is in the name of the run's folder."""
    assert host_in(name) == host


def test_a_host_on_which_both_hang_alike_counts() -> None:
    """As many hangs on either side say that the two are alike: with such a host, a difference is less sure."""
    differs = Stratum([Exposure(50, hung=False)] * 8, [Exposure(5, hung=True)] * 8)
    alike = Stratum([Exposure(5, hung=True)] * 8, [Exposure(5, hung=True)] * 8)
    assert conditional_p([differs]) < 0.01
    assert conditional_p([differs, alike]) > 10 * conditional_p([differs])
    assert conditional_p([alike]) == 1.0
