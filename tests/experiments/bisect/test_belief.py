"""What is believed after what was seen: by hand, by brute force over rates, and by git-bayesect."""

import math
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from git_bayesect import Bisector
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.experiments.bisect.belief import Belief, hypotheses, line
from harness.experiments.bisect.rates import Rates
from harness.experiments.bisect.spread import Alike, Candidates, Duds, Spread
from tests.experiments.bisect.priors import beta_rates

FORK = [[], [0], [0], [1, 2], [3]]
"""0 is forked into 1 and 2, which 3 merges; 4 follows."""

looks = st.lists(st.tuples(st.integers(0, 7), st.integers(1, 60), st.booleans()), max_size=12)


ONE_CHANGE = (1.0, 0.0, 0.0)


def sure(rate: float, spread: Spread | None = None) -> Rates:
    """Return rates that are known: the good never hang."""
    return Rates.known(rate, spread)


def test_a_line_of_what_was_introduced() -> None:
    """The culprit and all after it are bad; hypothesis 0 has all of them bad."""
    assert hypotheses(line(3)).tolist() == [[True, True, True], [False, True, True], [False, False, True]]


def test_a_line_of_what_was_fixed() -> None:
    """All before the fix are bad; hypothesis 0 has all of them bad, the newest too."""
    assert hypotheses(line(3), "fixed").tolist() == [[True, True, True], [True, False, False], [True, True, False]]


def test_a_fork() -> None:
    """What came on one side of a fork is in the other side only after the merge."""
    assert hypotheses(FORK)[1:3].tolist() == [[False, True, False, True, True], [False, False, True, True, True]]
    assert hypotheses(FORK, "fixed")[2].tolist() == [True, True, False, False, False]


@settings(max_examples=15)
@given(st.integers(1, 12).flatmap(lambda n: st.tuples(*(st.sets(st.integers(0, max(i - 1, 0))) for i in range(n)))))
def test_badness_goes_down_to_the_children(drawn: tuple[set[int], ...]) -> None:
    """Whatever the history: what is introduced is not lost by a child, nor is what is fixed."""
    parents = [sorted(above) if number else [] for number, above in enumerate(drawn)]
    brought, gone = hypotheses(parents), hypotheses(parents, "fixed")
    for child, above in enumerate(parents):
        for parent in above:
            assert not (brought[:, parent] & ~brought[:, child]).any()
            assert not (~gone[:, parent] & gone[:, child]).any()
    assert brought.diagonal().all()
    assert not gone.diagonal()[1:].any()
    assert brought[0].all()
    assert gone[0].all()


def test_parents_come_first() -> None:
    """A history out of order is refused, with the place."""
    with pytest.raises(ValueError, match="candidate 1 comes before one of its parents"):
        hypotheses([[], [2], [0]])


def test_one_clean_look_by_hand() -> None:
    """With a known rate it is Bayes' rule on a line of four: 10 clean trials at 0.1 weigh 0.9 to the tenth."""
    belief = Belief(hypotheses(line(4)), sure(0.1), kinds=ONE_CHANGE).saw(1, 10, hung=False)
    quiet = 0.9**10
    assert belief.posterior == pytest.approx(np.array([quiet, quiet, 1, 1]) / (2 + 2 * quiet))


@settings(max_examples=15)
@given(looks)
def test_the_order_of_looks_is_nothing(drawn: list[tuple[int, int, bool]]) -> None:
    """Looks add up: in any order, and in pieces where daemons are alike, the same is believed."""
    start = Belief(hypotheses(line(8)), Rates.flat(spreads=((0.5, Alike()), (0.5, Candidates(4)))))
    forth, back = start, start
    for candidate, trials, hung in drawn:
        forth = forth.saw(candidate, trials, hung=hung)
    for candidate, trials, hung in reversed(drawn):
        back = back.saw(candidate, 1, hung=hung)
        if trials > 1:
            back = back.saw(candidate, trials - 1, hung=False)
    assert forth.posterior == pytest.approx(back.posterior, abs=1e-9)
    assert forth.mass.sum() + forth.no_order == pytest.approx(1.0)


@settings(max_examples=15)
@given(looks, st.sampled_from(["introduced", "fixed"]))
def test_a_hang_is_proof_where_the_good_never_hang(drawn: list[tuple[int, int, bool]], find: str) -> None:
    """No hypothesis survives by which a candidate that hung is good, whatever else was seen, and one always does."""
    bad = hypotheses([*FORK, [4], [5], [6]], "fixed" if find == "fixed" else "introduced")
    belief = Belief(bad, sure(0.1), kinds=ONE_CHANGE)
    for candidate, trials, hung in drawn:
        belief = belief.saw(candidate, trials, hung=hung)
    hung_on = [candidate for candidate, seen in belief.seen.items() if any(look.hung for look in seen)]
    assert not belief.posterior[~belief.bad[:, hung_on].all(axis=1)].any()
    assert belief.posterior.sum() == pytest.approx(1.0)


def test_a_hang_is_no_proof_by_itself() -> None:
    """One hang in 500 builds, where the bad hang in ten, does not make a candidate bad; more clean ones clear it."""
    belief = Belief(hypotheses(line(20)))
    for _ in range(4):
        belief = belief.saw(19, 10, hung=True)
    belief = belief.saw(8, 500, hung=True).saw(0, 400, hung=False)
    assert belief.posterior[9:].sum() > 0.9
    assert belief.saw(8, 500, hung=False).posterior[9:].sum() > 0.99


def test_two_changes() -> None:
    """Hangs at three rates name two candidates; each of them is an answer."""
    belief = Belief(hypotheses(line(4)), Rates.flat(spreads=((1.0, Alike()),)))
    belief = belief.saw(0, 5000, hung=False).saw(1, 5000, hung=False)
    for _ in range(12):
        belief = belief.saw(3, 5, hung=True).saw(2, 500, hung=True)
    assert belief.two_changes > 0.99
    assert belief.posterior[2] > 0.99
    assert belief.posterior[3] > 0.99


def test_no_order() -> None:
    """What hangs, and does not, and hangs again is blamed on nobody."""
    belief = Belief(hypotheses(line(12)))
    for _ in range(3):
        for candidate in (2, 6, 11):
            belief = belief.saw(candidate, 10, hung=True)
        for candidate in (0, 4, 8):
            belief = belief.saw(candidate, 300, hung=False)
    assert belief.no_order > 0.9
    assert belief.answer() is None


def test_the_good_end_hangs_too() -> None:
    """Where the good end hangs as often as the bad one, all are bad."""
    for find, good, bad in (("introduced", 0, 4), ("fixed", 4, 0)):
        belief = Belief(hypotheses(line(5), "fixed" if find == "fixed" else "introduced"))
        for _ in range(4):
            belief = belief.saw(good, 3, hung=True).saw(bad, 3, hung=True)
        assert belief.groups[0].members == (0,)
        assert belief.groups[0].mass > 0.8


def test_good_ones_that_hang_about_as_often_by_brute_force() -> None:
    """Of all pairs of rates, those where good candidates hang a third as often as bad ones, and where all are bad."""
    mean, worst = np.array([0, 0.02, 0.05, 0.1]), np.array([0, 0.2, 0.3, 0.5])
    below = np.array([[0.0, 0, 0, 0], [1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.4, 0.3, 0.3, 0]])
    rates = replace(sure(0.1), mean=mean, worst=worst, below=below, between=0 * below)
    belief = Belief(hypotheses(line(2)), rates, kinds=ONE_CHANGE)
    belief = belief.saw(0, 20, hung=True).saw(0, 30, hung=False).saw(1, 6, hung=True)
    good, bad = mean * (1 - mean) ** 49, mean * (1 - mean) ** 5
    both = worst * good * bad
    pairs = worst[:, None] * bad[:, None] * below * good
    near = mean[None, :] >= mean[:, None] / 3
    alike = (both.sum() + pairs[near].sum()) / (both.sum() + pairs.sum())
    assert 0.3 < alike < 0.9
    assert belief.good_hang_alike == pytest.approx(alike)


def test_rates_of_candidates_that_differ_by_brute_force() -> None:
    """The posterior is that of drawing rates by the million: each candidate's own about a common mean, both unknown."""
    known, both = sure(0.1, Candidates(4)), np.array([0.0, 0.5, 0.5])
    below = np.array([[0.0, 0, 0], [1, 0, 0], [1, 0, 0]])
    rates = replace(known, mean=np.array([0, 0.02, 0.1]), worst=both, below=below, between=0 * below)
    belief = (
        Belief(hypotheses(line(3)), rates, kinds=ONE_CHANGE)
        .saw(2, 5, hung=True)
        .saw(1, 20, hung=False)
        .saw(2, 12, hung=True)
    )
    chance = np.random.default_rng(7)
    mean = chance.choice(rates.mean[1:], 500_000)
    own = [chance.beta(4, 4 * (1 - mean) / mean) for _ in range(2)]
    newest = own[1] ** 2 * (1 - own[1]) ** 15
    weight = np.array([(newest * (1 - own[0]) ** 20).mean()] * 2 + [newest.mean()])
    assert belief.posterior == pytest.approx(weight / weight.sum(), rel=1e-2)
    assert belief.rate() > 0.02


@pytest.mark.parametrize("bad", [(2.0, 20.0), (0.5, 0.5)])
@pytest.mark.parametrize("good", [None, (0.5, 20.0)], ids=["the good never hang", "the good hang too"])
def test_it_agrees_with_git_bayesect(bad: tuple[float, float], good: tuple[float, float] | None) -> None:
    """With one rate for each side, a line of history and one change, the posterior is git-bayesect's."""
    chance = Random(7)
    count = 12
    belief = Belief(hypotheses(line(count)), beta_rates(bad, good), kinds=ONE_CHANGE)
    theirs = Bisector(np.ones(count), *bad, *(good or (1e-12, 1.0)))  # newest first
    for _ in range(8):
        candidate = chance.randrange(3, count)
        trials, hung = chance.randint(1, 9), candidate >= 7 and chance.random() < 0.7
        belief = belief.saw(candidate, trials, hung=hung)
        for number in range(trials):
            theirs.record(count - 1 - candidate, hung and number == trials - 1)
    assert belief.posterior == pytest.approx(theirs.distribution[::-1], abs=2e-3)


def test_what_is_skipped_may_be_the_culprit() -> None:
    """A candidate that cannot be tried keeps its chance, which git-bayesect takes from it, and shares its answer."""
    belief = (
        Belief(hypotheses(line(4)), sure(0.5), kinds=ONE_CHANGE).skip(2).saw(1, 20, hung=False).saw(3, 1, hung=True)
    )
    theirs = Bisector(np.ones(4))
    theirs.record(1, None)
    with np.errstate(divide="ignore"):
        assert theirs.distribution[1] == 0
    assert belief.posterior[2] == pytest.approx(0.5, abs=1e-5)
    answer = belief.answer()
    assert answer is not None
    assert answer.members == (2, 3)
    assert belief.answer(1 - 1e-7) is None


def test_groups_of_a_history_with_forks() -> None:
    """Both sides of a fork are one answer where neither can be tried, and the merge with them where it cannot."""
    fork = Belief(hypotheses(FORK))
    assert sorted(group.members for group in fork.groups) == [(0,), (1,), (2,), (3,), (4,)]
    assert (1, 2, 3) in {group.members for group in fork.skip(1).skip(2).groups}
    assert (3, 4) in {group.members for group in fork.skip(3).groups}


@pytest.mark.parametrize("spread", [Alike(), Candidates(4)])
@pytest.mark.parametrize("rate", [0.3, 0.003])
def test_clean_trials_that_make_good(rate: float, spread: Spread) -> None:
    """The number needed is the least at which a bad candidate is quiet in 5 %; about 3 over a rate known for all."""
    belief = Belief(hypotheses(line(4)), sure(rate, spread))
    needed = belief.clean_needed(0.95)
    [[before, after]] = spread.quiet(np.array([rate]), np.array([needed - 1, needed]))
    assert after <= 0.05 < before
    if spread == Alike():
        assert needed == math.ceil(math.log(0.05) / math.log1p(-rate))


def test_clean_trials_of_a_dud() -> None:
    """A daemon that may be one that never hangs is not looked at for ever."""
    assert Belief(hypotheses(line(4)), sure(0.1, Duds(0.5))).clean_needed(0.95) == 300


def test_calibration_learns_the_rate() -> None:
    """Hangs on the bad end narrow the rate about one over the trials that each took, and so the clean trials needed."""
    start = Belief(hypotheses(line(4)))
    once = start.saw(3, 100, hung=True)
    often = once
    for _ in range(7):
        often = often.saw(3, 100, hung=True)
    assert often.rate(0.05) < 0.01 < often.rate(0.95)
    assert often.rate(0.95) / often.rate(0.05) < once.rate(0.95) / once.rate(0.05) < 1e4
    assert often.clean_needed() < once.clean_needed() < start.clean_needed()


def test_a_prior_counts() -> None:
    """Weights given beforehand multiply what was seen; a weight of nothing stays nothing."""
    belief = Belief(hypotheses(line(3)), sure(0.5), prior=[0, 1, 3], kinds=ONE_CHANGE)
    assert belief.posterior == pytest.approx([0, 0.25, 0.75])
