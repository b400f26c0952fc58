"""The leak: series of audits, made up and simulated, and what is said of each."""

from collections.abc import Mapping, Sequence

import pytest

from harness.analysis.leak import leak_of
from harness.core.records import Audit, GoroutineGroup, Leak
from harness.core.rng import Dice
from tests.benchmarks.worlds.leaks import SHAPES, answers

STREAM = "google.golang.org/grpc.newClientStreamWithParams"


def audits(lasting: Sequence[int | None], *, every: int = 15, series: int = 1, first: int = 0) -> list[Audit]:
    """Return audits of one daemon that saw so many lasting goroutines, all but sixty of them made by gRPC."""
    return [
        audit(first + (n + 1) * every, count, {STREAM: (count or 60) - 60, "net/http.(*Server).Serve": 60}, series)
        for n, count in enumerate(lasting)
    ]


def audit(iteration: int, lasting: int | None, made: Mapping[str, int], series: int = 1) -> Audit:
    """Return one audit."""
    groups = tuple(GoroutineGroup(creator, "select", f"{creator}.func1", count) for creator, count in made.items())
    return Audit(iteration, series, iteration * 0.5, 1.0, True, lasting, lasting, groups, 40, 2**27, 0)


def verdict(leak: Leak | None) -> str:
    """Return what was said, in a word."""
    return leak.verdict if leak else "nothing"


def test_a_leak_is_named() -> None:
    """A daemon that keeps a goroutine a build leaks, by that many, and the function that makes them is told."""
    leak = leak_of(audits([None, *range(65, 200, 15)]))
    assert leak is not None
    assert (leak.verdict, leak.bucket) == ("yes", STREAM)
    assert (leak.per_iteration, leak.high95) == pytest.approx((1, 1))
    assert 0.5 < leak.low95 < 1, "fifty of them may have filled a pool"


def test_no_leak_has_no_bucket() -> None:
    """A daemon that holds the same after each build does not leak, and nothing is blamed."""
    leak = leak_of(audits([None] + [64] * 9))
    assert leak == Leak("no", 0, 0, 0, None)


@pytest.mark.parametrize(
    ("lasting", "said"),
    [
        ([], "nothing"),
        ([None] * 10, "nothing"),
        ([None, *range(60, 200, 20)], "yes"),
        ([None, *range(60, 180, 20)], "nothing"),
        ([None, *range(60, 100, 4)], "unclear"),
        ([None, *[60] * 5, *[130] * 5], "unclear"),
        ([None, *[60] * 3, *[130] * 9], "unclear"),
        ([None, 90, 130, *[131] * 9], "no"),
        ([None, 65, 60, 64, 66, 62, 65, 61, 64, 63, 65, 62, 64, 63, 61], "no"),
        ([None, 60, 90, 70, 99, 64, 95, 70, 99, 62, 90], "unclear"),
    ],
    ids=[
        "none",
        "not-profiled",
        "just-enough",
        "too-few",
        "a-pool-may-be-it",
        "step",
        "early-step",
        "warm-up",
        "noise",
        "much-noise",
    ],
)
def test_verdicts(lasting: Sequence[int | None], said: str) -> None:
    """Each series has its verdict; a count that steps up once is no leak, however much it rises."""
    assert verdict(leak_of(audits(lasting))) == said


def test_a_renewed_daemon_starts_again() -> None:
    """Growth is within each daemon: five that leak show it together, though the count falls from one to the next."""
    told = [audits([None, 60, 120, 180, 240], series=n, first=n * 75) for n in range(1, 6)]
    assert verdict(leak_of(told[0])) == "nothing"
    leak = leak_of(audit for of_one in told for audit in of_one)
    assert leak is not None
    assert leak.verdict == "yes"
    assert leak.per_iteration == pytest.approx(4)


def test_daemons_that_all_warm_up_do_not_leak() -> None:
    """Where each new daemon grows by no more than its pools may take, so many of them say no more than one."""
    told = [audits([None, 60, 75, 90, 105], series=n, first=n * 75) for n in range(1, 20)]
    assert verdict(leak_of(audit for of_one in told for audit in of_one)) == "unclear"


def test_daemons_of_different_levels_do_not_leak() -> None:
    """Daemons that hold more, the later they started, and each the same all the time, do not leak."""
    told = [audits([None] + [60 + 40 * n] * 4, series=n, first=n * 75) for n in range(1, 6)]
    assert verdict(leak_of(audit for of_one in told for audit in of_one)) == "no"


def test_the_bucket_is_what_grows_and_not_what_is_large() -> None:
    """What makes most is not blamed for what something small, and absent at first, grows by; states are added up."""
    told = [
        audit(n * 15, 500 + n * 15, {"main.large": 500, **({"main.small": n * 15} if n > 3 else {}), "": n * 90})
        for n in range(1, 12)
    ]
    leak = leak_of(told)
    assert leak is not None
    assert (leak.verdict, leak.bucket) == ("yes", "main.small")


@pytest.mark.parametrize(
    ("slope", "noise", "said"), [(0.85, 2.0, "yes"), (0.6, 1.0, "yes"), (0.0, 0.7, "no")], ids=["leak", "slow", "flat"]
)
def test_verdicts_are_seldom_missed(slope: float, noise: float, said: str) -> None:
    """In seeded simulations of the shipped scenario's audits four in five say what is so, and none the contrary."""
    random = Dice(1, "leak").throw(1)
    told = [
        verdict(
            leak_of(audits([None, *(round(60 + slope * 10 * n + random.gauss(0, noise)) for n in range(14))], every=10))
        )
        for _ in range(200)
    ]
    assert told.count(said) > 160
    assert told.count({"yes": "no", "no": "yes"}[said]) == 0


@pytest.mark.parametrize("count", [20, 50])
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape != "level"])
def test_what_only_looks_like_a_leak_is_none(shape: str, count: int) -> None:
    """Caches that fill, cycles, steps and wandering are called a leak in at most 5 %, and the interval holds 0."""
    one = answers(shape, 0.0, count=count, every=15, noise=2.0, seeds=range(100))
    assert one.share("yes") <= 0.05
    assert one.covered >= 0.88, "95 %, less three standard deviations of so few"


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if not shape.startswith("busy")])
def test_numbers_alone_do_not_accuse_either(shape: str) -> None:
    """Where the ids of goroutines were not kept, what only looks like a leak by their number is called none either."""
    assert answers(shape, 0.0, count=20, every=15, noise=2.0, seeds=range(100), ids=False).share("yes") <= 0.05


@pytest.mark.parametrize("shape", SHAPES)
def test_a_leak_is_found_beside_all_else(shape: str) -> None:
    """One goroutine in three builds is found in twenty audits, whatever else the daemon takes and gives back."""
    one = answers(shape, 0.3, count=20, every=15, noise=2.0, seeds=range(60))
    assert one.share("yes") >= 0.88, "95 %, less three standard deviations of so few"
    assert one.covered >= 0.88


def test_a_slow_leak_is_found() -> None:
    """One goroutine in sixteen builds is found in two hundred audits."""
    assert answers("level", 0.06, count=200, every=15, noise=2.0, seeds=range(30)).share("yes") >= 0.95


def test_how_many_more_would_tell() -> None:
    """Where it is unclear, about so many more iterations of the same make it a leak, or none, in two of three cases."""
    random = Dice(1, "more").throw(1)
    for slope, said in ((2, "yes"), (0, "no")):
        told: list[str] = []
        while len(told) < 20:
            counts = [round(60 + slope * n + random.gauss(0, 2)) for n in range(400)]
            if (short := leak_of(audits([None, *counts[:12]]))) and short.more:
                told.append(verdict(leak_of(audits([None, *counts[: 13 + short.more // 15]]))))
        assert told.count(said) >= 13


def test_a_step_is_never_a_leak() -> None:
    """In seeded simulations a count that steps up once, wherever, is not once called a leak."""
    random = Dice(1, "step").throw(1)
    for _ in range(500):
        step = random.randrange(1, 9)
        lasting = [round(60 + 40 * (n >= step) + random.gauss(0, 1)) for n in range(9)]
        assert verdict(leak_of(audits([None, *lasting]))) != "yes"
