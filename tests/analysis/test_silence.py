"""How much silence says, host by host: of one host what it said before, of several what all have in A's shares."""

import math

import pytest

from harness.analysis.exposure import Exposure
from harness.analysis.silence import Silence
from harness.analysis.two_sample import chance_of_silence, clean_needed, ratio_excluded

A = [Exposure(10, hung=True, host="one"), Exposure(30, hung=False, host="one"), Exposure(20, hung=True, host="one")]


def clean(**builds: int) -> list[Exposure]:
    """Return looks without a hang, one a host."""
    return [Exposure(count, hung=False, host=host) for host, count in builds.items()]


def test_of_one_host() -> None:
    """It is as of all looks together, also before the first one."""
    silence = Silence.of(A, clean(one=40))
    assert silence.chance(0.5) == chance_of_silence(2, 60, 40, 0.5)
    assert silence.missing(0.95, 0.5) == clean_needed(2, 60, 0.95, 0.5) - 40
    assert silence.excluded(0.95) == ratio_excluded(2, 60, 40, 0.95)
    assert Silence.of(A, []).missing(0.95, 0.5) == clean_needed(2, 60, 0.95, 0.5)


def test_hosts_that_share_alike() -> None:
    """Where both sides have the same share on each host, nothing is lost."""
    a = [Exposure(20, hung=True, host=host) for host in "abcd"]
    assert Silence.of(a, clean(a=25, b=25, c=25, d=25)).chance(1.0) == chance_of_silence(4, 80, 100)


def test_more_on_one_host_says_nothing_of_the_other() -> None:
    """B's builds count as far as there are as many on the other host, in A's shares."""
    a = [Exposure(20, hung=True, host="one"), Exposure(60, hung=False, host="two")]
    assert Silence.of(a, clean(one=900, two=60)).matched == 80
    assert Silence.of(a, clean(one=900, two=60)).missing(0.95, 1.0) > clean_needed(1, 80, 0.95)


def test_hosts_without_the_other_side() -> None:
    """Hosts that made looks at one side alone are left out, unless all of A's hangs were there."""
    a = [*A, Exposure(100, hung=False, host="gone")]
    assert Silence.of(a, clean(one=40, new=500)).chance(1.0) == chance_of_silence(2, 60, 40)
    assert Silence.of(a, clean(one=40, new=500)).elsewhere == 500
    nowhere = Silence.of(a, clean(gone=500))
    assert (nowhere.chance(1.0), nowhere.excluded(0.95)) == (1.0, math.inf)
    assert nowhere.missing(0.95, 1.0) == clean_needed(2, 160, 0.95)


def test_a_host_that_has_gone() -> None:
    """What it has few builds of B on holds up nothing; without A's hang on those that are there, all count."""
    a = [Exposure(20, hung=True, host=host) for host in ("one", "two", "gone")]
    b = clean(one=60, two=60, gone=1)
    assert Silence.of(a, b).matched == 3
    assert Silence.of(a, b, {"one", "two"}).matched == 120
    assert Silence.of(a, b, {"one", "two"}).elsewhere == 1
    assert Silence.of(a, b, {"new"}) == Silence.of(a, b)


@pytest.mark.parametrize("ratio", [1.0, 0.1])
def test_what_is_missing_is_enough(ratio: float) -> None:
    """So many more trials, made by the hosts as before, bring the chance down."""
    a = [Exposure(10, hung=True, host="one"), Exposure(50, hung=True, host="two")]
    needed = Silence.of(a, clean(one=30, two=90)).needed(0.95, ratio)
    grown = clean(one=math.ceil(needed / 4), two=math.ceil(needed * 3 / 4))
    assert Silence.of(a, grown).chance(ratio) <= 0.05
